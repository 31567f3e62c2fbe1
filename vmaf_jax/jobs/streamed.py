"""A problem that is larger than memory, and its fit: rows are streamed from a dataset's numbers."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.mapped import map_table, release
from vmaf_jax.features.places import find
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.features.texts import encode_sorted
from vmaf_jax.jobs.config import Config
from vmaf_jax.jobs.fit import Fit
from vmaf_jax.jobs.problem import Problem, check_table, find_teacher, make_folds, unclipped
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.models import Student
from vmaf_jax.teacher import Teacher
from vmaf_jax.training.settings import TrainingSettings
from vmaf_jax.training.streamed import StreamMember, predict_by_source, train_streamed
from vmaf_jax.training.streams import StreamRows, scalers

_TARGET_ROWS = 1 << 16  # that the teacher is asked about at a time


@dataclasses.dataclass(frozen=True)
class StreamedProblem(Problem):
    """A problem whose rows stay on the disk.

    Attributes:
        masks: by source, `[f, s]`, False on the sources that a fold holds out.
        source_of: of each row, the number of its source, `[n]`.
        buffer_rows: rows that are shuffled among each other.
    """

    source_of: npt.NDArray[np.int32]
    buffer_rows: int

    @functools.cached_property
    def fold(self) -> npt.NDArray[np.int64]:
        """The fold that holds each row out, `[n]`."""
        return np.argmin(self.masks, axis=0)[self.source_of]

    @functools.cached_property
    def source(self) -> npt.NDArray[np.int64]:
        """The number of each row's source, `[n]`."""
        return self.source_of.astype(np.int64)

    @property
    def held_out_sources(self) -> tuple[tuple[str, ...], ...]:
        """The sources that each fold holds out, sorted."""
        names = np.array(self.sources, object)
        return tuple(tuple(names[~mask].tolist()) for mask in self.masks)


def load_streamed(config: Config, report: Report = silent) -> StreamedProblem:
    """The problem of a configuration with `data.buffer_rows`.

    Raises:
        InputError: a setting that streamed training does not have, or as `map_table` does.
    """
    data = config.data
    _check(config)
    folder = None if data.features is None else find(data.features)
    buffer_rows = data.buffer_rows
    if folder is None or buffer_rows is None or not folder.is_dir():
        raise InputError("data.buffer_rows is of data.features, a folder of shards; drop it.")
    report.say(f"data: {folder}, streamed")
    table = map_table(folder)
    check_table(table, data)
    label = table.label(data.label_column)
    if np.ptp(label) == 0:
        raise InputError(f"{folder}: every label is {label[0]:g}; there is nothing to learn.")
    teacher, no_teacher = find_teacher(table, data)
    target = label if teacher is None else _targets(teacher, table, label)
    sources, source_of = encode_sorted(table.source)
    _, masks = make_folds(table.source, config.training.folds, str(folder), by_source=True)
    return StreamedProblem(
        name=str(folder),
        table=table,
        clips=None,
        label=label,
        target=target,
        teacher=teacher,
        no_teacher=no_teacher,
        sources=sources,
        masks=masks,
        source_of=source_of.astype(np.int32),
        buffer_rows=buffer_rows,
    )


def _check(config: Config) -> None:
    """Raises InputError, naming the first, for settings that streamed training does not have."""
    training, data = config.training, config.data
    unfit = {
        "data.label=mos": data.label != "teacher",
        "data.mean_pool": data.mean_pool,
        f"student.network={config.student.network}": config.make_student().spec.over_frames,
        f"training.strategy={training.strategy}": training.strategy != "rows",
        f"training.optimiser={training.optimiser}": training.optimiser != "adamw",
        "no training.batch_size": training.batch_size is None,
        "training.start": training.start is not None,
        "training.anchor": training.anchor != 0,
        "external corpora": bool(config.external),
    }
    for setting, is_set in unfit.items():
        if is_set:
            raise InputError(
                f"data.buffer_rows: streamed training has no {setting}; it takes labels of frames, "
                f"strategy rows with a batch_size, and adamw."
            )


def _targets(
    teacher: Teacher, table: FeatureTable, label: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    parts = [slice(k, k + _TARGET_ROWS) for k in range(0, len(table), _TARGET_ROWS)]
    return np.concatenate([unclipped(teacher, table.features[p], label[p]) for p in parts])


def fit_streamed(
    problem: StreamedProblem,
    student: Student,
    settings: TrainingSettings,
    *,
    report: Report = silent,
) -> Fit:
    """Trains every fold and seed, and a final fit on all rows, on one stream of batches.

    Raises:
        InputError: too few sources, or training that diverged.
    """
    problem.check_folds()
    n_folds, seeds = len(problem.masks), settings.seeds
    report.say(f"training: {n_folds} folds and the final fit, {settings.steps} steps, streamed")
    rows = StreamRows(problem.table.features, problem.target, problem.source_of)
    every = np.ones((1, problem.masks.shape[1]), bool)
    trains = np.concatenate([*[problem.masks] * len(seeds), every])
    of_seed = [seed for seed in seeds for _ in range(n_folds)] + [seeds[0]]
    members = StreamMember(
        trains=jnp.asarray(trains, jnp.float32),
        key=jnp.stack([jax.random.key(seed) for seed in of_seed]),
        temperature=jnp.full(len(trains), settings.temperature, jnp.float32),
        scaler={name: jnp.asarray(value) for name, value in scalers(rows, trains).items()},
    )
    release(problem.table)
    trained = train_streamed(
        rows,
        members,
        student=student,
        settings=settings,
        feature_set=problem.table.feature_set,
        buffer_rows=problem.buffer_rows,
    )
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained.variables)):
        raise InputError("training diverged; lower training.learning_rate.")
    fold_of = np.argmin(problem.masks, axis=0)
    predicted = [
        predict_by_source(rows, fold_of + k * n_folds, trained.variables, student)
        for k in range(len(seeds))
    ]
    release(problem.table)
    return Fit(
        student=student,
        seeds=seeds,
        predicted=np.asarray(predicted, np.float64)[None],
        finals=[trained.member(len(trains) - 1)],
        losses=trained.losses,
        compile_s=trained.compile_s,
        train_s=trained.train_s,
    )
