"""Agreement of scores: correlations, errors, distances of two implementations, ULP distances.

Inputs are `[n]`, in VMAF points; sums run in float64 on the host. Scores saturate at 0 and 100, so
ties are common: tied rows share a mean rank. A correlation of a constant is undefined and comes
out as NaN (null in JSON).
Source: ITU-T P.1401 (01/2020), 7.5.1 RMSE and 7.5.3 PLCC; SciPy's definitions of the ranks.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Columns = Mapping[str, Floats]

METRIC_NAMES = ("plcc", "srocc", "krocc", "rmse", "mae", "max_abs")
LOW_END, HIGH_END = (0.0, 20.0), (80.0, 100.0)  # VMAF points, both ends included
RANGES = ((0.0, 20.0), (20.0, 40.0), (40.0, 60.0), (60.0, 80.0), (80.0, 100.0))  # VMAF points


@dataclasses.dataclass(frozen=True)
class RangeRmse:
    """RMSE (VMAF points) over the `n` rows of a range of labels."""

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


def all_metrics(predicted: npt.ArrayLike, true: npt.ArrayLike) -> Metrics:
    """Computes every metric of one set of rows."""
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


def plcc(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Computes Pearson's linear correlation, in [-1, 1]."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predicted, true)


def srocc(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Computes Spearman's rank correlation, in [-1, 1]."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predicted, true)


def krocc(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Computes Kendall's rank correlation (tau-b), in [-1, 1]."""
    from scipy.stats import kendalltau

    return _correlation(kendalltau, predicted, true)


def rmse(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Computes the root mean squared error, VMAF points; NaN without rows."""
    error = _error(predicted, true)
    return float(np.sqrt(np.mean(np.square(error)))) if error.size else math.nan


def mae(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Computes the mean absolute error, VMAF points; NaN without rows."""
    error = _error(predicted, true)
    return float(np.mean(np.abs(error))) if error.size else math.nan


def max_abs(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Computes the worst absolute error, VMAF points; NaN without rows."""
    error = _error(predicted, true)
    return float(np.max(np.abs(error))) if error.size else math.nan


def range_rmse(predicted: npt.ArrayLike, true: npt.ArrayLike, low: float, high: float) -> RangeRmse:
    """Computes the RMSE over rows whose label is in [low, high]."""
    p, t = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    inside = (t >= low) & (t <= high)
    return RangeRmse(rmse(p[inside], t[inside]), int(inside.sum()))


def _error(predicted: npt.ArrayLike, true: npt.ArrayLike) -> Floats:
    return np.asarray(predicted, np.float64) - np.asarray(true, np.float64)


def _correlation(
    function: Callable[[Floats, Floats], Any], predicted: npt.ArrayLike, true: npt.ArrayLike
) -> float:
    p, t = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if p.size < 2 or np.ptp(p) == 0 or np.ptp(t) == 0:  # SciPy would warn
        return math.nan
    return float(function(p, t).statistic)


FEATURE_LIMIT = 2e-5  # no unit; the most that float32 sums in another order may differ by
MOTION_LIMIT = 2e-4  # relative to the greater motion, where FEATURE_LIMIT is passed
SPEED_LIMIT = 1e-4  # relative, of SpEED, where FEATURE_LIMIT is passed
SCORE_LIMIT = 1e-3  # VMAF points
OFFICIAL_SCORE_LIMIT = 0.02  # VMAF points, against libvmaf's integer features
_RELATIVE_LIMITS = {"motion2": MOTION_LIMIT, "speed": SPEED_LIMIT}
# Features of VMAF v1 that libvmaf measures with integer extractors only.
_INTEGER_LIMITS = {"adm3": 5e-5, "cambi": 1e-5, "motion3": 5e-4}


@dataclasses.dataclass(frozen=True)
class ColumnDifference:
    """Difference of one column between two backends.

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


def column_differences(
    ours: Columns, theirs: Columns, *, ulp: bool = False
) -> dict[str, ColumnDifference]:
    """Computes the difference of two backends for each column.

    Args:
        ulp: adds ULP distances, which are meaningful only where both sides were computed.
    """
    differences = {}
    for name, a in ours.items():
        b = theirs[name]
        gap = np.abs(a - b)
        row = int(np.argmax(gap))
        max_relative = 0.0
        if name.startswith(tuple(_RELATIVE_LIMITS)):
            greater = np.maximum(np.abs(a), np.abs(b))
            large = ~(gap <= FEATURE_LIMIT)  # values near zero are held to the absolute limit
            max_relative = float((gap[large] / greater[large]).max(initial=0.0))
        distance = ulp_distance(a.astype(np.float32), b.astype(np.float32)) if ulp else None
        differences[name] = ColumnDifference(
            max_abs=float(gap[row]),
            mean_abs=float(gap.mean()),
            row=row,
            ours=float(a[row]),
            theirs=float(b[row]),
            max_relative=max_relative,
            max_ulp=None if distance is None else int(distance.max()),
        )
    return differences


def excess_over_floats(ours: Columns, integer: Columns, floats: Columns) -> dict[str, float]:
    """Computes by how much, per feature and at most, `ours` is farther from libvmaf's integer
    extractor than libvmaf's own float extractor is on the same frame."""
    return {
        name: float((np.abs(values - integer[name]) - np.abs(floats[name] - integer[name])).max())
        for name, values in ours.items()
    }


def column_limits(columns: Iterable[str], score_limit: float = SCORE_LIMIT) -> dict[str, float]:
    """Returns each column's limit: relative of motion2 and SpEED, else in the column's unit."""
    absolute = {**_INTEGER_LIMITS, "score": score_limit}
    limits = {}
    for name in columns:
        relative = next((v for kind, v in _RELATIVE_LIMITS.items() if name.startswith(kind)), None)
        limits[name] = absolute.get(name, FEATURE_LIMIT) if relative is None else relative
    return limits


def missed_limits(
    differences: Mapping[str, ColumnDifference], score_limit: float = SCORE_LIMIT
) -> list[str]:
    """Lists the columns of two backends that differ by more than their limit, a sentence each."""
    failures = []
    for name, limit in column_limits(differences, score_limit).items():
        is_relative = name.startswith(tuple(_RELATIVE_LIMITS))
        value = differences[name].max_relative if is_relative else differences[name].max_abs
        if not value <= limit:  # NaN misses too
            failures.append(f"{name} differs by {value:.2e}, limit {limit:.0e}")
    return failures


# Near zero on a 0-100 scale a ULP is far finer than float32 arithmetic on that scale can be.
ULP_FROM = 16.0  # VMAF points, from which ULP are counted
_ENDS = (0.0, 100.0)  # VMAF points; rows clipped on either side agree trivially
_OCTAVES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)
_ULP_EDGES = (0, 1, 2, 4, 8, 16, 64)


@dataclasses.dataclass(frozen=True)
class Distance:
    """Distance of two sets of scores over the `n` rows where neither is clipped.

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
    """Distance of two sets of scores that were computed from `batch` rows at a time."""

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
    """The row where two runtimes are farthest apart, and the scores by each, VMAF points."""

    features: list[float]
    jax: float
    onnxruntime: float
    float64: float


@dataclasses.dataclass(frozen=True)
class Rounding:
    """Distance of scores from the same function in float64, VMAF points."""

    max_abs: float
    mean_abs: float


def score_distance(a: Scores, b: Scores) -> Distance:
    """Computes the distance of two sets of scores `[n]`."""
    inside = _unclipped(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    large = inside & (np.minimum(a, b) >= ULP_FROM)
    return Distance(
        n=int(inside.sum()),
        clipped=int((~inside).sum()),
        max_abs=float(difference.max(initial=0.0)),
        max_ulp=int(ulp_distance(a, b)[large].max(initial=0)),
    )


def ulp_counts(a: Scores, b: Scores) -> dict[str, int]:
    """Counts rows by ULP distance, for scores of `ULP_FROM` and more."""
    ulp = ulp_distance(a, b)[_unclipped(a, b) & (np.minimum(a, b) >= ULP_FROM)]
    counts = {"0": int((ulp == 0).sum())}
    for low, high in itertools.pairwise(_ULP_EDGES):
        name = f"{low + 1}-{high}" if high > low + 1 else f"{high}"
        counts[name] = int(((ulp > low) & (ulp <= high)).sum())
    return counts | {"more": int((ulp > _ULP_EDGES[-1]).sum())}


def octave_distances(a: Scores, b: Scores) -> list[Octave]:
    """Computes distances by the size of the score."""
    inside, ulp = _unclipped(a, b), ulp_distance(a, b)
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
    rows: npt.NDArray[np.float32], in_jax: Scores, in_onnx: Scores, exact: Floats
) -> WorstRow:
    """Finds the row `[d]` of `rows` `[n, d]` where two sets of scores are farthest apart."""
    k = int(np.argmax(np.abs(in_jax.astype(np.float64) - in_onnx)))
    return WorstRow(rows[k].tolist(), float(in_jax[k]), float(in_onnx[k]), float(exact[k]))


def rounding_error(scores: Scores, exact: Floats) -> Rounding:
    """Computes the distance of `scores` from `exact`, both `[n]`."""
    error = np.abs(scores - exact)
    return Rounding(float(error.max(initial=0.0)), float(error.mean()))


def ulp_distance(a: Scores, b: Scores) -> npt.NDArray[np.int64]:
    """Counts the floats between `a` and `b`, over the ordered integers, `[n]`, >= 0."""
    return np.abs(_ordered_integers(a) - _ordered_integers(b))


def _ordered_integers(values: Scores) -> npt.NDArray[np.int64]:
    """Maps float32 to integers in the same order; both zeros are 0, neighbours differ by 1."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    # The bits of negative floats increase with their size, away from the smallest int32.
    return np.where(bits < 0, np.int64(-(2**31)) - bits, bits)


def _unclipped(a: Scores, b: Scores) -> npt.NDArray[np.bool_]:
    low, high = _ENDS
    return (a > low) & (a < high) & (b > low) & (b < high)
