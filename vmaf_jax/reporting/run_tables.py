"""Terminal tables of a training run, of its rivals and of a sweep."""

from rich.table import Table

from vmaf_jax.evaluation.cross_validation import SweepTable
from vmaf_jax.evaluation.metrics import Metrics
from vmaf_jax.evaluation.rivals import Standing
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.reporting.numbers import format_fixed, format_interval, format_p_value
from vmaf_jax.reporting.terminal import show_lines, show_table


def show_run(metrics: RunMetrics) -> None:
    """Shows a run's folds, external corpora, rivals, parity and times."""
    view = Table("held-out source", "n", "PLCC", "SROCC", "RMSE", "max")
    for fold in metrics.folds:
        view.add_row(fold.source, *_cells(fold))
    view.add_section()
    view.add_row("all held out", *_cells(metrics.loso.pooled))
    for corpus, entry in metrics.external.items():
        view.add_row(f"external: {corpus}", *_cells(entry))
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


def _cells(metrics: Metrics) -> list[str]:
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
