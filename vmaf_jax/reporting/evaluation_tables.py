"""Terminal tables of runs and sweeps, of a model against labels or opinions, and of two models."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from rich.table import Column, Table

from vmaf_jax.evaluation.cross_validation import SweepTable
from vmaf_jax.evaluation.intervals import Interval, PairedDifference
from vmaf_jax.evaluation.metrics import METRIC_NAMES, Metrics
from vmaf_jax.evaluation.opinion_report import OpinionComparison, OpinionReport
from vmaf_jax.evaluation.opinions import OpinionMetrics
from vmaf_jax.evaluation.run_comparison import Standing
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.reporting.numbers import format_fixed, format_interval, format_p_value
from vmaf_jax.reporting.terminal import show_lines
from vmaf_jax.reporting.terminal_tables import show_table
from vmaf_jax.tables.opinions import votes_a_point

Scale = tuple[float, float]
POINTS: Scale = (0.0, 100.0)
_MAX_CLIPS = 100  # of a table
_MAPS = {"none": "unmapped", "linear": "line", "cubic": "cubic", "logistic": "logistic"}
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


def show_evaluation(title: str, overall: Metrics, sources: Mapping[str, Metrics]) -> None:
    """Shows the metrics of each source, and of all rows."""
    view = Table("rows", "n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "max", title=title)
    for source, metrics in [*sources.items(), ("all", overall)]:
        figures = (getattr(metrics, name) for name in METRIC_NAMES)
        view.add_row(source, str(metrics.n), *(format_fixed(value, 5) for value in figures))
    show_table(view)


def show_intervals(
    clips: Sequence[tuple[str, str, float, float, float, float]], summary: str
) -> None:
    """Shows the intervals of the first clips, and a line on all of them.

    Args:
        clips: source, clip, and in points its label, its score and the ends of its interval.
        summary: the line on all clips.
    """
    view = Table("source", "clip", "label", "score", "interval", "")
    for source, clip, label, score, low, high in clips[:_MAX_CLIPS]:
        interval, missed = f"{low:.3f} to {high:.3f}", "" if low <= label <= high else "missed"
        view.add_row(source, clip, f"{label:.3f}", f"{score:.3f}", interval, missed)
    show_table(view)
    more = len(clips) - _MAX_CLIPS
    show_lines([f"{summary}; {more} more clips with --json" if more > 0 else summary])


def show_opinions(title: str, report: OpinionReport, scale: Scale = POINTS) -> None:
    """Shows a row for each experiment and map, then all of them; intervals and pairs below.

    Args:
        scale: the worst and the best vote; RMSE are shown on this scale.
    """
    experiment = Column("experiment", no_wrap=True)
    names = ("mapped by", "n", "PLCC", "SROCC", "KROCC", "RMSE", "RMSE*", "outliers")
    view = Table(experiment, *names, title=title)
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
    first: str, second: str, comparison: OpinionComparison, scale: Scale = POINTS
) -> None:
    """Shows a row for each figure of two models, with the difference and its interval over sources.

    Args:
        first, second: the models' names.
        scale: the worst and the best vote; RMSE are shown on this scale.
    """
    columns = ("difference", "95 % over sources", "p", "p, clips")
    view = Table(Column("", no_wrap=True), first, second, *columns)
    for name, entry in comparison.differences.items():
        shown = _on_scale(entry, scale) if name.startswith("rmse") else entry
        clip_p_value = comparison.clip_p_values.get(name)
        view.add_row(
            _FIGURES[name],
            format_fixed(shown.first),
            format_fixed(shown.second),
            format_fixed(shown.difference),
            format_interval(shown.interval, format_fixed),
            format_p_value(entry.p_value),
            "" if clip_p_value is None else format_p_value(clip_p_value),
        )
    show_table(view)
    lines = [
        f"{comparison.n_clips} clips of {comparison.n_sources} sources; p: over sources, the one "
        "to go by; p, clips: clips (or pairs) taken as independent, which they are not"
    ]
    show_lines([*lines, *_scale_lines(scale)])


def _cells(metrics: OpinionMetrics, scale: Scale) -> list[str]:
    star = None if metrics.rmse_star is None else metrics.rmse_star * votes_a_point(scale)
    figures = (
        metrics.plcc,
        metrics.srocc,
        metrics.krocc,
        metrics.rmse * votes_a_point(scale),
        star,
    )
    return [str(metrics.n), *map(format_fixed, figures), format_fixed(metrics.outlier_ratio, 3)]


def _lines(report: OpinionReport, scale: Scale) -> Iterator[str]:
    plcc = format_interval(report.plcc_interval, format_fixed)
    rmse = format_interval(_scaled(report.rmse_interval, scale), format_fixed)
    mapped = format_interval(_scaled(report.rmse_mapped_interval, scale), format_fixed)
    yield f"95 % over {report.sources} sources: PLCC {plcc}, RMSE {rmse}, mapped by lines {mapped}"
    yield from _scale_lines(scale)
    if (pairs := report.krasula) is not None:
        yield (
            f"pairs: {pairs.different} different, {pairs.similar} similar; AUC different/similar "
            f"{format_fixed(pairs.auc_different_similar)}, better/worse "
            f"{format_fixed(pairs.auc_better_worse)}, better clip right "
            f"{format_fixed(pairs.correct)}"
        )


def _scale_lines(scale: Scale) -> list[str]:
    return [] if scale == POINTS else [f"RMSE are on the scale {scale[0]:g} to {scale[1]:g}"]


def _scaled(interval: Interval, scale: Scale) -> Interval:
    return Interval(interval.low * votes_a_point(scale), interval.high * votes_a_point(scale))


def _on_scale(entry: PairedDifference, scale: Scale) -> PairedDifference:
    unit = votes_a_point(scale)
    return dataclasses.replace(
        entry,
        first=entry.first * unit,
        second=entry.second * unit,
        difference=entry.difference * unit,
        interval=_scaled(entry.interval, scale),
    )


def show_run(metrics: RunMetrics) -> None:
    """Shows a run's folds, external corpora, rivals, parity and times."""
    view = Table("held-out source", "n", "PLCC", "SROCC", "RMSE", "max")
    for fold in metrics.folds:
        view.add_row(fold.source, *_metric_cells(fold))
    view.add_section()
    view.add_row("all held out", *_metric_cells(metrics.loso.pooled))
    for corpus, entry in metrics.external.items():
        view.add_row(f"external: {corpus}", *_metric_cells(entry))
    show_table(view)
    if metrics.beside is not None:
        show_standing(metrics.beside)
    loso, parity, timing = metrics.loso, metrics.parity, metrics.timing
    show_lines(
        [
            f"over sources: PLCC {loso.plcc.mean:.5f} ± {loso.plcc.std:.5f}, SROCC "
            f"{loso.srocc.mean:.5f} ± {loso.srocc.std:.5f}, RMSE {loso.rmse.mean:.4f} ± "
            f"{loso.rmse.std:.4f}",
            f"parity: {parity.n} rows, at most {parity.max_abs:.2e} points, {parity.max_ulp} ULP",
            f"time: compile {timing.compile_s:.1f} s, train {timing.train_s:.1f} s, total "
            f"{timing.total_s:.1f} s",
        ]
    )


def _metric_cells(metrics: Metrics) -> list[str]:
    figures = (metrics.plcc, metrics.srocc, metrics.rmse, metrics.max_abs)
    return [str(metrics.n), *(format_fixed(value, 5) for value in figures)]


def show_standing(standing: Standing) -> None:
    """Shows the new model and each model that needs no training, and the verdict below."""
    title = "beside models that need no training, on the same held-out rows"
    columns = ("PLCC", "SROCC", "RMSE", "this less it", "95 % over sources", "p")
    view = Table("", *columns, title=title)
    new = (standing.plcc, standing.srocc, standing.rmse)
    view.add_row("this model", *map(format_fixed, new), "", "", "")
    for rival in standing.rivals:
        view.add_row(
            rival.name,
            format_fixed(rival.plcc),
            format_fixed(rival.srocc),
            format_fixed(rival.rmse),
            format_fixed(rival.difference),
            format_interval(rival.interval, format_fixed),
            format_p_value(rival.p_value),
        )
    show_table(view)
    show_lines(
        [
            standing.verdict,
            f"RMSE in points of 0-100; p of the difference over sources, adjusted for "
            f"{len(standing.rivals)} comparisons by Holm",
        ]
    )


def show_sweep(sweep: SweepTable) -> None:
    """Shows the points of a sweep, the best first."""
    names = [key.rpartition(".")[2] for key in sweep.points[0].settings]
    view = Table("", *names, "RMSE", "95 %", "above best", "PLCC")
    for point in sweep.points:
        view.add_row(
            str(point.rank),
            *(str(value) for value in point.settings.values()),
            format_fixed(point.metrics.rmse),
            format_interval(point.rmse_interval, format_fixed),
            format_fixed(point.above_best),
            format_fixed(point.metrics.plcc, 5),
        )
    show_table(view)
