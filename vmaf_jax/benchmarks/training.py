"""All folds in one mapped program against the same program fold by fold."""

import functools
from typing import Any

from vmaf_jax.benchmarks.timing import Figure, Figures, compare, machine, sample
from vmaf_jax.teacher import DEFAULT_TEACHER


def bench_train(repeats: int, steps: int = 200) -> Figures:
    """All folds in one mapped program against the same program fold by fold, compiled before."""
    from vmaf_jax.environment import use_all_cores

    use_all_cores()
    import jax
    import jax.numpy as jnp

    from vmaf_jax.corpora.support_vectors import support_vector_table
    from vmaf_jax.models import ROW_NETWORKS, Student
    from vmaf_jax.teacher import load_teacher
    from vmaf_jax.training import Rows, TrainingSettings, loso_masks, make_members
    from vmaf_jax.training.loop import compile_members
    from vmaf_jax.training.member import train_member
    from vmaf_jax.training.recipes import make_recipe

    table = support_vector_table(load_teacher(DEFAULT_TEACHER))
    rows = Rows(
        jnp.asarray(table.features, jnp.float32),
        jnp.asarray(table.label(DEFAULT_TEACHER), jnp.float32),
    )
    _, masks = loso_masks(table.source)
    settings = TrainingSettings(steps=steps)
    report: dict[str, Figure] = {"machine": machine(), "steps": steps, "folds": len(masks)}
    for network in ROW_NETWORKS:
        student = Student(network)
        members = make_members(masks, [0], [1.0])
        mapped = compile_members(
            rows, members, None, student=student, settings=settings, feature_set=table.feature_set
        )
        recipe = make_recipe(settings, table.feature_set)
        lone = jax.jit(functools.partial(train_member, student=student, recipe=recipe))
        folds = [jax.tree.map(lambda leaf, k=k: leaf[k], members) for k in range(len(masks))]

        def loop(lone: Any = lone, folds: Any = folds) -> None:
            for fold in folds:
                jax.block_until_ready(lone(rows, fold, None))

        times = sample({"mapped": mapped.run, "in turn": loop}, repeats)
        report[network] = compare(times["mapped"], times["in turn"])
    report["note"] = "theirs: one jitted fold after another; ours: all folds mapped"
    return report
