"""A model against opinions: correlations, RMSE, RMSE*, outlier ratio; as it comes and mapped.

    RMSE   sqrt(sum e^2 / n)                           e = predicted - mos
    RMSE*  sqrt(sum max(0, |e| - ci95)^2 / (n - d))    errors within the viewers' doubt are none
    outlier ratio: the share of clips with |e| > ci95

d is the map's number of parameters times the experiments that it was fitted to, 1 without a map.
RMSE is divided by n, as everywhere in this package; P.1401 divides it by n - d too.
Source: ITU-T P.1401 (01/2020), 7.5 and 7.7.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.mapping import FREEDOM, KINDS, Kind, map_by_experiment
from vmaf_jax.evaluation.metrics import krocc, plcc, rmse, srocc
from vmaf_jax.evaluation.opinions import Opinions

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class OpinionMetrics:
    """Agreement with the opinions of `n` clips; NaN where a figure is undefined.

    Attributes:
        freedom: d, what RMSE* takes off its n.
        rmse, rmse_star: points of 0-100.
        rmse_star, outlier_ratio: None without intervals of the opinion scores.
    """

    n: int
    freedom: int
    plcc: float
    srocc: float
    krocc: float
    rmse: float
    rmse_star: float | None
    outlier_ratio: float | None


@dataclasses.dataclass(frozen=True)
class RmseMapped:
    """RMSE in points of 0-100, before and after a line fitted to each experiment.

    Attributes:
        unmapped: clips of experiments too small for a line, counted as they come in both.
    """

    as_it_comes: float
    mapped: float
    unmapped: int


def rmse_star(predicted: Floats, mos: Floats, ci95: Floats, freedom: int = 1) -> float:
    """Epsilon-insensitive RMSE, points; NaN with no more clips than `freedom`."""
    if len(mos) <= freedom:
        return math.nan
    beyond = np.maximum(np.abs(predicted - mos) - ci95, 0.0)
    return math.sqrt(float(np.sum(np.square(beyond))) / (len(mos) - freedom))


def outlier_ratio(predicted: Floats, mos: Floats, ci95: Floats) -> float:
    """The share of clips whose error passes the half-width of their interval, in [0, 1]."""
    return float(np.mean(np.abs(predicted - mos) > ci95))


def opinion_metrics(predicted: Floats, opinions: Opinions, freedom: int = 1) -> OpinionMetrics:
    """Every figure of predictions `[n]` as they are.

    Args:
        freedom: parameters of the map that the predictions went through, 1 without.
    """
    p, mos, ci95 = opinions.check(predicted), opinions.mos, opinions.ci95
    return OpinionMetrics(
        n=len(mos),
        freedom=freedom,
        plcc=plcc(p, mos),
        srocc=srocc(p, mos),
        krocc=krocc(p, mos),
        rmse=rmse(p, mos),
        rmse_star=None if ci95 is None else rmse_star(p, mos, ci95, freedom),
        outlier_ratio=None if ci95 is None else outlier_ratio(p, mos, ci95),
    )


def mapped_metrics(predicted: Floats, opinions: Opinions, kind: Kind) -> OpinionMetrics:
    """Every figure after a map fitted to each experiment."""
    p = opinions.check(predicted)
    mapped, done = map_by_experiment(kind, p, opinions.mos, opinions.experiment)
    fitted = len(set(opinions.experiment[done].tolist()))
    return opinion_metrics(mapped, opinions, max(fitted * FREEDOM[kind], 1))


def all_maps(predicted: Floats, opinions: Opinions) -> dict[str, OpinionMetrics]:
    """The figures as they come (`none`) and after each kind of map."""
    return {"none": opinion_metrics(predicted, opinions)} | {
        kind: mapped_metrics(predicted, opinions, kind) for kind in KINDS
    }


def rmse_mapped(
    predicted: npt.ArrayLike, mos: npt.ArrayLike, experiment: npt.ArrayLike
) -> RmseMapped:
    """RMSE of predictions `[n]` as it comes, and after the first-order map of each experiment.

    The line is of least squares and never falls: constant predictions become the experiment's mean.
    """
    p, truth = np.asarray(predicted, np.float64), np.asarray(mos, np.float64)
    mapped, done = map_by_experiment("linear", p, truth, experiment)
    return RmseMapped(rmse(p, truth), rmse(mapped, truth), int((~done).sum()))
