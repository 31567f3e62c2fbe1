"""A problem to held-out predictions and a final student: what `train` and `select` both ask for."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, join
from vmaf_jax.features.clips import clips_of
from vmaf_jax.jobs.model import find_run
from vmaf_jax.jobs.problem import Problem
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.jobs.run_folder import open_run
from vmaf_jax.jobs.training_state import KeptState
from vmaf_jax.models import Deployed, Student, Variables
from vmaf_jax.training import TrainingSettings, cross_validation_members, train_members
from vmaf_jax.training.loop import Trained
from vmaf_jax.training.optimiser import Rates

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
        return join([problem.as_rows(predicted, seed) for seed, predicted in pairs])

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
    report: Report = silent,
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
    report.say(f"training: {n_folds} folds and the final fit{several}, {settings.steps} steps")
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
            report.say("  done before: its saved result is taken")
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
    clips = clips_of(problem.table)
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
