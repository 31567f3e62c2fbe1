"""From a fit to the content of a run folder: metrics, calibration, exported file and parity."""

import time
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.environment import environment
from vmaf_jax.evaluation import all_metrics, loso_metrics
from vmaf_jax.evaluation.conformal import Calibration, fit_region, pool_held_out
from vmaf_jax.evaluation.cross_validation import HeldOut, SweepTable
from vmaf_jax.evaluation.metrics import Distance
from vmaf_jax.evaluation.run_metrics import Deviation, RunMetrics, Timing, behaviour
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
from vmaf_jax.runs.problem import Problem, load_problem, table_digest
from vmaf_jax.runs.rivals import experiments_of, standing_of
from vmaf_jax.runs.run_folder import Run
from vmaf_jax.tables.table import FeatureTable


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
