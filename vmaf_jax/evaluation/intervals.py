"""Confidence intervals of metrics over sources or clips, and tests of paired differences.

*Over sources.* Rows of a source depend on each other, so the sources are the sample: each is left
out in turn (jackknife), and Student's t with one degree of freedom fewer than there are sources
gives

    estimate -+ t(G - 1) se,   se^2 = G / (G - 2) (G - 1) / G sum_g (x_-g - mean)^2

in the logarithm of an RMSE, which keeps it positive, and in Fisher's z of a PLCC. All seeds of a
run are taken together. In simulation with normal effects of the source a 95 % interval of RMSE held
the truth in 93 to 95 of 100 cases, with 5 to 40 sources; where a source's spread itself varies a
lot (lognormal, 0.7) in 86 to 89.
Source: "An introduction to the bootstrap", Efron and Tibshirani, chapter 11 (jackknife); the factor
G / (G - 2) is that of small numbers of clusters.

*Over clips.* Clips are drawn with replacement, and each draw gives `t* = (mean* - mean) / se*`; the
interval is `mean - t*_(1 - a/2) se` to `mean - t*_(a/2) se`, with `a = 1 - level`. Percentiles of
the draws' means would be too narrow for a dozen clips: in 4,000 simulations with normal differences
of 6, 12 and 24 clips a 95 % interval held the truth in 95, 94 and 95 of 100 (percentiles: 86, 90,
94), with lognormal ones (0.7) in 92, 93 and 95 (percentiles: 80, 87, 91).
Source: "An introduction to the bootstrap", Efron and Tibshirani, 12.5.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
MIN_CLIPS = 5  # fewer give too few different draws for a bootstrap
N_DRAWS = 9999  # ends of intervals take thousands, a standard error tens


@dataclasses.dataclass(frozen=True)
class Interval:
    """Interval of a figure at `LEVEL`; both ends are NaN with fewer than three sources."""

    low: float
    high: float


def jackknife(estimate: float, leave_one_out: Floats) -> Interval:
    """Computes the jackknife confidence interval of `estimate` over sources.

    Args:
        leave_one_out: the estimate without source i, `[n_sources]`. Fewer than three give NaN.
    """
    g = len(leave_one_out)
    if g < 3:
        return Interval(math.nan, math.nan)
    from scipy.stats import t as student

    variance = (g - 1) / (g - 2) * np.sum(np.square(leave_one_out - leave_one_out.mean()))
    reach = student.ppf((1 + LEVEL) / 2, g - 1) * float(np.sqrt(variance))
    return Interval(estimate - reach, estimate + reach)


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """A figure of two models over the same clips, and its difference.

    Attributes:
        first, second: the figure of each model.
        difference: first less second.
        interval: of the difference, 95 %, over sources; NaN with fewer than three.
        p_value: two-sided, of Student's t over sources, that there is no difference; NaN with fewer
            than three sources.
    """

    first: float
    second: float
    difference: float
    interval: Interval
    p_value: float


def paired_jackknife(first: float, second: float, leave_one_out: Floats) -> PairedDifference:
    """Computes the jackknife interval and p value of the difference of two models' figures.

    Args:
        first, second: the figure of each model over all sources.
        leave_one_out: the difference without source i, `[n_sources]`. Fewer than three give NaN.
    """
    gap = first - second
    interval = jackknife(gap, leave_one_out)
    reach = (interval.high - interval.low) / 2
    if math.isnan(reach):
        return PairedDifference(first, second, gap, interval, math.nan)
    if reach == 0:  # no source changes the difference: equal models, or a certain difference
        return PairedDifference(first, second, gap, interval, 1.0 if gap == 0 else 0.0)
    from scipy.stats import t as student

    freedom = len(leave_one_out) - 1
    t = abs(gap) / reach * float(student.ppf((1 + LEVEL) / 2, freedom))
    return PairedDifference(first, second, gap, interval, float(2 * student.sf(t, freedom)))


def is_significant(p_value: float) -> bool:
    """Returns whether a difference is certain at `LEVEL`; an undefined p value is not."""
    return p_value < 1 - LEVEL  # False for NaN


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Adjusts p values for their number by Holm's step-down procedure; NaN stays NaN.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    numbers = [k for k, p in enumerate(p_values) if not math.isnan(p)]
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, k in enumerate(sorted(numbers, key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (len(numbers) - rank) * p_values[k]))
        adjusted[k] = highest
    return adjusted


def bootstrap_mean(values: Floats, level: float, *, seed: int = 0) -> tuple[float, float] | None:
    """Computes the bootstrap-t interval of a mean over clips; None for fewer than `MIN_CLIPS`.

    Args:
        values: of the clips, `[n]`.
        level: in (0, 1).
    """
    n = len(values)
    if n < MIN_CLIPS:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(n))
    if error == 0:
        return mean, mean
    draws = values[np.random.default_rng(seed).integers(0, n, (N_DRAWS, n))]
    spread = draws.std(axis=1, ddof=1) / np.sqrt(n)
    usable = spread > 1e-12 * error  # a draw that repeats one clip has no spread to divide by
    t = (draws.mean(axis=1)[usable] - mean) / spread[usable]
    low, high = np.quantile(t, [(1 - level) / 2, (1 + level) / 2])
    return mean - float(high) * error, mean - float(low) * error


def sum_by_source(
    predicted: Floats, true: Floats, group: npt.NDArray[np.int64], n_sources: int
) -> Floats:
    """Sums 1, p, t, p^2, t^2, p t and e^2 over the rows of each source: the moments `[g, 7]`.

    Args:
        predicted, true: scores p and t, `[n]`.
        group: the source of each row, `[n]`.
    """

    def terms() -> Iterator[Floats]:  # one at a time: each is as long as a run
        centre = true.mean()  # centred sums lose fewer digits in a correlation
        p, t = predicted - centre, true - centre
        yield np.ones_like(t)
        yield from (p, t)
        yield p**2
        yield t**2
        yield p * t
        # Squared directly: p^2 + t^2 - 2 p t has no digit left of an error below 1e-6 of the
        # scores.
        yield (predicted - true) ** 2

    return np.stack([np.bincount(group, term, n_sources) for term in terms()], axis=-1)


def sum_without_each(sums: Floats) -> Floats:
    """Sums over the last axis but one, `g`, without each of its entries in turn, `[..., g, k]`."""
    # Entries before and after are added up: total less entry would lose small sums beside a large
    # one.
    before, after = np.zeros_like(sums), np.zeros_like(sums)
    before[..., 1:, :] = np.cumsum(sums[..., :-1, :], axis=-2)
    after[..., :-1, :] = np.cumsum(sums[..., :0:-1, :], axis=-2)[..., ::-1, :]
    return before + after


def moment_rmse(moments: Floats) -> Floats:
    """Computes the RMSE, VMAF points, from moments on the last axis."""
    return np.asarray(np.sqrt(moments[..., 6] / moments[..., 0]))


def moment_plcc(moments: Floats) -> Floats:
    """Computes Pearson's correlation from moments on the last axis."""
    n, p, t, pp, tt, pt, _ = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((n * pt - p * t) / np.sqrt((n * pp - p**2) * (n * tt - t**2)))


def rmse_interval(moments: Floats) -> Interval:
    """Computes the interval of an RMSE over sources, VMAF points, from moments `[g, 7]`."""
    rmse = float(moment_rmse(moments.sum(axis=0)))
    with np.errstate(invalid="ignore", divide="ignore"):  # of a single source none is left
        return rmse_jackknife(rmse, moment_rmse(sum_without_each(moments)))


def rmse_jackknife(rmse: float, leave_one_out: Floats) -> Interval:
    """Computes the jackknife interval of an RMSE in its logarithm; NaN where one of them is 0.

    Args:
        leave_one_out: the RMSE without source i, `[n_sources]`.
    """
    if not (rmse > 0 and np.all(leave_one_out > 0)):
        return Interval(math.nan, math.nan)
    interval = jackknife(math.log(rmse), np.log(leave_one_out))
    with np.errstate(over="ignore"):  # three sources can give an interval without an upper end
        return Interval(float(np.exp(interval.low)), float(np.exp(interval.high)))


def plcc_interval(moments: Floats) -> Interval:
    """Computes the interval of a PLCC over sources from moments `[g, 7]`, by Fisher's z.

    NaN where a correlation is undefined, or exactly 1 or -1.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = float(np.arctanh(moment_plcc(moments.sum(axis=0))))
        z = np.arctanh(moment_plcc(sum_without_each(moments)))
    if not (math.isfinite(estimate) and np.isfinite(z).all()):
        return Interval(math.nan, math.nan)
    interval = jackknife(estimate, z)
    return Interval(float(np.tanh(interval.low)), float(np.tanh(interval.high)))
