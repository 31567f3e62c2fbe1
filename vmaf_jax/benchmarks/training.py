"""Training: all folds by the engine against one fold after another, and a known recipe on a table.

The recipe: a perceptron with ReLU, squared error, Adam at 1e-3, a scaler a fold, batches of an
epoch's shuffled rows; every source held out in turn, by every seed. Of it speed, accuracy and the
share of the machine's peak are measured.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vmaf_jax.benchmarks.timing import Figure, Figures, compare, machine, sample
from vmaf_jax.errors import InputError
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER

_PEAK_SIZE = 1024
_PEAK_ROUNDS = 5


def bench_train(repeats: int, steps: int = 200) -> Figures:
    """Measures the training engine on all folds against one compiled training a fold, in turn."""
    from vmaf_jax.environment import use_all_cores

    use_all_cores()
    import jax

    from vmaf_jax.extraction.corpus import support_vector_table
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
    span = Span(np.array(0, np.int32), np.array(batches.units, np.int32), np.array(1, np.int32))
    report: dict[str, Figure] = {"machine": machine(), "steps": steps, "folds": len(masks)}
    for network in ROW_NETWORKS:
        training = MemberTraining(Student(network), settings, batches)

        def train_one(rows: Rows, member: Member, training: MemberTraining = training) -> object:
            return training.advance(rows, member, None, training.start(rows, member), span)[0]

        lone = jax.jit(train_one).lower(rows, jax.tree.map(lambda leaf: leaf[0], members)).compile()

        def in_turn(lone: Callable[[Rows, Member], object] = lone) -> None:
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


@dataclasses.dataclass(frozen=True)
class RecipeFigures:
    """Figures that `bench train --features` prints.

    Attributes:
        compile_s: of the programs; short where an earlier run's are in the cache.
        train_s: training all models, as `metrics.json` of `vmaf-jax train` has it.
        loso_rmse, loso_plcc: of a seed's held-out rows together, mean over seeds; VMAF points.
        models: how many were trained: one a fold and seed, and a final fit.
        rows_per_s: training rows visited a second, by all models together.
        gflop_per_s: of the products of training (`flops_per_row`), real rows alone, over `train_s`.
        peak_gflop_per_s: of one large product a device, just before and after; the better one.
    """

    compile_s: float
    train_s: float
    loso_rmse: float
    loso_plcc: float
    models: int
    rows_per_s: float
    gflop_per_s: float
    peak_gflop_per_s: float


def bench_recipe(
    features: str | Path,
    *,
    hidden: tuple[int, ...] = (64, 32, 16),
    epochs: int = 90,
    batch: int = 256,
    seeds: int = 5,
    label: str = DEFAULT_TEACHER,
) -> RecipeFigures:
    """Trains the recipe on the table `features` and measures it.

    Args:
        hidden: units of each hidden layer.
        batch: rows of a step.
        seeds: how many cross-validations, of seeds 0, 1 ...
        label: the column that is learned.

    Raises:
        InputError: the table is bad, lacks the label, or has a single source.
    """
    from vmaf_jax.evaluation.metrics import plcc, rmse
    from vmaf_jax.models.networks import flops_per_row
    from vmaf_jax.runs.config import Config, DataConfig, StudentConfig
    from vmaf_jax.runs.fit import fit_folds
    from vmaf_jax.runs.problem import problem_of
    from vmaf_jax.training import TrainingSettings

    config = Config(
        name="bench",
        data=DataConfig(features=features, teacher=label),
        student=StudentConfig(network="mlp", hidden=hidden, activation="relu", dropout=0.0),
        training=TrainingSettings(
            optimiser="adam",
            epochs=epochs,
            batch_size=batch,
            learning_rate=1e-3,
            schedule="constant",
            seeds=tuple(range(seeds)),
        ),
    )
    problem = problem_of(config)
    if len(problem.sources) < 2:
        raise InputError(f"{features}: a single source; holding one out takes two at least.")
    before = peak_gflop_per_s()
    fit = fit_folds(problem, config.make_student(), config.training)
    peak = max(before, peak_gflop_per_s())
    n, n_folds = len(problem.table), len(problem.masks)
    visited = (seeds * (n_folds - 1) + 1) * n * epochs  # a fold leaves its own rows out
    sizes = [problem.table.features.shape[1], *hidden, 1]
    return RecipeFigures(
        compile_s=fit.compile_s,
        train_s=fit.train_s,
        loso_rmse=float(np.mean([rmse(scores, problem.label) for scores in fit.predicted[0]])),
        loso_plcc=float(np.mean([plcc(scores, problem.label) for scores in fit.predicted[0]])),
        models=len(fit.losses),
        rows_per_s=visited / fit.train_s,
        gflop_per_s=visited * flops_per_row(sizes) / fit.train_s / 1e9,
        peak_gflop_per_s=peak,
    )


def peak_gflop_per_s() -> float:
    """Measures the rate of products of large float32 matrices, one on every device at once."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    devices = jax.devices()
    mesh = Mesh(np.array(devices), ("devices",))
    split = NamedSharding(mesh, PartitionSpec("devices"))
    shape = (len(devices), _PEAK_SIZE, _PEAK_SIZE)
    a = jax.device_put(jnp.ones(shape, jnp.float32), split)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"), out_shardings=split)
    jax.block_until_ready(product(a))
    times = []
    for _ in range(_PEAK_ROUNDS):
        started = time.perf_counter()
        jax.block_until_ready(product(a))
        times.append(time.perf_counter() - started)
    return len(devices) * 2 * _PEAK_SIZE**3 / min(times) / 1e9
