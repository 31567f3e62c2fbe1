"""A problem to held-out predictions and a final student: what `train` and `select` both ask for."""

import dataclasses
from collections.abc import Sequence

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
from vmaf_jax.jobs.training_state import TrainingState
from vmaf_jax.models import Deployed, Student, Variables
from vmaf_jax.training import TrainingSettings, loso_members, train_members


@dataclasses.dataclass(frozen=True)
class Fit:
    """What training found.

    Attributes:
        student: what was trained.
        seeds: of the cross-validations.
        predicted: held-out, clipped to 0-100, VMAF points, `[temperatures, seeds, n]`; each row by
            the student whose fold left its source out.
        finals: the fit on all rows, first seed, one a temperature.
        losses: of every member and step, `[m, steps]`; folds by seed, then the final fits.
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
        """The final fit at the first temperature."""
        return self.finals[0]

    def held_out(self, problem: Problem) -> HeldOut:
        """The held-out predictions at the first temperature, all seeds, as rows."""
        pairs = zip(self.seeds, self.predicted[0], strict=True)
        return join([problem.as_rows(predicted, seed) for seed, predicted in pairs])


def fit_folds(
    problem: Problem,
    student: Student,
    settings: TrainingSettings,
    *,
    temperatures: Sequence[float] | None = None,
    report: Report = silent,
    state: TrainingState | None = None,
) -> Fit:
    """Trains every fold, seed and temperature, and a final fit on all rows, as one program.

    Args:
        temperatures: by default the settings' own.
        state: where the training's state is kept, and taken up again; None to keep none.

    Raises:
        InputError: too few sources, a teacher that cannot be queried, or training that diverged.
    """
    problem.check_folds()
    heats = [settings.temperature] if temperatures is None else list(temperatures)
    n_folds, n_seeds = len(problem.masks), len(settings.seeds)
    report.say(f"training: {n_folds} folds and the final fit, {settings.steps} steps")
    queried = settings.strategy == "teacher_queries"
    rows = problem.rows(student, settings, _start(settings, student))
    members = loso_members(problem.masks, list(settings.seeds), heats)
    teacher = problem.queried_teacher().params() if queried else None
    about = (rows, members, teacher, settings.model_dump_json(), str(student))
    trained = train_members(
        *(rows, members, teacher),
        student=student,
        settings=settings,
        feature_set=problem.table.feature_set,
        keeper=None if state is None else state.of(*about),
    )
    if state is not None:
        state.end()
    n_held_out = n_seeds * len(heats) * n_folds
    finals = [trained.member(n_held_out + k) for k in range(len(heats))]
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(finals)):
        raise InputError("training diverged; lower training.learning_rate.")
    predicted = _predict_all(student, trained.variables, problem)[:n_held_out]
    n = problem.n_units
    by_fold = predicted.reshape(n_seeds, len(heats), n_folds, n)
    return Fit(
        student=student,
        seeds=settings.seeds,
        predicted=by_fold[:, :, problem.fold, np.arange(n)].swapaxes(0, 1),
        finals=finals,
        losses=trained.losses,
        compile_s=trained.compile_s,
        train_s=trained.train_s,
    )


def predict(deployed: Deployed, problem: Problem, seed: int) -> HeldOut:
    """What a deployed student says of a problem that it did not learn from.

    Args:
        seed: of the student, kept with its predictions.
    """
    features = jnp.asarray(problem.table.features, jnp.float32)
    predicted = jax.jit(deployed.predict)(deployed.constants, features)
    return problem.as_rows(np.asarray(predicted, np.float64), seed)


def _predict_all(
    student: Student, variables: Variables, problem: Problem
) -> npt.NDArray[np.float64]:
    """Every member on every unit, `[m, n]`; clips by all of their frames, a member at a time."""
    if problem.clips is None:
        predict_all = jax.jit(jax.vmap(student.predict, in_axes=(0, None)))
        features = jnp.asarray(problem.table.features, jnp.float32)
        return np.asarray(predict_all(variables, features), np.float64)
    clips = clips_of(problem.table)
    x, frames = student.inputs(jnp.asarray(clips.features, jnp.float32)), jnp.asarray(clips.frames)

    def predict_clips(member: Variables) -> jax.Array:
        return student.predict_inputs(member, x, frames)

    one_by_one = jax.jit(lambda members: jax.lax.map(predict_clips, members))
    return np.asarray(one_by_one(variables), np.float64)


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
