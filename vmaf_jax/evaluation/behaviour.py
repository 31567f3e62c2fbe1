"""A student outside its data, against the teacher that can be asked anywhere.

Cases, each with its count and the worst and root-mean-squared difference of clipped scores:
identical pictures at any motion (still and black ones are those without motion), pictures without
motion at any quality, and a box a fifth wider than the data in every feature.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.metrics import max_abs, rmse
from vmaf_jax.features.feature_set import FeatureSet

WIDENING = 0.2  # of the data's range, half of it at either side
_N = 20_000
_PART = 1 << 17  # rows that are predicted at once

Predict = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating[Any]]]


@dataclasses.dataclass(frozen=True)
class Deviation:
    """How far a student is from its teacher over `n` rows, VMAF points."""

    n: int
    rmse: float
    max_abs: float


def behaviour(
    student: Predict,
    teacher: Predict,
    features: npt.NDArray[np.float64],
    feature_set: FeatureSet,
) -> dict[str, Deviation]:
    """Differences of `student` from `teacher`, VMAF points, by case.

    Args:
        student, teacher: from features `[n, d]` to clipped scores `[n]`.
        features: the training rows, which define the box.
    """
    motion = [name in feature_set.reference_only for name in feature_set]
    lower, upper = features.min(axis=0), features.max(axis=0)
    margin = (upper - lower) * WIDENING / 2
    rng = np.random.default_rng(0)
    wide = rng.uniform(lower - margin, upper + margin, (_N, len(feature_set)))
    wide = np.clip(wide, feature_set.lower, feature_set.upper)
    speeds = np.linspace(0, feature_set.upper[motion.index(True)], 301)
    identical = np.where(motion, speeds[:, None], feature_set.identical)
    still = np.where(motion, 0.0, features)
    cases = {"identical": identical, "still": still, "wider_box": wide}
    deviations = {}
    for name, rows in cases.items():
        ours, theirs = (_in_parts(predict, rows) for predict in (student, teacher))
        deviations[name] = Deviation(len(rows), rmse(ours, theirs), max_abs(ours, theirs))
    return deviations


def _in_parts(predict: Predict, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.floating[Any]]:
    return np.concatenate([predict(rows[k : k + _PART]) for k in range(0, len(rows), _PART)])
