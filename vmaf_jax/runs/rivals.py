"""Models that a training is compared with: VMAF's for opinion scores, shipped ones for VMAF."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.opinions import calibrate_held_out
from vmaf_jax.evaluation.rivals import Standing, compare_with_rivals
from vmaf_jax.models import deploy
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.runs.problem import Problem
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.tables.padded_clips import PaddedClips, rows_by_clip
from vmaf_jax.teacher import known_teachers, load_teacher

_MOST_ROWS = 1_000_000  # of a table; more take minutes to score


def standing_of(config: Config, problem: Problem, held_out: HeldOut) -> Standing | None:
    """Compares a run with models that need no training; None where there is nothing to compare.

    Opinion scores: each of VMAF's models over the table's features, the mean over a clip's frames,
    unmapped and with a line for each experiment. A teacher's scores: the shipped students of
    that teacher, which may have seen these rows.
    """
    if len(problem.table) > _MOST_ROWS:
        return None
    if problem.clips is None:
        rivals = _shipped_students(problem, config.data.label_column)
    else:
        rivals = _vmaf_models(problem, problem.clips)
    if not rivals:
        return None
    seed = config.training.seeds[0]
    rows = {name: problem.as_rows(predicted, seed) for name, predicted in rivals.items()}
    return compare_with_rivals(held_out, rows, has_opinions=problem.clips is not None)


def _vmaf_models(problem: Problem, clips: PaddedClips) -> dict[str, npt.NDArray[np.float64]]:
    """Returns scores of the clips `[c]`, points, by VMAF's models."""
    scores: dict[str, npt.NDArray[np.float64]] = {}
    rows = rows_by_clip(problem.table)
    for name in known_teachers():
        try:
            teacher = load_teacher(name)
        except InputError:
            continue  # over features that are not measured here
        if teacher.feature_set != problem.table.feature_set:
            continue
        frames = np.asarray(teacher(problem.table.features), np.float64)
        mean = np.array([frames[own].mean() for own in rows])
        scores[name] = mean
        line = calibrate_held_out(
            mean, problem.label, problem.fold, clips.experiment, kind="linear"
        )
        scores[f"{name}, a line per experiment"] = line
    return scores


def _shipped_students(problem: Problem, label: str) -> dict[str, npt.NDArray[np.float64]]:
    """Returns scores of the rows `[n]`, points, by the shipped students of a teacher."""
    scores = {}
    features = jnp.asarray(problem.table.features, jnp.float32)
    for path in sorted(checkpoints().glob("*/config.yaml")):
        run = open_run(path.parent)
        if (run.identity.label, run.identity.feature_set) == (label, problem.table.feature_set):
            deployed = deploy(run.student, run.variables)
            predicted = jax.jit(deployed.predict)(deployed.constants, features)
            scores[run.identity.name] = np.asarray(predicted, np.float64)
    return scores
