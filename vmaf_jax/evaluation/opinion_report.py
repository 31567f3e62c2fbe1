"""All statistics of one model against the opinions of clips, with intervals over sources."""

import dataclasses

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.intervals import (
    Interval,
    plcc_interval,
    rmse_interval,
    rmse_jackknife,
    sum_by_source,
)
from vmaf_jax.evaluation.krasula import PairAnalysis, analyse_pairs, pair_clips
from vmaf_jax.evaluation.opinions import OpinionMetrics, Opinions, all_maps, rmse_mapped
from vmaf_jax.tables.categories import encode

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class OpinionReport:
    """Statistics of a model against the opinions of clips.

    Attributes:
        overall: of all clips, unmapped (`none`) and after each map fitted to each experiment.
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
    names, source = encode(opinions.source)
    moments = sum_by_source(p, opinions.mos, source, len(names))
    return OpinionReport(
        overall=all_maps(p, opinions),
        experiments=experiments,
        plcc_interval=plcc_interval(moments),
        rmse_interval=rmse_interval(moments),
        rmse_mapped_interval=_rmse_mapped_interval(p, opinions),
        sources=len(names),
        krasula=None if opinions.ci95 is None else analyse_pairs(p, pair_clips(opinions)),
    )


def _rmse_mapped_interval(predicted: Floats, opinions: Opinions) -> Interval:
    """Computes the jackknife interval over sources; lines are fitted anew without each source."""
    experiment = opinions.experiment
    rmse = rmse_mapped(predicted, opinions.mos, experiment).mapped
    without = []
    for name in sorted(set(opinions.source.tolist())):
        rest = np.asarray(opinions.source != name, np.bool_)
        if rest.any():
            mapped = rmse_mapped(predicted[rest], opinions.mos[rest], experiment[rest]).mapped
            without.append(mapped)
    return rmse_jackknife(rmse, np.array(without))
