"""From a fit to the content of a run folder: metrics, calibration, exported file and parity.

A training is compared with models that need none: VMAF's for opinion scores, shipped ones for VMAF.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.environment import environment
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import all_metrics, loso_metrics
from vmaf_jax.evaluation.clip_pooling import apply_pooling
from vmaf_jax.evaluation.conformal import Calibration, fit_region, pool_held_out
from vmaf_jax.evaluation.cross_validation import HeldOut, SweepTable
from vmaf_jax.evaluation.metrics import Distance
from vmaf_jax.evaluation.opinion_report import (
    Experiments,
    agree_by_experiment,
    best_models,
    judge_by_experiment,
)
from vmaf_jax.evaluation.opinions import Opinions, calibrate_held_out
from vmaf_jax.evaluation.run_metrics import (
    Deviation,
    RunMetrics,
    Standing,
    Timing,
    behaviour,
    compare_with_rivals,
)
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import Parity, clip_rows, measure_parity, parity_rows
from vmaf_jax.export.sidecar import Identity, TrainingMetrics, TrainingRecord
from vmaf_jax.files import work_folder
from vmaf_jax.models import deploy
from vmaf_jax.models.viewing_distance import ViewingDistance
from vmaf_jax.progress import Progress
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.fit import Fit, predict
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.runs.problem import Problem, load_problem, table_digest
from vmaf_jax.runs.run_folder import Run, open_run, read_config
from vmaf_jax.tables.dataset import release
from vmaf_jax.tables.table import FeatureTable, PaddedClips, rows_by_clip
from vmaf_jax.teacher import known_teachers, load_teacher

_MOST_ROWS = 1_000_000  # of a table; more take minutes to score
FOUR_K = "vmaf_4k_v0.6.1"
RIVAL_POOLINGS = ["mean", "harmonic_mean"] + [f"percentile {p}" for p in (25, 50, 75, 80, 90)]
_N_BEST = 3


def calibration_of(
    held_out: HeldOut, external: Mapping[str, HeldOut], table: FeatureTable, pooling: str
) -> Calibration | None:
    """Computes the profile of a model's held-out residuals, and its training region.

    Args:
        held_out, external, pooling: as for `pool_held_out`.
        table: what it learnt from.

    Returns:
        None where there are no residuals of clips.
    """
    residuals = pool_held_out(held_out, external, pooling)
    if residuals is None:
        return None
    means = table.mean_pool()
    _, group = np.unique(means.source.astype(str), return_inverse=True)
    return Calibration(residuals.profile, fit_region(means.features, group))


_MOST_PROOF_ROWS = 1_000_000  # of a table, for parity and behaviour


def conclude(
    config: Config,
    problem: Problem,
    others: Mapping[str, Problem],
    fit: Fit,
    *,
    path: Path,
    started: float,
    progress: Progress,
    sweep: SweepTable | None = None,
) -> Run:
    """Evaluates, exports and proves the fit of one point; returns the content of its run folder.

    Args:
        others: the external corpora, by name.
        path: the run folder that will be.
        started: when the job began, of `time.perf_counter`.
        sweep: which the point is the best of.
    """
    held_out = fit.held_out(problem)
    deployed = deploy(fit.student, fit.final)
    seed = config.training.seeds[0]
    external = {name: predict(deployed, other, seed) for name, other in others.items()}
    loso, folds = loso_metrics(held_out)
    external_metrics = {
        name: all_metrics(rows.predicted, rows.label) for name, rows in external.items()
    }
    pooling = fit.student.pooling_name
    calibration = calibration_of(held_out, external, problem.table, pooling)
    identity = Identity(
        name=config.name,
        student=fit.student,
        feature_set=problem.table.feature_set,
        label=config.data.label_column,
        training=TrainingRecord(
            config_sha256=config.digest(),
            corpora={str(problem.table.corpus[0]): table_digest(problem.table)},
            metrics=TrainingMetrics(loso=loso.pooled, external=external_metrics),
        ),
        label_scale=problem.label_scale,
        calibration=calibration,
        distance=_distance_of(problem, fit),
    )
    progress.say("export and parity")
    onnx, parity = _export(fit, identity, [problem, *others.values()], config)
    metrics = RunMetrics(
        loso=loso,
        folds=folds,
        held_out_together=problem.held_out_sources if config.training.folds else None,
        external=external_metrics,
        parity=Distance(parity.n, parity.clipped, parity.max_abs, parity.max_ulp),
        timing=Timing(fit.compile_s, fit.train_s, time.perf_counter() - started),
        environment=environment(),
        behaviour=_behaviour(fit, problem),
        beside=standing_of(config, problem, held_out),
        experiments=experiments_of(problem, held_out),
    )
    release(problem.table)  # the card and the page read predictions alone
    members = [f"{name}/{seed}" for seed in fit.seeds for name in problem.fold_names]
    return Run(
        path=path.absolute(),
        config=config,
        identity=identity,
        variables=fit.final,
        held_out=held_out,
        external=external,
        metrics=metrics,
        parity=parity,
        onnx=onnx,
        losses=dict(zip([*members, "all"], fit.losses, strict=True)),
        sweep=sweep,
    )


def _distance_of(problem: Problem, fit: Fit) -> ViewingDistance | None:
    """Returns the viewing distances that a fit learnt; None where it learnt none."""
    distance = problem.table.distance
    if problem.distance is None or distance is None:
        return None
    gain = float(fit.student.distance_gain(fit.final["params"]))
    return ViewingDistance(problem.distance, float(distance.min()), float(distance.max()), gain)


def load_external(config: Config, problem: Problem, progress: Progress) -> dict[str, Problem]:
    """Loads the external corpora that a configuration names.

    Raises:
        InputError: one is missing, or holds clips of the training data.
    """
    others: dict[str, Problem] = {}
    for name in config.external:
        others[name] = load_problem(config.external_data(name), progress)
    for other in others.values():
        problem.check_apart(other)
    return others


def _some(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns evenly spaced rows of a table that has more than enough for a proof."""
    return np.asarray(features[:: 1 + (len(features) - 1) // _MOST_PROOF_ROWS])


def _export(
    fit: Fit, identity: Identity, problems: list[Problem], config: Config
) -> tuple[bytes, Parity]:
    """Returns the bytes of the ONNX file, and its parity over the rows of all problems and more."""
    with work_folder() as folder:
        path = folder / "model.onnx"
        export_onnx(deploy(fit.student, fit.final), path, identity)
        corpora = [_some(problem.table.features) for problem in problems]
        rows = parity_rows(identity.feature_set, corpora)
        if fit.student.spec.over_frames:
            rows = clip_rows(rows)
        parity = measure_parity(fit.student, fit.final, OnnxModel(path), rows, config.parity)
        return path.read_bytes(), parity


def _behaviour(fit: Fit, problem: Problem) -> dict[str, Deviation] | None:
    """Measures the student outside its data; None where no teacher can be asked."""
    if problem.teacher is None:
        return None
    predict_rows = jax.jit(fit.student.predict)

    def student(features: np.ndarray) -> np.ndarray:
        return np.asarray(predict_rows(fit.final, jnp.asarray(features, jnp.float32)))

    table = problem.table
    return behaviour(student, problem.teacher, _some(table.features), table.feature_set)


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
        f"{FOUR_K}, {name}": np.array([apply_pooling(scores, name) for scores in own])
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
