"""All statistics of one model against the opinions of clips, with intervals over sources."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.intervals import Interval, jackknife
from vmaf_jax.evaluation.krasula import PairAnalysis, analyse_pairs, pair_clips
from vmaf_jax.evaluation.metrics import plcc, rmse
from vmaf_jax.evaluation.opinions import OpinionMetrics, Opinions, all_maps, rmse_mapped

Floats = npt.NDArray[np.float64]
Figure = Callable[[Floats, Opinions], float]


@dataclasses.dataclass(frozen=True)
class OpinionReport:
    """Statistics of a model against the opinions of clips.

    Attributes:
        overall: of all clips, as they come (`none`) and after each map fitted to each experiment.
        experiments: the same statistics of each experiment alone.
        plcc_interval, rmse_interval, rmse_mapped_interval: 95 %, over sources; RMSE in points; NaN
            with fewer than three sources.
        sources: number of sources.
        krasula: analyses of pairs; None where the opinions have no intervals.
    """

    overall: dict[str, OpinionMetrics]
    experiments: dict[str, dict[str, OpinionMetrics]]
    plcc_interval: Interval
    rmse_interval: Interval
    rmse_mapped_interval: Interval
    sources: int
    krasula: PairAnalysis | None


def opinion_report(predicted: npt.ArrayLike, opinions: Opinions) -> OpinionReport:
    """Computes all statistics of a model's scores `[n]` of the clips.

    Raises:
        InputError: a score that is not a number.
    """
    p = opinions.check(predicted)
    experiments = {}
    for name in sorted(set(opinions.experiment.tolist())):
        rows = np.asarray(opinions.experiment == name, np.bool_)
        experiments[name] = all_maps(p[rows], opinions.where(rows))
    return OpinionReport(
        overall=all_maps(p, opinions),
        experiments=experiments,
        plcc_interval=_over_sources(_plcc, p, opinions, to=np.arctanh, back=np.tanh),
        rmse_interval=_over_sources(_rmse, p, opinions, to=np.log, back=np.exp),
        rmse_mapped_interval=_over_sources(_rmse_mapped, p, opinions, to=np.log, back=np.exp),
        sources=len(set(opinions.source.tolist())),
        krasula=None if opinions.ci95 is None else analyse_pairs(p, pair_clips(opinions)),
    )


def _over_sources(
    figure: Figure,
    predicted: Floats,
    opinions: Opinions,
    *,
    to: Callable[[Floats], Floats],
    back: Callable[[float], float],
) -> Interval:
    """Computes the jackknife interval of a figure over sources; maps are fitted anew for each.

    Args:
        to, back: to a scale on which the figure is nearer to normal, and back. The interval is NaN
            where the figure has no value on that scale, as an RMSE of 0.
    """
    names = sorted(set(opinions.source.tolist()))
    if len(names) < 3:
        return Interval(math.nan, math.nan)
    values = [figure(predicted, opinions)]
    for name in names:
        rows = np.asarray(opinions.source != name, np.bool_)
        values.append(figure(predicted[rows], opinions.where(rows)))
    with np.errstate(divide="ignore", over="ignore"):
        scaled = to(np.array(values))
        if not np.isfinite(scaled).all():
            return Interval(math.nan, math.nan)
        interval = jackknife(float(scaled[0]), scaled[1:])
        return Interval(float(back(interval.low)), float(back(interval.high)))


def _plcc(predicted: Floats, opinions: Opinions) -> float:
    return plcc(predicted, opinions.mos)


def _rmse(predicted: Floats, opinions: Opinions) -> float:
    return rmse(predicted, opinions.mos)


def _rmse_mapped(predicted: Floats, opinions: Opinions) -> float:
    return rmse_mapped(predicted, opinions.mos, opinions.experiment).mapped
