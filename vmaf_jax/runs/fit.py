"""From a problem to held-out predictions and a final student, in memory or streamed from disk.

A point is a problem, a student and settings. Points that differ in what members of one program may
differ in (temperature, rate, decay, dropout) are members of one; each of the others is compiled.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, concatenate
from vmaf_jax.models import Deployed, Student, Variables
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.locate import find_run
from vmaf_jax.runs.problem import Problem
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.runs.state import Arrays, TrainingState
from vmaf_jax.tables.dataset import release
from vmaf_jax.tables.table import pad_clips
from vmaf_jax.training import (
    Member,
    Rows,
    Trained,
    TrainingSettings,
    cross_validation,
    masked_scalers,
    train_members,
)
from vmaf_jax.training.batches import StreamRows
from vmaf_jax.training.optimisers import Rates

_PIECE_ROWS = 1 << 14  # that one member predicts in a call, at most
_CALL_ROWS = 1 << 17  # that all members of a call predict; frames count singly


@dataclasses.dataclass(frozen=True)
class Fit:
    """The result of a training: held-out predictions, and the final fit of each point.

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
        """Returns the fit of point `k` alone."""
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
        """Returns the held-out predictions of the first point, all seeds, as rows."""
        pairs = zip(self.seeds, self.predicted[0], strict=True)
        return concatenate([problem.as_rows(predicted, seed) for seed, predicted in pairs])

    def arrays(self) -> Arrays:
        """Returns the arrays of a state on disk."""
        return {
            "predicted": self.predicted,
            "finals": jax.tree.map(lambda *leaves: np.stack(leaves), *self.finals),
            "losses": self.losses,
            "seconds": np.array([self.compile_s, self.train_s]),
        }

    @staticmethod
    def of(arrays: Arrays, student: Student, seeds: tuple[int, ...]) -> "Fit":
        """Returns the fit of such arrays."""
        predicted, losses = np.asarray(arrays["predicted"]), np.asarray(arrays["losses"])
        finals = [
            jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], arrays["finals"])
            for k in range(len(predicted))
        ]
        seconds = np.asarray(arrays["seconds"]).tolist()
        return Fit(student, seeds, predicted, finals, losses, *seconds)


def fit_folds(
    problem: Problem,
    student: Student,
    settings: TrainingSettings,
    *,
    points: Sequence[TrainingSettings] | None = None,
    dropouts: Sequence[float] | None = None,
    progress: Progress = NO_PROGRESS,
    state: TrainingState | None = None,
) -> Fit:
    """Trains every fold, seed and point, and a final fit of each point on all rows.

    Args:
        points: settings that differ in what members of one program may differ in
            (`training.settings.OF_MEMBERS`); by default `settings` alone.
        dropouts: shares of units left out, one a point; by default the student's. Where all are
            the same, the program has it as a constant.
        state: where the training's state is saved, and taken up again; None to save none. The bits
            are the same.

    Raises:
        InputError: too few sources, a teacher that cannot be queried, or every point diverged.
    """
    problem.check_folds()
    points = [settings] if points is None else list(points)
    settings = points[0].shared() if len(points) > 1 else points[0]
    if dropouts is not None and len(set(dropouts)) == 1:
        student, dropouts = dataclasses.replace(student, dropout=dropouts[0]), None
    several = f", {len(points)} points" if len(points) > 1 else ""
    streamed = "" if problem.buffer_rows is None else ", streamed"
    progress.say(
        f"training: {len(problem.masks)} folds and the final fit{several}, {settings.length}"
        f"{streamed}"
    )
    rows = problem.rows(student, settings, _start(settings, student))
    teacher = None
    if settings.strategy == "teacher_queries":
        teacher = problem.queried_teacher().params()
    members = _members(problem, rows, points, dropouts)
    release(problem.table)
    if state is not None:
        points_json = "".join(point.model_dump_json() for point in points)
        state.of(rows, members, teacher, points_json, str(student), str(problem.buffer_rows))
        if (arrays := state.result()) is not None:
            progress.say("  done before: its saved result is taken")
            return Fit.of(arrays, student, settings.seeds)
    trained = train_members(
        rows,
        members,
        teacher,
        student=student,
        settings=points[0],
        feature_set=problem.table.feature_set,
        buffer_rows=problem.buffer_rows,
        saver=None if state is None else state.saver,
    )
    predicted = predict_held_out(
        student, trained.variables, problem, len(settings.seeds), len(points)
    )
    release(problem.table)
    fit = assemble_fit(trained, predicted, student, settings.seeds)
    if state is not None:
        state.end(fit.arrays())
    return fit


def _members(
    problem: Problem,
    rows: Rows | StreamRows,
    points: Sequence[TrainingSettings],
    dropouts: Sequence[float] | None,
) -> Member:
    """Returns all folds of every seed and point, nested so, then a final fit of each point."""
    everything = np.ones_like(problem.masks[:1])
    trains = np.concatenate([problem.masks, everything])
    start = rows.start if isinstance(rows, Rows) else None
    if start is not None:
        scalers = {name: np.stack([value] * len(trains)) for name, value in start["scaler"].items()}
    elif isinstance(rows, Rows) and rows.clips is not None:
        real = np.asarray(rows.clips.frames) > 0
        scalers = masked_scalers(
            np.asarray(rows.features)[real], np.repeat(rows.source, real.sum(axis=1)), trains
        )
    else:
        scalers = masked_scalers(np.asarray(rows.features), np.asarray(rows.source), trains)
    temperatures = [point.temperature for point in points]
    return cross_validation(
        problem.masks, scalers, points[0].seeds, temperatures, rates_of(points), dropouts
    )


def assemble_fit(
    trained: Trained,
    predicted: npt.NDArray[np.float64],
    student: Student,
    seeds: tuple[int, ...],
) -> Fit:
    """Builds a `Fit` from trained members.

    The last `len(predicted)` members are the final fits, one a point, in order. Points with a
    parameter that is not finite get NaN predictions.

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
    """Returns the rates of each point; None where all are the same, and constants of a program."""
    rates = [Rates(point.learning_rate, point.weight_decay) for point in points]
    return rates if len(set(rates)) > 1 else None


def predict(deployed: Deployed, problem: Problem, seed: int) -> HeldOut:
    """Predicts a problem that a deployed student did not learn from.

    Args:
        seed: of the student, kept with its predictions.
    """
    features = jnp.asarray(problem.table.features, jnp.float32)
    predicted = jax.jit(deployed.predict)(deployed.constants, features)
    return problem.as_rows(np.asarray(predicted, np.float64), seed)


def predict_held_out(
    student: Student, variables: Variables, problem: Problem, n_seeds: int, n_points: int
) -> npt.NDArray[np.float64]:
    """Predicts each unit by the members whose fold left it out, `[points, seeds, n]`.

    Units of a fold are cut into pieces of at most `_PIECE_ROWS`; a call predicts pieces of several
    members at once.
    """
    n_folds = len(problem.masks)
    order = np.argsort(problem.fold, kind="stable")
    ends = np.cumsum(np.bincount(problem.fold, minlength=n_folds))
    features, frames = problem.table.features, None
    if problem.clips is not None:
        clips = pad_clips(problem.table)  # by all of their frames
        features, frames = clips.features, clips.frames
    n_frames = 1 if frames is None else frames.shape[1]
    longest = int(np.diff(ends, prepend=0).max())
    size = max(1, min(longest, _PIECE_ROWS // n_frames))
    pieces = [
        (fold, order[at : min(at + size, end)])
        for fold, end in enumerate(ends.tolist())
        for at in range(0 if fold == 0 else int(ends[fold - 1]), end, size)
    ]
    jobs = [(k, fold, units) for k in range(n_seeds * n_points) for fold, units in pieces]
    width = max(1, min(len(jobs), _CALL_ROWS // (size * n_frames)))

    at_distance = student.knows_distance and frames is not None
    predict_all = _predictor(student, of_clips=frames is not None)
    predicted = np.empty((n_seeds * n_points, problem.n_units))
    for first in range(0, len(jobs), width):
        call = jobs[first : first + width]
        member = np.zeros(width, np.int64)
        index = np.zeros((width, size), np.int64)
        for row, (k, fold, units) in enumerate(call):
            member[row], index[row, : len(units)] = k * n_folds + fold, units
        own = jax.tree.map(lambda leaf, m=member: leaf[m], variables)
        x = np.asarray(features[index.reshape(-1)], np.float32)
        x = x.reshape(width, size, *features.shape[1:])
        mask = None if frames is None else jnp.asarray(frames)[index]
        away = jnp.asarray(problem.log_distance)[index] if at_distance else None
        scores = np.asarray(predict_all(own, x, mask, away), np.float64)
        for row, (k, _, units) in enumerate(call):
            predicted[k, units] = scores[row, : len(units)]
    return predicted.reshape(n_seeds, n_points, -1).swapaxes(0, 1).copy()


@functools.lru_cache(maxsize=16)  # one function a student, for which JAX keeps the program
def _predictor(student: Student, *, of_clips: bool) -> Callable[..., jax.Array]:
    """Returns `student.predict` of several members at once: variables, rows, frames, distance."""

    def predict_piece(
        own: Variables, x: jax.Array, frames: jax.Array | None, away: jax.Array | None
    ) -> jax.Array:
        return student.predict(own, x, frames, away)

    at_distance = student.knows_distance and of_clips
    axes = (0, 0, 0 if of_clips else None, 0 if at_distance else None)
    predict_all: Callable[..., jax.Array] = jax.jit(jax.vmap(predict_piece, axes))
    return predict_all


def _start(settings: TrainingSettings, student: Student) -> Variables | None:
    """Returns the variables of the student that training starts from, if settings name one.

    Raises:
        InputError: there is no such student, or it is of another kind.
    """
    if settings.start is None:
        return None
    run = open_run(find_run(settings.start))
    ours, theirs = (
        (s.network, s.layer_sizes, s.head, s.activation, s.n_features)
        for s in (student, run.student)
    )
    if ours != theirs:
        raise InputError(
            f"training.start {settings.start}: is a student of {theirs}, this one is of {ours}; "
            f"name one of the same kind."
        )
    return student.with_distance(run.variables)


@dataclasses.dataclass(frozen=True)
class Point:
    """A problem, by its key, a student and settings: one training of several."""

    problem: str
    student: Student
    settings: TrainingSettings


def programs_of(points: Sequence[Point]) -> list[list[int]]:
    """Returns the numbers of the points that each program trains, in order of appearance."""
    groups: dict[Hashable, list[int]] = {}
    for k, point in enumerate(points):
        shape = point.problem, point.student.shared(), point.settings.shared()
        groups.setdefault(shape, []).append(k)
    return list(groups.values())


def fit_points(
    points: Sequence[Point],
    problems: Mapping[str, Problem],
    *,
    state: TrainingState | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[Fit]:
    """Trains points in as few programs as their shapes make; returns a fit of each, in order.

    Args:
        state: which programs are finished, and the position of the present one.

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
            problems[first.problem],
            first.student,
            first.settings,
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
