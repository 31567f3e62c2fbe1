"""Terminal tables of runs and sweeps, of a model against labels or opinions, and of two models."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from vmaf_jax.evaluation.cross_validation import SweepTable
from vmaf_jax.evaluation.intervals import Interval, PairedDifference
from vmaf_jax.evaluation.metrics import METRIC_NAMES, Metrics
from vmaf_jax.evaluation.opinion_report import OpinionComparison, OpinionReport
from vmaf_jax.evaluation.opinions import OpinionMetrics
from vmaf_jax.evaluation.run_metrics import RunMetrics, Standing
from vmaf_jax.printable import format_count, format_fixed, format_interval, format_p_value
from vmaf_jax.reporting.terminal import show_lines, show_rows
from vmaf_jax.tables.table import votes_a_point

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
    rows = [
        [name, str(m.n), *(format_fixed(getattr(m, figure), 5) for figure in METRIC_NAMES)]
        for name, m in [*sources.items(), ("all", overall)]
    ]
    show_rows(("rows", "n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "max"), rows, title=title)


def show_intervals(
    clips: Sequence[tuple[str, str, float, float, float, float]], summary: str
) -> None:
    """Shows the intervals of the first clips, and a line on all of them.

    Args:
        clips: source, clip, and in points its label, its score and the ends of its interval.
        summary: the line on all clips.
    """
    rows = [
        [
            source,
            clip,
            f"{label:.3f}",
            f"{score:.3f}",
            f"{low:.3f} to {high:.3f}",
            "" if low <= label <= high else "missed",
        ]
        for source, clip, label, score, low, high in clips[:_MAX_CLIPS]
    ]
    show_rows(("source", "clip", "label", "score", "interval", ""), rows)
    more = len(clips) - _MAX_CLIPS
    show_lines([f"{summary}; {more} more clips with --json" if more > 0 else summary])


def show_opinions(title: str, report: OpinionReport, scale: Scale = POINTS) -> None:
    """Shows a row for each experiment and map, then all of them; intervals and pairs below.

    Args:
        scale: the worst and the best vote; RMSE are shown on this scale.
    """
    names = ("experiment", "mapped by", "n", "PLCC", "SROCC", "KROCC", "RMSE", "RMSE*", "outliers")
    experiments = report.experiments if len(report.experiments) > 1 else {}
    sections = [
        [
            ["" if k else name, _MAPS[kind], *_cells(metrics, scale)]
            for k, (kind, metrics) in enumerate(maps.items())
        ]
        for name, maps in [*experiments.items(), ("all", report.overall)]
    ]
    show_rows(names, *sections, title=title)
    show_lines(_lines(report, scale))


def show_comparison(
    first: str,
    second: str,
    comparison: OpinionComparison,
    scale: Scale = POINTS,
    unit: str = "clip",
) -> None:
    """Shows a row for each figure of two models, with the difference and its interval over sources.

    Args:
        first, second: the models' names.
        scale: the worst and the best vote; RMSE are shown on this scale.
        unit: of what the labels are, a clip or a row of the table.
    """
    rows = []
    for name, entry in comparison.differences.items():
        shown = _on_scale(entry, scale) if name.startswith("rmse") else entry
        clip_p_value = comparison.clip_p_values.get(name)
        rows.append(
            [
                _FIGURES[name],
                format_fixed(shown.first),
                format_fixed(shown.second),
                format_fixed(shown.difference),
                format_interval(shown.interval, format_fixed),
                format_p_value(entry.p_value),
                "" if clip_p_value is None else format_p_value(clip_p_value),
            ]
        )
    show_rows(("", first, second, "difference", "95 % over sources", "p", f"p, {unit}s"), rows)
    lines = [
        f"{format_count(comparison.n_clips, unit)} of "
        f"{format_count(comparison.n_sources, 'source')}; p: over sources, the one "
        f"to go by; p, {unit}s: {unit}s (or pairs) taken as independent, which they are not"
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
    return (
        []
        if scale == POINTS
        else [f"RMSE of this table is on the scale {scale[0]:g} to {scale[1]:g}"]
    )


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
    show_rows(
        ("held-out source", "n", "PLCC", "SROCC", "RMSE", "max"),
        [[fold.source, *_metric_cells(fold)] for fold in metrics.folds],
        [
            ["all held out", *_metric_cells(metrics.loso.pooled)],
            *([f"external: {name}", *_metric_cells(m)] for name, m in metrics.external.items()),
        ],
    )
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
    new = (standing.plcc, standing.srocc, standing.rmse)
    rows = [["this model", *map(format_fixed, new), "", "", ""]]
    for rival in standing.rivals:
        figures = (rival.plcc, rival.srocc, rival.rmse, rival.difference)
        interval = format_interval(rival.interval, format_fixed)
        cells = [*map(format_fixed, figures), interval, format_p_value(rival.p_value)]
        rows.append([rival.name, *cells])
    columns = ("", "PLCC", "SROCC", "RMSE", "this less it", "95 % over sources", "p")
    show_rows(columns, rows, title=title)
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
    rows = [
        [
            str(point.rank),
            *map(str, point.settings.values()),
            format_fixed(point.metrics.rmse),
            format_interval(point.rmse_interval, format_fixed),
            format_fixed(point.above_best),
            format_fixed(point.metrics.plcc, 5),
        ]
        for point in sweep.points
    ]
    show_rows(("", *names, "RMSE", "95 %", "above best", "PLCC"), rows)
