"""Agreement of predicted with true scores: PLCC, SROCC, KROCC, RMSE, MAE, max_abs, endpoint RMSE.

Inputs are `[n]`, in VMAF points; sums run in float64 on the host. Scores saturate at 0 and 100, so
ties are common: tied rows share a mean rank. A correlation of a constant is undefined and comes
out as NaN (null in JSON).
Source: ITU-T P.1401 (01/2020), 7.5.1 RMSE and 7.5.3 PLCC; SciPy's definitions of the ranks.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # `scipy.stats` takes seconds, and is loaded where it is used

LOW_END, HIGH_END = (0.0, 20.0), (80.0, 100.0)  # VMAF points, both ends included
RANGES = ((0.0, 20.0), (20.0, 40.0), (40.0, 60.0), (60.0, 80.0), (80.0, 100.0))  # VMAF points


def plcc(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Pearson's linear correlation, in [-1, 1]."""
    return _correlation(scipy.stats.pearsonr, predicted, true)


def srocc(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Spearman's rank correlation, in [-1, 1]."""
    return _correlation(scipy.stats.spearmanr, predicted, true)


def krocc(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Kendall's rank correlation (tau-b), in [-1, 1]."""
    return _correlation(scipy.stats.kendalltau, predicted, true)


def rmse(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Root mean squared error, VMAF points; NaN without rows."""
    error = _error(predicted, true)
    return float(np.sqrt(np.mean(np.square(error)))) if error.size else math.nan


def mae(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Mean absolute error, VMAF points; NaN without rows."""
    error = _error(predicted, true)
    return float(np.mean(np.abs(error))) if error.size else math.nan


def max_abs(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Worst absolute error, VMAF points; NaN without rows."""
    error = _error(predicted, true)
    return float(np.max(np.abs(error))) if error.size else math.nan


@dataclasses.dataclass(frozen=True)
class RangeRmse:
    """RMSE (VMAF points) over the rows of a range of labels, and how many they are."""

    rmse: float
    n: int


@dataclasses.dataclass(frozen=True)
class EndpointRmse:
    """RMSE over rows whose label is in [0, 20], and in [80, 100]."""

    low: RangeRmse
    high: RangeRmse


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Every metric of one set of `n` rows; NaN where it is undefined."""

    n: int
    plcc: float
    srocc: float
    krocc: float
    rmse: float
    mae: float
    max_abs: float
    endpoint_rmse: EndpointRmse


METRIC_NAMES = ("plcc", "srocc", "krocc", "rmse", "mae", "max_abs")


def range_rmse(predicted: npt.ArrayLike, true: npt.ArrayLike, low: float, high: float) -> RangeRmse:
    """RMSE over rows whose label is in [low, high], with their count."""
    p, t = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    inside = (t >= low) & (t <= high)
    return RangeRmse(rmse(p[inside], t[inside]), int(inside.sum()))


def all_metrics(predicted: npt.ArrayLike, true: npt.ArrayLike) -> Metrics:
    """Every metric of one set of rows."""
    return Metrics(
        n=int(np.size(predicted)),
        plcc=plcc(predicted, true),
        srocc=srocc(predicted, true),
        krocc=krocc(predicted, true),
        rmse=rmse(predicted, true),
        mae=mae(predicted, true),
        max_abs=max_abs(predicted, true),
        endpoint_rmse=EndpointRmse(
            range_rmse(predicted, true, *LOW_END), range_rmse(predicted, true, *HIGH_END)
        ),
    )


def _error(predicted: npt.ArrayLike, true: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(predicted, np.float64) - np.asarray(true, np.float64)


def _correlation(function: Any, predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    p, t = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if p.size < 2 or np.ptp(p) == 0 or np.ptp(t) == 0:
        return math.nan
    return float(function(p, t).statistic)
