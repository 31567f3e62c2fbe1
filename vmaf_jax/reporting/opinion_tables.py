"""A model against opinions, and two beside each other, at a terminal."""

import dataclasses
from collections.abc import Iterable

from rich.table import Column, Table

from vmaf_jax.evaluation.intervals import Difference, Interval
from vmaf_jax.evaluation.opinion_report import Comparison, OpinionReport
from vmaf_jax.evaluation.opinions import OpinionMetrics
from vmaf_jax.reporting.html import number
from vmaf_jax.reporting.terminal import show_lines, show_table

Scale = tuple[float, float]
_MAPS = {"none": "as it comes", "linear": "line", "cubic": "cubic", "logistic": "logistic"}
_FIGURES = {
    "plcc": "PLCC",
    "srocc": "SROCC",
    "krocc": "KROCC",
    "rmse": "RMSE",
    "rmse_mapped": "RMSE mapped",
    "rmse_star": "RMSE* mapped",
    "outlier_ratio": "outliers mapped",
    "auc_different_similar": "AUC different/similar",
    "auc_better_worse": "AUC better/worse",
    "correct": "better clip right",
}


def show_opinions(title: str, report: OpinionReport, scale: Scale = (0.0, 100.0)) -> None:
    """A row an experiment and map, then all of them; intervals and pairs below.

    Args:
        scale: the scale that people voted on; RMSE are shown on it.
    """
    view = Table(
        *(Column("experiment", no_wrap=True), "mapped by", "n", "PLCC", "SROCC", "KROCC", "RMSE"),
        *("RMSE*", "outliers"),
        title=title,
    )
    experiments = report.experiments if len(report.experiments) > 1 else {}
    for name, maps in [*experiments.items(), ("all", report.overall)]:
        label = name
        for kind, metrics in maps.items():
            view.add_row(label, _MAPS[kind], *_cells(metrics, scale))
            label = ""
        view.add_section()
    show_table(view)
    show_lines(_lines(report, scale))


def show_comparison(
    first: str, second: str, comparison: Comparison, scale: Scale = (0.0, 100.0)
) -> None:
    """A row a figure of two models by name, with the difference and its interval over sources."""
    columns = ("difference", "95 % over sources", "p", "p, clips")
    view = Table(Column("", no_wrap=True), first, second, *columns)
    independent = _independent(comparison)
    for name, entry in comparison.differences.items():
        shown = _on_scale(entry, scale) if name.startswith("rmse") else entry
        view.add_row(
            _FIGURES[name],
            *(number(value) for value in (shown.first, shown.second, shown.difference)),
            _range(shown.interval),
            number(entry.p_value, 3),
            _p(independent[name]) if name in independent else "",
        )
    show_table(view)
    show_lines(
        [
            "p: over sources, the one to go by. p, clips: clips (or pairs) taken as independent, "
            "which they are not."
        ]
    )


def _cells(metrics: OpinionMetrics, scale: Scale) -> Iterable[str]:
    star = None if metrics.rmse_star is None else metrics.rmse_star * _unit(scale)
    figures = (metrics.plcc, metrics.srocc, metrics.krocc, metrics.rmse * _unit(scale), star)
    return [str(metrics.n), *map(number, figures), number(metrics.outlier_ratio, 3)]


def _lines(report: OpinionReport, scale: Scale) -> Iterable[str]:
    rmse, mapped = (
        _range(_scaled(interval, scale))
        for interval in (report.rmse_interval, report.rmse_mapped_interval)
    )
    yield (
        f"95 % over {report.sources} sources: PLCC {_range(report.plcc_interval)}, RMSE {rmse}, "
        f"mapped by lines {mapped}"
    )
    if scale != (0.0, 100.0):
        yield f"RMSE are on the scale {scale[0]:g} to {scale[1]:g}"
    if (pairs := report.krasula) is not None:
        yield (
            f"pairs: {pairs.different} different, {pairs.similar} similar; AUC different/similar "
            f"{number(pairs.auc_different_similar)}, better/worse "
            f"{number(pairs.auc_better_worse)}, better clip right {number(pairs.correct)}"
        )


def _independent(comparison: Comparison) -> dict[str, float]:
    values = {"plcc": comparison.plcc}
    if comparison.rmse_star is not None and comparison.outlier_ratio is not None:
        values |= {"rmse_star": comparison.rmse_star, "outlier_ratio": comparison.outlier_ratio}
    if (pairs := comparison.krasula) is not None:
        values["auc_different_similar"] = pairs.different_similar
        values["auc_better_worse"] = pairs.better_worse
        values["correct"] = pairs.correct
    return values


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, 3)


def _unit(scale: Scale) -> float:
    """Of the scale, per point of 0-100."""
    return (scale[1] - scale[0]) / 100


def _scaled(interval: Interval, scale: Scale) -> Interval:
    return Interval(interval.low * _unit(scale), interval.high * _unit(scale))


def _on_scale(entry: Difference, scale: Scale) -> Difference:
    unit = _unit(scale)
    return dataclasses.replace(
        entry,
        first=entry.first * unit,
        second=entry.second * unit,
        difference=entry.difference * unit,
        interval=_scaled(entry.interval, scale),
    )


def _range(interval: Interval) -> str:
    return f"{number(interval.low)} to {number(interval.high)}"
