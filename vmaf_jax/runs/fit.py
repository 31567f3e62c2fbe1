"""From a problem to held-out predictions and a final student, in memory or streamed from disk.

A point is a problem, a student and settings. Points that differ in what members of one program may
differ in (temperature, rate, decay, dropout) are members of one; each of the others is compiled.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, concatenate
from vmaf_jax.models import Deployed, Student, Variables
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.locate import find_run
from vmaf_jax.runs.problem import (
    Problem,
    check_table,
    find_teacher,
    load_problem,
    make_folds,
    unclipped,
)
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.runs.state import KeptState
from vmaf_jax.tables.categories import encode_sorted
from vmaf_jax.tables.locations import locate
from vmaf_jax.tables.mapped_table import map_table, release
from vmaf_jax.tables.padded_clips import pad_clips
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.teacher import Teacher
from vmaf_jax.training import TrainingSettings, cross_validation_members, train_members
from vmaf_jax.training.loop import Trained
from vmaf_jax.training.optimisers import Rates
from vmaf_jax.training.streamed import StreamMember, predict_by_source, train_streamed
from vmaf_jax.training.streams import StreamRows, scalers

_MOST_PREDICTED = 1 << 22  # members times rows of a call that predicts


@dataclasses.dataclass(frozen=True)
class Fit:
    """What training found.

    Attributes:
        student: what was trained.
        seeds: of the cross-validations.
        predicted: held-out, clipped to 0-100, VMAF points, `[points, seeds, n]`; each row by the
            student whose fold left its source out. NaN where the final fit diverged.
        finals: the fit on all rows, first seed, one a point.
        losses: of every member and step, `[m, steps]`; folds by seed and point, then final fits.
        compile_s, train_s: seconds.
    """

    student: Student
    seeds: tuple[int, ...]
    predicted: npt.NDArray[np.float64]
    finals: list[Variables]
    losses: npt.NDArray[np.float32]
    compile_s: float
    train_s: float

    @property
    def final(self) -> Variables:
        """The final fit of the first point."""
        return self.finals[0]

    def at(self, k: int) -> "Fit":
        """The fit of point `k` alone."""
        n_points, n_steps = len(self.finals), self.losses.shape[1]
        folds, finals = self.losses[:-n_points], self.losses[-n_points:]
        own = folds.reshape(len(self.seeds), n_points, -1, n_steps)[:, k].reshape(-1, n_steps)
        return dataclasses.replace(
            self,
            predicted=self.predicted[k : k + 1],
            finals=self.finals[k : k + 1],
            losses=np.concatenate([own, finals[k : k + 1]]),
        )

    def held_out(self, problem: Problem) -> HeldOut:
        """The held-out predictions of the first point, all seeds, as rows."""
        pairs = zip(self.seeds, self.predicted[0], strict=True)
        return concatenate([problem.as_rows(predicted, seed) for seed, predicted in pairs])

    def arrays(self) -> dict[str, Any]:
        """The numbers, as a state on disk has them."""
        return {
            "predicted": self.predicted,
            "finals": jax.tree.map(lambda *leaves: np.stack(leaves), *self.finals),
            "losses": self.losses,
            "seconds": np.array([self.compile_s, self.train_s]),
        }

    @staticmethod
    def of(arrays: dict[str, Any], student: Student, seeds: tuple[int, ...]) -> "Fit":
        """The fit whose numbers these are."""
        predicted, losses = np.asarray(arrays["predicted"]), np.asarray(arrays["losses"])
        finals = [
            jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], arrays["finals"])
            for k in range(len(predicted))
        ]
        seconds = np.asarray(arrays["seconds"]).tolist()
        return Fit(student, seeds, predicted, finals, losses, *seconds)


@functools.singledispatch
def fit_folds(
    problem: Problem,
    student: Student,
    settings: TrainingSettings,
    *,
    points: Sequence[TrainingSettings] | None = None,
    dropouts: Sequence[float] | None = None,
    progress: Progress = NO_PROGRESS,
    state: KeptState | None = None,
) -> Fit:
    """Trains every fold, seed and point, and a final fit of each on all rows, as one program.

    Kinds of problems that are trained on in another way register theirs.

    Args:
        points: settings that differ in what members of one program may differ in
            (`training.settings.OF_MEMBERS`); by default `settings` alone.
        dropouts: shares of units left out, one a point; by default the student's. Where all are
            the same, the program has it as a constant.
        state: where the training's state is kept, and taken up again; None to keep none.

    Raises:
        InputError: too few sources, a teacher that cannot be queried, or every point diverged.
    """
    problem.check_folds()
    points = [settings] if points is None else list(points)
    settings = points[0].shared() if len(points) > 1 else points[0]
    if dropouts is not None and len(set(dropouts)) == 1:
        student, dropouts = dataclasses.replace(student, dropout=dropouts[0]), None
    n_folds = len(problem.masks)
    several = f", {len(points)} points" if len(points) > 1 else ""
    progress.say(f"training: {n_folds} folds and the final fit{several}, {settings.steps} steps")
    queried = settings.strategy == "teacher_queries"
    rows = problem.rows(student, settings, _start(settings, student))
    heats = [point.temperature for point in points]
    members = cross_validation_members(
        *(problem.masks, settings.seeds, heats, rates_of(points), dropouts)
    )
    teacher = problem.queried_teacher().params() if queried else None
    points_json = "".join(point.model_dump_json() for point in points)
    if state is not None:
        state.of(rows, members, teacher, points_json, str(student))
        if (arrays := state.result()) is not None:
            progress.say("  done before: its saved result is taken")
            return Fit.of(arrays, student, settings.seeds)
    trained = train_members(
        *(rows, members, teacher),
        student=student,
        settings=points[0],
        feature_set=problem.table.feature_set,
        keeper=None if state is None else state.keeper,
    )
    predicted = _held_out(student, trained.variables, problem, len(settings.seeds), len(points))
    fit = fit_of(trained, predicted, student, settings.seeds)
    if state is not None:
        state.end(fit.arrays())
    return fit


def fit_of(
    trained: Trained,
    predicted: npt.NDArray[np.float64],
    student: Student,
    seeds: tuple[int, ...],
) -> Fit:
    """The fit whose last members are the final ones, one a point; what diverged has no predictions.

    Args:
        predicted: held-out, `[points, seeds, n]`.

    Raises:
        InputError: every point diverged.
    """
    n_points = len(predicted)
    n_members = len(trained.losses)
    finals = [trained.member(k) for k in range(n_members - n_points, n_members)]
    for k, final in enumerate(finals):
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(final)):
            predicted[k] = np.nan
    if np.isnan(predicted).all():
        raise InputError("training diverged; lower training.learning_rate.")
    seconds = trained.compile_s, trained.train_s
    return Fit(student, seeds, predicted, finals, trained.losses, *seconds)


def rates_of(points: Sequence[TrainingSettings]) -> list[Rates] | None:
    """The optimiser's rates of each point; None where all have the same, which are constants."""
    rates = [Rates(point.learning_rate, point.weight_decay) for point in points]
    return rates if len(set(rates)) > 1 else None


def predict(deployed: Deployed, problem: Problem, seed: int) -> HeldOut:
    """What a deployed student says of a problem that it did not learn from.

    Args:
        seed: of the student, kept with its predictions.
    """
    features = jnp.asarray(problem.table.features, jnp.float32)
    predicted = jax.jit(deployed.predict)(deployed.constants, features)
    return problem.as_rows(np.asarray(predicted, np.float64), seed)


def _held_out(
    student: Student, variables: Variables, problem: Problem, n_seeds: int, n_points: int
) -> npt.NDArray[np.float64]:
    """Each unit by the members whose fold left it out, `[points, seeds, n]`."""
    n, n_folds = problem.n_units, len(problem.masks)
    n_members, n_all = n_seeds * n_points * n_folds, len(jax.tree.leaves(variables)[0])
    predicted = np.empty((n_seeds, n_points, n))
    predict = _predictor(student, problem)
    # A call's members at a time; all of them at once in any but large problems.
    size = max(1, min(n_all, _MOST_PREDICTED // n))
    for first in range(0, n_members, size):
        members = jax.tree.map(lambda leaf, a=first: leaf[a : a + size], variables)
        for k, row in enumerate(predict(members)[: n_members - first], first):
            seed, point, fold = np.unravel_index(k, (n_seeds, n_points, n_folds))
            own = ~problem.masks[fold]
            predicted[seed, point, own] = row[own]
    return predicted.swapaxes(0, 1).copy()


def _predictor(
    student: Student, problem: Problem
) -> Callable[[Variables], npt.NDArray[np.float64]]:
    """Every member on every unit, `[m, n]`; clips by all of their frames, a member at a time."""
    if problem.clips is None:
        predict_all = jax.jit(jax.vmap(student.predict, in_axes=(0, None)))
        features = jnp.asarray(problem.table.features, jnp.float32)
        return lambda members: np.asarray(predict_all(members, features), np.float64)
    clips = pad_clips(problem.table)
    x, frames = student.inputs(jnp.asarray(clips.features, jnp.float32)), jnp.asarray(clips.frames)

    def predict_clips(member: Variables) -> jax.Array:
        return student.predict_inputs(member, x, frames)

    one_by_one = jax.jit(lambda members: jax.lax.map(predict_clips, members))
    return lambda members: np.asarray(one_by_one(members), np.float64)


def _start(settings: TrainingSettings, student: Student) -> Variables | None:
    """The variables of the student that training starts from, if it names one.

    Raises:
        InputError: there is no such student, or it is of another kind.
    """
    if settings.start is None:
        return None
    run = open_run(find_run(settings.start))
    ours, theirs = ((s.network, s.head, s.activation, s.n_features) for s in (student, run.student))
    if ours != theirs:
        raise InputError(
            f"training.start {settings.start}: is a student of {theirs}, this one is of {ours}; "
            f"name one of the same kind."
        )
    return run.variables


Key = TypeVar("Key", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Point(Generic[Key]):
    """One training of several: which problem, which student, how."""

    problem: Key
    student: Student
    settings: TrainingSettings


def programs_of(points: Sequence[Point[Key]]) -> list[list[int]]:
    """The numbers of the points that each program trains, in order of appearance."""
    groups: dict[Hashable, list[int]] = {}
    for k, point in enumerate(points):
        shape = point.problem, point.student.shared(), point.settings.shared()
        groups.setdefault(shape, []).append(k)
    return list(groups.values())


def fit_points(
    points: Sequence[Point[Key]],
    problems: Mapping[Key, Problem],
    *,
    state: KeptState | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[Fit]:
    """The fit of each point, alone, in their order.

    Args:
        state: which programs are through already, and where the present one stands.

    Raises:
        InputError: as `fit_folds`.
    """
    fits: dict[int, Fit] = {}
    groups = programs_of(points)
    on_step = progress.steps("programs", lambda: len(groups)) or (lambda done: None)
    for number, group in enumerate(groups, 1):
        started = time.perf_counter()
        first = points[group[0]]
        fit = fit_folds(
            *(problems[first.problem], first.student, first.settings),
            points=[points[k].settings for k in group],
            dropouts=[points[k].student.dropout for k in group],
            progress=progress,
            state=state,
        )
        fits |= {
            k: dataclasses.replace(fit.at(place), student=points[k].student)
            for place, k in enumerate(group)
        }
        on_step(1)
        progress.say(f"program {number} of {len(groups)}: {time.perf_counter() - started:.0f} s")
    return [fits[k] for k in range(len(points))]


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


def problem_of(config: Config, progress: Progress = NO_PROGRESS) -> Problem:
    """The problem of a configuration: rows in memory, or streamed where it has `data.buffer_rows`.

    Raises:
        InputError: as `load_problem` and `load_streamed`.
    """
    if config.data.buffer_rows is None:
        return load_problem(config.data, progress, folds=config.training.folds)
    return load_streamed(config, progress)


def load_streamed(config: Config, progress: Progress = NO_PROGRESS) -> StreamedProblem:
    """The problem of a configuration with `data.buffer_rows`.

    Raises:
        InputError: a setting that streamed training does not have, or as `map_table` does.
    """
    data = config.data
    _check(config)
    folder = None if data.features is None else locate(data.features)
    buffer_rows = data.buffer_rows
    if folder is None or buffer_rows is None or not folder.is_dir():
        raise InputError("data.buffer_rows is of data.features, a folder of shards; drop it.")
    progress.say(f"data: {folder}, streamed")
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
    progress: Progress = NO_PROGRESS,
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
    progress.say(
        f"training: {n_folds} folds and the final fit{several}, {settings.steps} steps, streamed"
    )
    rows = StreamRows(problem.table.features, problem.target, problem.source_of)
    members = _members(problem, rows, points, dropouts)
    release(problem.table)
    if state is not None:
        points_json = "".join(point.model_dump_json() for point in points)
        state.of(rows, members, points_json, str(student), str(problem.buffer_rows))
        if (arrays := state.result()) is not None:
            progress.say("  done before: its saved result is taken")
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
