"""Figures of a run: the content of `metrics.json`, with the behaviour outside the training data.

Cases of that: identical pictures at any motion (still and black ones are those without motion),
pictures without motion at any quality, and a box a fifth wider than the data in every feature.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import FoldMetrics, Loso
from vmaf_jax.evaluation.metrics import Distance, Metrics, max_abs, rmse
from vmaf_jax.evaluation.opinion_report import Experiments
from vmaf_jax.evaluation.run_comparison import Standing
from vmaf_jax.features.feature_set import FeatureSet

CASES = {
    "identical": "identical pictures, motion2 from 0 to 30",
    "still": "the training clips with their motion set to 0",
    "wider_box": "random features in a box 20 % wider than the training rows",
}
_WIDENING = 0.2  # of the data's range, half of it at either side
_N_DRAWN = 20_000  # the worst of them is repeatable; drawn by a fixed seed
_CHUNK = 1 << 17  # rows that are predicted at once

Predict = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating]]


@dataclasses.dataclass(frozen=True)
class Deviation:
    """Difference of clipped scores of a student and its teacher over `n` rows, VMAF points."""

    n: int
    rmse: float
    max_abs: float


def behaviour(
    student: Predict, teacher: Predict, features: npt.NDArray[np.float64], feature_set: FeatureSet
) -> dict[str, Deviation]:
    """Measures the deviation of `student` from `teacher` by case.

    Args:
        student, teacher: from features `[n, d]` to clipped scores `[n]`, VMAF points.
        features: the training rows `[n, d]`, which define the box.
    """
    motion = [name in feature_set.reference_only for name in feature_set]
    lower, upper = features.min(axis=0), features.max(axis=0)
    margin = (upper - lower) * _WIDENING / 2
    rng = np.random.default_rng(0)
    wide = rng.uniform(lower - margin, upper + margin, (_N_DRAWN, len(feature_set)))
    wide = np.clip(wide, feature_set.lower, feature_set.upper)
    # Motion is of the reference alone; of equal pictures all other features have one value.
    speeds = np.linspace(0, feature_set.upper[motion.index(True)], 301)
    identical = np.where(motion, speeds[:, None], feature_set.identical)
    still = np.where(motion, 0.0, features)
    cases = {"identical": identical, "still": still, "wider_box": wide}
    deviations = {}
    for name, rows in cases.items():
        by_student, by_teacher = _in_chunks(student, rows), _in_chunks(teacher, rows)
        deviations[name] = Deviation(
            len(rows), rmse(by_student, by_teacher), max_abs(by_student, by_teacher)
        )
    return deviations


def _in_chunks(predict: Predict, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
    return np.concatenate([predict(rows[k : k + _CHUNK]) for k in range(0, len(rows), _CHUNK)])


@dataclasses.dataclass(frozen=True)
class Timing:
    """Duration of a run in seconds: compiling, training, and the whole run."""

    compile_s: float
    train_s: float
    total_s: float


@dataclasses.dataclass(frozen=True)
class RunMetrics:
    """Figures of a run, in VMAF points and correlations.

    Attributes:
        loso, folds: of the held-out predictions; `folds` has an entry for each source and seed.
        held_out_together: the sources of each fold; None where every source is a fold of its own.
        external: of corpora that took no part in the training, by name.
        parity: of the deployed form in JAX against ONNX Runtime.
        behaviour: deviation from the teacher outside the data, by case; None without a teacher.
        beside: comparison of the held-out predictions with models that need no training; None where
            there are none for these rows.
        experiments: agreement of the held-out predictions, and of VMAF at 4K by its best poolings,
            with each subjective test; None without tests.
        environment: description of the machine by `environment.environment`.
    """

    loso: Loso
    folds: tuple[FoldMetrics, ...]
    held_out_together: tuple[tuple[str, ...], ...] | None
    external: dict[str, Metrics]
    parity: Distance
    timing: Timing
    environment: dict[str, Any]
    behaviour: dict[str, Deviation] | None
    beside: Standing | None = None
    experiments: Experiments | None = None
