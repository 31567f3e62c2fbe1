"""Everything the field asks of a model against opinions, and of two models beside each other."""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.intervals import (
    Difference,
    Interval,
    jackknife,
    outlier_p_value,
    paired_difference,
    plcc_p_value,
    rmse_p_value,
)
from vmaf_jax.evaluation.krasula import Krasula, KrasulaTest, krasula, krasula_test, pairs_of
from vmaf_jax.evaluation.metrics import plcc, rmse
from vmaf_jax.evaluation.opinions import (
    OpinionMetrics,
    Opinions,
    all_maps,
    mapped_metrics,
    opinion_metrics,
    rmse_mapped,
)

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class OpinionReport:
    """A model against the opinions of clips.

    Attributes:
        overall: of all clips, as they come (`none`) and after each map fitted to each experiment.
        experiments: the same, an experiment alone.
        plcc_interval, rmse_interval, rmse_mapped_interval: 95 %, over sources; RMSE in points; NaN
            with fewer than three sources.
        sources: how many sources there are.
        krasula: None where the opinions have no intervals.
    """

    overall: dict[str, OpinionMetrics]
    experiments: dict[str, dict[str, OpinionMetrics]]
    plcc_interval: Interval
    rmse_interval: Interval
    rmse_mapped_interval: Interval
    sources: int
    krasula: Krasula | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models over the same clips; p values are two-sided.

    Attributes:
        differences: by figure, with intervals over sources: the ones to go by. `rmse_mapped` and
            `rmse_star` are after a line fitted to each experiment; without intervals of the
            opinions those of RMSE*, outliers and pairs are absent.
        plcc, rmse_star, outlier_ratio: p values of P.1401's tests, clips taken as independent; of
            RMSE* and outliers after a line fitted to each experiment; None without intervals.
        krasula: p values over pairs, taken as independent; None without intervals.
    """

    differences: dict[str, Difference]
    plcc: float
    rmse_star: float | None
    outlier_ratio: float | None
    krasula: KrasulaTest | None


def opinion_report(predicted: npt.ArrayLike, opinions: Opinions) -> OpinionReport:
    """All statistics of a model's scores `[n]` of the clips.

    Raises:
        InputError: a score that is not a number.
    """
    p = opinions.check(predicted)
    tests = sorted(set(opinions.experiment.tolist()))
    over_sources = functools.partial(_over_sources, predicted=p, opinions=opinions)
    return OpinionReport(
        overall=all_maps(p, opinions),
        experiments={
            test: all_maps(p[rows], opinions.where(rows))
            for test in tests
            for rows in [np.asarray(opinions.experiment == test, np.bool_)]
        },
        plcc_interval=over_sources(_plcc, to=np.arctanh, back=np.tanh),
        rmse_interval=over_sources(_rmse, to=np.log, back=np.exp),
        rmse_mapped_interval=over_sources(_rmse_mapped, to=np.log, back=np.exp),
        sources=len(set(opinions.source.tolist())),
        krasula=None if opinions.ci95 is None else krasula(p, pairs_of(opinions)),
    )


def compare_models(first: npt.ArrayLike, second: npt.ArrayLike, opinions: Opinions) -> Comparison:
    """Do two models differ, and by how much? Scores `[n]` of the same clips.

    Raises:
        InputError: a score that is not a number.
    """
    ours, theirs = opinions.check(first), opinions.check(second)
    differences = paired_difference(_figures, ours, theirs, opinions)
    n, correlations = len(opinions.mos), differences["plcc"]
    p_value = plcc_p_value(correlations.first, correlations.second, n)
    if opinions.ci95 is None:
        return Comparison(differences, p_value, None, None, None)
    stars, outliers = differences["rmse_star"], differences["outlier_ratio"]
    freedom = n - mapped_metrics(ours, opinions, "linear").freedom  # of both: it is of the map
    return Comparison(
        differences,
        plcc=p_value,
        rmse_star=rmse_p_value(stars.first, stars.second, (freedom, freedom)),
        outlier_ratio=outlier_p_value(outliers.first, outliers.second, n),
        krasula=krasula_test(ours, theirs, pairs_of(opinions)),
    )


def _figures(predicted: Floats, opinions: Opinions) -> dict[str, float]:
    """What two models are compared by."""
    raw = opinion_metrics(predicted, opinions)
    mapped = mapped_metrics(predicted, opinions, "linear")
    figures = {"plcc": raw.plcc, "srocc": raw.srocc, "krocc": raw.krocc, "rmse": raw.rmse}
    figures["rmse_mapped"] = mapped.rmse
    if mapped.rmse_star is None or mapped.outlier_ratio is None:
        return figures
    pairs = krasula(predicted, pairs_of(opinions))
    return figures | {
        "rmse_star": mapped.rmse_star,
        "outlier_ratio": mapped.outlier_ratio,
        "auc_different_similar": pairs.auc_different_similar,
        "auc_better_worse": pairs.auc_better_worse,
        "correct": pairs.correct,
    }


def _over_sources(
    figure: Callable[[Floats, Opinions], float],
    predicted: Floats,
    opinions: Opinions,
    *,
    to: Callable[[Floats], Floats],
    back: Callable[[float], float],
) -> Interval:
    """The jackknife's interval of a figure, taken on a scale where it is nearer to normal.

    Maps are fitted anew without each source. NaN with fewer than three sources, or where the
    figure has no place on that scale (an RMSE of 0).
    """
    names = sorted(set(opinions.source.tolist()))
    values = [figure(predicted, opinions)]
    for name in names:
        rows = np.asarray(opinions.source != name, np.bool_)
        if rows.any():
            values.append(figure(predicted[rows], opinions.where(rows)))
    with np.errstate(divide="ignore", over="ignore"):
        scaled = to(np.array(values))
        if len(names) < 3 or not np.isfinite(scaled).all():
            return Interval(math.nan, math.nan)
        interval = jackknife(float(scaled[0]), scaled[1:])
        return Interval(float(back(interval.low)), float(back(interval.high)))


def _plcc(predicted: Floats, opinions: Opinions) -> float:
    return plcc(predicted, opinions.mos)


def _rmse(predicted: Floats, opinions: Opinions) -> float:
    return rmse(predicted, opinions.mos)


def _rmse_mapped(predicted: Floats, opinions: Opinions) -> float:
    return rmse_mapped(predicted, opinions.mos, opinions.experiment).mapped
