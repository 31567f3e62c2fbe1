"""All folds by the training engine against the same training fold by fold."""

from typing import Any

from vmaf_jax.benchmarks.timing import Figure, Figures, compare, machine, sample
from vmaf_jax.teacher import DEFAULT_TEACHER


def bench_train(repeats: int, steps: int = 200) -> Figures:
    """Measures the training engine on all folds against one compiled training a fold, in turn."""
    from vmaf_jax.environment import use_all_cores

    use_all_cores()
    import jax
    import numpy as np

    from vmaf_jax.corpora.support_vectors import support_vector_table
    from vmaf_jax.models import ROW_NETWORKS, Student
    from vmaf_jax.runs.problem import make_folds
    from vmaf_jax.teacher import load_teacher
    from vmaf_jax.training import (
        Member,
        Rows,
        TrainingSettings,
        cross_validation,
        make_rows,
        masked_scalers,
        train_members,
    )
    from vmaf_jax.training.member import MemberTraining, Span, make_batches

    table = support_vector_table(load_teacher(DEFAULT_TEACHER))
    _, source, masks = make_folds(table.source, None, "support_vectors")
    label = table.label(DEFAULT_TEACHER)
    rows = make_rows(
        table.features.astype(np.float32), label.astype(np.float32), source, len(masks)
    )
    trains = np.concatenate([masks, np.ones_like(masks[:1])])
    scalers = masked_scalers(table.features, source, trains)
    members = cross_validation(masks, scalers, [0], [1.0])
    settings = TrainingSettings(steps=steps)
    batches = make_batches(settings, table.feature_set, len(table))
    span = Span(*(np.array(value, np.int32) for value in (0, batches.units, 1)))
    report: dict[str, Figure] = {"machine": machine(), "steps": steps, "folds": len(masks)}
    for network in ROW_NETWORKS:
        training = MemberTraining(Student(network), settings, batches)

        def train_one(rows: Rows, member: Member, training: MemberTraining = training) -> Any:
            return training.advance(rows, member, None, training.start(rows, member), span)[0]

        lone = jax.jit(train_one).lower(rows, jax.tree.map(lambda leaf: leaf[0], members)).compile()

        def in_turn(lone: Any = lone) -> None:
            for k in range(len(masks) + 1):
                jax.block_until_ready(lone(rows, jax.tree.map(lambda leaf, k=k: leaf[k], members)))

        def by_engine(student: Student = training.student) -> None:
            train_members(
                rows, members, student=student, settings=settings, feature_set=table.feature_set
            )

        times = sample({"engine": by_engine, "in turn": in_turn}, repeats)
        report[network] = compare(times["engine"], times["in turn"])
    report["note"] = "theirs_s: one compiled fold after another; ours_s: the engine, with compiling"
    return report
