"""A problem that is larger than memory, and its fit: rows are streamed from a dataset's numbers."""

import dataclasses
import functools
from collections.abc import Sequence

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
from vmaf_jax.jobs.fit import Fit, fit_folds, fit_of, rates_of
from vmaf_jax.jobs.problem import (
    Problem,
    check_table,
    find_teacher,
    load_problem,
    make_folds,
    unclipped,
)
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.jobs.training_state import KeptState
from vmaf_jax.models import Student
from vmaf_jax.teacher import Teacher
from vmaf_jax.training.optimiser import Rates
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


def problem_of(config: Config, report: Report = silent) -> Problem:
    """The problem of a configuration: rows in memory, or streamed where it has `data.buffer_rows`.

    Raises:
        InputError: as `load_problem` and `load_streamed`.
    """
    if config.data.buffer_rows is None:
        return load_problem(config.data, report, folds=config.training.folds)
    return load_streamed(config, report)


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
        "training.batch_size=null": training.batch_size is None,
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


@fit_folds.register
def fit_streamed(
    problem: StreamedProblem,
    student: Student,
    settings: TrainingSettings,
    *,
    points: Sequence[TrainingSettings] | None = None,
    dropouts: Sequence[float] | None = None,
    report: Report = silent,
    state: KeptState | None = None,
) -> Fit:
    """`fit_folds` of a problem whose rows stay on the disk: all members read one stream of batches.

    Args:
        points, dropouts, state: as for `fit_folds`; states round nothing otherwise here.

    Raises:
        InputError: too few sources, or every point diverged.
    """
    problem.check_folds()
    points = [settings] if points is None else list(points)
    if dropouts is not None and len(set(dropouts)) == 1:
        student, dropouts = dataclasses.replace(student, dropout=dropouts[0]), None
    n_folds, seeds = len(problem.masks), settings.seeds
    several = f", {len(points)} points" if len(points) > 1 else ""
    report.say(
        f"training: {n_folds} folds and the final fit{several}, {settings.steps} steps, streamed"
    )
    rows = StreamRows(problem.table.features, problem.target, problem.source_of)
    members = _members(problem, rows, points, dropouts)
    release(problem.table)
    if state is not None:
        points_json = "".join(point.model_dump_json() for point in points)
        state.of(rows, members, points_json, str(student), str(problem.buffer_rows))
        if (arrays := state.result()) is not None:
            report.say("  done before: its saved result is taken")
            return Fit.of(arrays, student, seeds)
    trained = train_streamed(
        rows,
        members,
        student=student,
        settings=points[0],
        feature_set=problem.table.feature_set,
        buffer_rows=problem.buffer_rows,
        keeper=None if state is None else state.keeper,
    )
    predicted = np.empty((len(points), len(seeds), len(problem.table)))
    fold_of = np.argmin(problem.masks, axis=0)
    for k, (seed, point) in enumerate(np.ndindex(len(seeds), len(points))):
        member_of = fold_of + k * n_folds
        predicted[point, seed] = predict_by_source(rows, member_of, trained.variables, student)
    release(problem.table)
    fit = fit_of(trained, predicted, student, seeds)
    if state is not None:
        state.end(fit.arrays())
    return fit


def _members(
    problem: StreamedProblem,
    rows: StreamRows,
    points: Sequence[TrainingSettings],
    dropouts: Sequence[float] | None,
) -> StreamMember:
    """All folds of every seed and point, then a final fit of each point; nested in that order."""
    everything = len(problem.masks)
    seeds = points[0].seeds
    grid = [
        (seed, point, fold) for seed in seeds for point, fold in np.ndindex(len(points), everything)
    ]
    grid += [(seeds[0], point, everything) for point in range(len(points))]
    of_point = [point for _, point, _ in grid]
    of_fold = [fold for *_, fold in grid]
    trains = np.concatenate([problem.masks, np.ones((1, problem.masks.shape[1]), bool)])
    scaler = scalers(rows, trains)
    rates = rates_of(points)
    return StreamMember(
        trains=trains[of_fold].astype(np.float32),
        key=jnp.stack([jax.random.key(seed) for seed, *_ in grid]),
        temperature=np.array([points[k].temperature for k in of_point], np.float32),
        scaler={name: value[of_fold] for name, value in scaler.items()},
        rates=None if rates is None else Rates(*np.array(rates, np.float32)[of_point].T),
        dropout=None if dropouts is None else jnp.array(dropouts)[np.array(of_point)],
    )
