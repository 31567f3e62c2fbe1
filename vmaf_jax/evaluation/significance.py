"""Do two models differ? P.1401's tests, which take clips as independent, and one that does not.

    PLCC           z = (atanh r1 - atanh r2) / sqrt(2 / (n - 3)), normal             7.6.1
    outlier ratio  z = (o1 - o2) / sqrt((o1 (1 - o1) + o2 (1 - o2)) / n), normal     7.6.2
    RMSE*          F = the greater squared over the smaller, F(n - d, n - d)         7.7

All p values are two-sided: P.1401 holds F against the one-sided 5 % point, which is p < 0.1 here,
as the greater of the two is on top, whichever it is. Clips of a source depend on each other, and
both models see the same clips; `paired_difference` takes the sources as the sample (jackknife).
Source: ITU-T P.1401 (01/2020); the jackknife as in `intervals`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import scipy  # `scipy.stats` takes seconds, and is loaded where it is used

from vmaf_jax.evaluation.intervals import LEVEL, Interval, jackknife
from vmaf_jax.evaluation.opinions import Opinions

Floats = npt.NDArray[np.float64]
Statistics = Callable[[Floats, Opinions], Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """A figure of two models over the same clips.

    Attributes:
        first, second: the figure of each; `difference` is first less second.
        interval: 95 %, over sources; NaN with fewer than three.
        p_value: two-sided, of Student's t over sources, that there is no difference; NaN likewise.
    """

    first: float
    second: float
    difference: float
    interval: Interval
    p_value: float


def plcc_p_value(first: float, second: float, n: int) -> float:
    """Fisher's z test that two correlations over `n` clips each are equal; NaN with n < 4."""
    if n < 4 or not (math.isfinite(first) and math.isfinite(second)):
        return math.nan
    if first == second:
        return 1.0
    with np.errstate(divide="ignore"):
        z = float(np.arctanh(first) - np.arctanh(second)) / math.sqrt(2 / (n - 3))
    return float(2 * scipy.stats.norm.sf(abs(z)))


def outlier_p_value(first: float, second: float, n: int) -> float:
    """The z test that two outlier ratios over `n` clips each are equal."""
    if first == second:
        return 1.0
    error = math.sqrt((first * (1 - first) + second * (1 - second)) / n)
    return float(2 * scipy.stats.norm.sf(abs(first - second) / error)) if error > 0 else 0.0


def rmse_p_value(first: float, second: float, freedom: tuple[int, int]) -> float:
    """The F test that two RMSE* are equal; `freedom` is n - d of each. NaN where undefined."""
    if not (math.isfinite(first) and math.isfinite(second)) or min(freedom) < 1:
        return math.nan
    if first == second:
        return 1.0
    (small, below), (great, above) = sorted(zip((first, second), freedom, strict=True))
    if small == 0:
        return 0.0
    return min(1.0, 2 * float(scipy.stats.f.sf((great / small) ** 2, above, below)))


def paired_difference(
    statistics: Statistics, first: Floats, second: Floats, opinions: Opinions
) -> dict[str, Difference]:
    """The figures of two models and their differences, with intervals over sources.

    Args:
        statistics: from predictions and opinions of some clips to figures by name; maps are fitted
            inside it, so that leaving a source out leaves it out of the maps too.
        first, second: predictions `[n]` for the same clips.
    """
    models = [opinions.check(first), opinions.check(second)]
    whole = [statistics(model, opinions) for model in models]
    without: list[list[Mapping[str, float]]] = []
    if len(names := sorted(set(opinions.source.tolist()))) >= 3:
        for name in names:
            rows = np.asarray(opinions.source != name, np.bool_)
            rest = opinions.where(rows)
            without.append([statistics(model[rows], rest) for model in models])
    return {
        name: difference_of(
            whole[0][name], whole[1][name], np.array([a[name] - b[name] for a, b in without])
        )
        for name in whole[0]
    }


def difference_of(first: float, second: float, without_each: Floats) -> Difference:
    """A figure of two models, from it of each and its difference with each source left out `[g]`.

    With fewer than three sources the interval and the p value are NaN.
    """
    gap = first - second
    interval = jackknife(gap, without_each)
    reach = (interval.high - interval.low) / 2
    if math.isnan(reach):
        return Difference(first, second, gap, interval, math.nan)
    if reach == 0:
        return Difference(first, second, gap, interval, 1.0 if gap == 0 else 0.0)
    freedom = len(without_each) - 1
    t = abs(gap) / reach * float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom))
    return Difference(first, second, gap, interval, float(2 * scipy.stats.t.sf(t, freedom)))
