"""Agreement of scores: PLCC, SROCC, KROCC, RMSE, MAE, max_abs, endpoint RMSE and ULP distances.

Inputs are `[n]`, in VMAF points; sums run in float64 on the host. Scores saturate at 0 and 100, so
ties are common: tied rows share a mean rank. A correlation of a constant is undefined and comes
out as NaN (null in JSON).
Source: ITU-T P.1401 (01/2020), 7.5.1 RMSE and 7.5.3 PLCC; SciPy's definitions of the ranks.

Rows whose score is clipped on either side agree trivially and are counted apart. Near zero on a
0-100 scale a ULP is far finer than float32 arithmetic on that scale can be, so ULP are counted
from 16 points up.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

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


def ordered(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Each float32 as an integer, in the same order; both zeros are 0, neighbours differ by 1."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    # A negative float's bits count away from the smallest int32.
    return np.where(bits < 0, np.int64(-(2**31)) - bits, bits)


def ulp_distance(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Floats between `a` and `b`, counted over the ordered integers, `[n]`, >= 0."""
    return np.abs(ordered(a) - ordered(b))


Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Floats]

FEATURE_LIMIT = 2e-5  # no unit; what float32 sums in another order may differ by
MOTION_LIMIT = 2e-4  # relative to the greater motion, where FEATURE_LIMIT is passed
SCORE_LIMIT = 1e-3  # VMAF points
SPEED_LIMIT = 1e-4  # relative, of SpEED, where FEATURE_LIMIT is passed
OFFICIAL_SCORE_LIMIT = 0.02  # VMAF points, against libvmaf's integer features
_RELATIVE = {"motion2": MOTION_LIMIT, "speed": SPEED_LIMIT}
_LIMITS = {"adm3": 5e-5, "cambi": 1e-5, "motion3": 5e-4}  # of what only integer extractors measure


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far one column of two backends lies apart.

    Attributes:
        max_abs, mean_abs: absolute differences, in the column's unit.
        row: of the maximum; `ours` and `theirs` are the values there.
        max_relative: of motion2 and SpEED, where it exceeds `FEATURE_LIMIT`; 0 elsewhere.
        max_ulp: distance in float32 ULP; None where a side was read from a log of six decimals.
    """

    max_abs: float
    mean_abs: float
    row: int
    ours: float
    theirs: float
    max_relative: float = 0.0
    max_ulp: int | None = None


def differences(ours: Columns, theirs: Columns, *, ulp: bool = False) -> dict[str, Difference]:
    """Per column, how far two backends lie apart.

    Args:
        ulp: add ULP distances, which say something only where both sides were computed.
    """
    return {name: _difference(name, values, theirs[name], ulp) for name, values in ours.items()}


def _difference(name: str, ours: Floats, theirs: Floats, ulp: bool) -> Difference:
    gap = np.abs(ours - theirs)
    row = int(np.argmax(gap))
    max_relative = 0.0
    if name.startswith(tuple(_RELATIVE)):
        greater = np.maximum(np.abs(ours), np.abs(theirs))
        large = ~(gap <= FEATURE_LIMIT)  # values near zero are held to that
        max_relative = float((gap[large] / greater[large]).max(initial=0.0))
    return Difference(
        max_abs=float(gap[row]),
        mean_abs=float(gap.mean()),
        row=row,
        ours=float(ours[row]),
        theirs=float(theirs[row]),
        max_relative=max_relative,
        max_ulp=int(ulp_distance(ours.astype(np.float32), theirs.astype(np.float32)).max())
        if ulp
        else None,
    )


def beyond(ours: Columns, integer: Columns, floats: Columns) -> dict[str, float]:
    """By how much, per feature and at most, `ours` is farther from libvmaf's integer extractor than
    libvmaf's own float extractor is on the same frame."""
    return {
        name: float((np.abs(values - integer[name]) - np.abs(floats[name] - integer[name])).max())
        for name, values in ours.items()
    }


def missed(differences: Mapping[str, Difference], score_limit: float = SCORE_LIMIT) -> list[str]:
    """What of two backends that should agree is over its limit, in words."""
    failures = []
    for name, difference in differences.items():
        relative = next((_RELATIVE[kind] for kind in _RELATIVE if name.startswith(kind)), None)
        if relative is not None:
            value, limit = difference.max_relative, relative
        else:
            value = difference.max_abs
            limit = score_limit if name == "score" else _LIMITS.get(name, FEATURE_LIMIT)
        if not value <= limit:  # NaN misses too
            failures.append(f"{name} differs by {value:.2e}, limit {limit:.0e}")
    return failures


Scores = npt.NDArray[np.float32]

RANGE = (0.0, 100.0)  # VMAF points; scores at its ends are clipped
ULP_FROM = 16.0  # VMAF points
_OCTAVES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)
_ULP_EDGES = (0, 1, 2, 4, 8, 16, 64)


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far two sets of scores are apart over the `n` rows where neither is clipped.

    Attributes:
        clipped: rows counted apart.
        max_abs: VMAF points; a row clipped on one side only counts by how far it is past the end.
        max_ulp: over scores of `ULP_FROM` and more.
    """

    n: int
    clipped: int
    max_abs: float
    max_ulp: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchDistance(Distance):
    """The same, with rows fed `batch` at a time."""

    batch: int


@dataclasses.dataclass(frozen=True)
class Octave:
    """Distances of the scores in [low, high), VMAF points; from 1 up one octave of float32."""

    low: float = dataclasses.field(metadata={"json": "from"})
    high: float = dataclasses.field(metadata={"json": "to"})
    n: int
    max_ulp: int
    mean_ulp: float
    max_abs: float


@dataclasses.dataclass(frozen=True)
class WorstRow:
    """The row where the two are farthest apart, and what each says, VMAF points."""

    features: list[float]
    jax: float
    onnxruntime: float
    float64: float


@dataclasses.dataclass(frozen=True)
class Rounding:
    """How far scores are from the same function in float64, VMAF points."""

    max_abs: float
    mean_abs: float


def distance(a: Scores, b: Scores) -> Distance:
    """The distance of two sets of scores `[n]`."""
    inside = _inside(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    large = inside & (np.minimum(a, b) >= ULP_FROM)
    return Distance(
        n=int(inside.sum()),
        clipped=int((~inside).sum()),
        max_abs=float(difference.max(initial=0.0)),
        max_ulp=int(ulp_distance(a, b)[large].max(initial=0)),
    )


def ulp_counts(a: Scores, b: Scores) -> dict[str, int]:
    """How many rows lie how far apart, for scores of `ULP_FROM` and more."""
    ulp = ulp_distance(a, b)[_inside(a, b) & (np.minimum(a, b) >= ULP_FROM)]
    counts = {"0": int((ulp == 0).sum())}
    for low, high in itertools.pairwise(_ULP_EDGES):
        counts[f"{low + 1}-{high}" if high > low + 1 else f"{high}"] = int(
            ((ulp > low) & (ulp <= high)).sum()
        )
    return counts | {"more": int((ulp > _ULP_EDGES[-1]).sum())}


def octaves(a: Scores, b: Scores) -> list[Octave]:
    """Distances by the size of the score."""
    inside, ulp = _inside(a, b), ulp_distance(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    entries = []
    for low, high in itertools.pairwise(_OCTAVES):
        rows = inside & (a >= low) & (a < high)
        entries.append(
            Octave(
                low=low,
                high=high,
                n=int(rows.sum()),
                max_ulp=int(ulp[rows].max(initial=0)),
                mean_ulp=float(ulp[rows].mean()) if rows.any() else 0.0,
                max_abs=float(difference[rows].max(initial=0.0)),
            )
        )
    return entries


def worst_row(
    rows: npt.NDArray[np.float32], in_jax: Scores, in_onnx: Scores, exact: npt.NDArray[np.float64]
) -> WorstRow:
    """The row `[d]` of `rows` where the two are farthest apart, in points."""
    k = int(np.argmax(np.abs(in_jax.astype(np.float64) - in_onnx)))
    return WorstRow(rows[k].tolist(), float(in_jax[k]), float(in_onnx[k]), float(exact[k]))


def rounding(scores: Scores, exact: npt.NDArray[np.float64]) -> Rounding:
    """How far `scores` are from `exact`."""
    error = np.abs(scores - exact)
    return Rounding(float(error.max(initial=0.0)), float(error.mean()))


def _inside(a: Scores, b: Scores) -> npt.NDArray[np.bool_]:
    low, high = RANGE
    return (a > low) & (a < high) & (b > low) & (b < high)
