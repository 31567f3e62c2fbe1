"""Models that a training is compared with: VMAF's for opinion scores, shipped ones for VMAF."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.opinion_report import (
    Experiments,
    agree_by_experiment,
    best_models,
    judge_by_experiment,
)
from vmaf_jax.evaluation.opinions import Opinions, calibrate_held_out
from vmaf_jax.evaluation.run_comparison import Standing, compare_with_rivals
from vmaf_jax.models import deploy
from vmaf_jax.models.pooling import pool
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.runs.problem import Problem
from vmaf_jax.runs.run_folder import open_run, read_config
from vmaf_jax.tables.table import PaddedClips, rows_by_clip
from vmaf_jax.teacher import known_teachers, load_teacher

_MOST_ROWS = 1_000_000  # of a table; more take minutes to score
FOUR_K = "vmaf_4k_v0.6.1"
RIVAL_POOLINGS = ["mean", "harmonic_mean"] + [f"percentile {p}" for p in (25, 50, 75, 80, 90)]
_N_BEST = 3


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
            mean, problem.label, problem.fold, clips.means.experiment, kind="linear"
        )
        scores[f"{name}, a line per experiment"] = line
    return scores


def experiments_of(problem: Problem, held_out: HeldOut) -> Experiments | None:
    """Judges held-out opinion scores in every test, beside VMAF at 4K by its best poolings.

    Returns:
        None where the labels are no opinions, of one test, or of features that model does not take.
    """
    clips = None if problem.clips is None else problem.clips.means
    if clips is None or clips.experiment is None or len(set(clips.experiment.tolist())) < 2:
        return None
    if len(problem.table) > _MOST_ROWS or FOUR_K not in known_teachers():
        return None
    teacher = load_teacher(FOUR_K)
    if teacher.feature_set != problem.table.feature_set:
        return None
    frames = np.asarray(teacher(problem.table.features), np.float64)
    own = [frames[rows] for rows in rows_by_clip(problem.table)]
    rivals = {
        f"{FOUR_K}, {name}": np.array([pool(scores, name) for scores in own])
        for name in RIVAL_POOLINGS
    }
    # VMAF knows one distance, so both are judged where the model's plain scores hold.
    near = np.asarray(problem.log_distance == 0, np.bool_)
    votes = Opinions.of(problem.label, clips.source, clips.experiment, clips.mos_ci95)
    opinions = votes.where(near)
    rivals = {name: scores[near] for name, scores in rivals.items()}
    best = best_models(rivals, opinions, _N_BEST)
    predicted = held_out.predicted.reshape(-1, problem.n_units).mean(axis=0)[near]
    models = {"this model": predicted} | {name: rivals[name] for name in best}
    return Experiments(
        "this model",
        agree_by_experiment(models, opinions),
        judge_by_experiment(predicted, {name: rivals[name] for name in best}, opinions),
    )


def _shipped_students(problem: Problem, label: str) -> dict[str, npt.NDArray[np.float64]]:
    """Returns scores of the rows `[n]`, points, by the shipped students of a teacher."""
    scores = {}
    features = jnp.asarray(problem.table.features, jnp.float32)
    for path in sorted(checkpoints().glob("*/config.yaml")):
        data = read_config(path.parent).data  # a checkpoint is slow to open
        if (data.label_column, data.feature_set) != (label, problem.table.feature_set.name):
            continue
        run = open_run(path.parent)
        deployed = deploy(run.student, run.variables)
        predicted = jax.jit(deployed.predict)(deployed.constants, features)
        scores[run.identity.name] = np.asarray(predicted, np.float64)
    return scores
