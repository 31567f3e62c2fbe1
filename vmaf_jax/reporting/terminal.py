"""Results and progress for people at a terminal: results to standard output, the rest to error."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from vmaf_jax.evaluation.metrics import Metrics
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.evaluation.sweep_table import SweepTable
from vmaf_jax.features.dataset_writer import Contents
from vmaf_jax.files import to_json
from vmaf_jax.reporting.backends import BackendsReport
from vmaf_jax.reporting.html import number

_MOST_CLIPS = 100  # of a table for people


class Terminal:
    """A job's report on standard error: stages as lines; on a terminal, bars with the time left.

    Use it as a context: it takes the bars away.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[about]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._stage: TaskID | None = None

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def say(self, text: str) -> None:
        """A line, as it is: names may look like markup."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stage(self, name: str) -> None:
        """A stage whose end nobody can foresee: how long it has taken, on a terminal."""
        self._begin()
        if self._stage is not None:
            self._progress.remove_task(self._stage)
        self._stage = self._progress.add_task(escape(name), total=None, about="")

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """A bar for work of so many pieces; nothing where there is no terminal."""
        if not self._console.is_terminal:
            return None
        self._begin()
        task = self._progress.add_task(escape(name), total=total(), about="")

        def on_step(count: int) -> None:
            self._progress.update(task, advance=count)

        return on_step

    def _begin(self) -> None:
        if not self._progress.live.is_started:
            self._progress.start()

    def clips(self, clips: Sequence[Any]) -> Callable[[int], None]:
        """A bar for one extraction of `clips`: frames per second, time left."""
        self._begin()
        task = self._progress.add_task("extract", total=len(clips), about="")
        started, done, total = time.monotonic(), 0, 0

        def on_clip(frames: int) -> None:
            nonlocal done, total
            done, total = done + 1, total + frames
            fps = total / max(time.monotonic() - started, 1e-9)
            about = f"{done} of {len(clips)} clips, {fps:.0f} frames/s"
            self._progress.update(task, advance=1, about=about)

        return on_clip


def show_json(value: Any) -> None:
    """One JSON document on one line, and nothing else."""
    sys.stdout.write(json.dumps(json.loads(to_json(value))) + "\n")


def show_contents(out: Path, contents: Contents) -> None:
    """What was written, in one line."""
    n_sources = len(contents.sources)
    print(f"{out}: {contents.rows} rows, {contents.n_clips} clips, {n_sources} sources")


def _show(table: Table, *, on_error: bool = False) -> None:
    Console(stderr=on_error).print(table)


def _metric_cells(metrics: Metrics, names: Iterable[str]) -> list[str]:
    return [str(metrics.n), *(number(getattr(metrics, name), 5) for name in names)]


def show_evaluation(title: str, overall: Metrics, sources: Mapping[str, Metrics]) -> None:
    """A row a source, and one of all."""
    names = ("plcc", "srocc", "krocc", "rmse", "mae", "max_abs")
    view = Table("rows", "n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "max", title=escape(title))
    for source, metrics in [*sources.items(), ("all", overall)]:
        view.add_row(escape(source), *_metric_cells(metrics, names))
    _show(view)


def show_intervals(
    clips: Sequence[tuple[str, str, float, float, float, float]], summary: str
) -> None:
    """A row a clip, the first hundred, and a line on all of them.

    Args:
        clips: source, clip, and in points its label, its score and the ends of its interval.
        summary: that line.
    """
    view = Table("source", Column("clip", overflow="fold"), "label", "score", "interval", "")
    for source, clip, label, score, low, high in clips[:_MOST_CLIPS]:
        names, values = [escape(source), escape(clip)], [f"{label:.3f}", f"{score:.3f}"]
        missed = "" if low <= label <= high else "missed"
        view.add_row(*names, *values, f"{low:.3f} to {high:.3f}", missed)
    _show(view)
    more = len(clips) - _MOST_CLIPS
    left_out = f"; {more} more clips with --json" if more > 0 else ""
    Console().print(f"{summary}{left_out}", highlight=False, soft_wrap=True)


def show_run(metrics: RunMetrics) -> None:
    """A run's folds, external corpora, parity and times."""
    names = ("plcc", "srocc", "rmse", "max_abs")
    view = Table("held-out source", "n", "PLCC", "SROCC", "RMSE", "max")
    for fold in metrics.folds:
        view.add_row(escape(fold.source), *_metric_cells(fold, names))
    view.add_section()
    view.add_row("all held out", *_metric_cells(metrics.loso.pooled, names))
    for corpus, entry in metrics.external.items():
        view.add_row(f"external: {corpus}", *_metric_cells(entry, names))
    _show(view)
    loso, parity, timing = metrics.loso, metrics.parity, metrics.timing
    Console().print(
        f"over sources: PLCC {loso.plcc.mean:.5f} ± {loso.plcc.std:.5f}, SROCC "
        f"{loso.srocc.mean:.5f} ± {loso.srocc.std:.5f}, RMSE {loso.rmse.mean:.4f} ± "
        f"{loso.rmse.std:.4f}\n"
        f"parity: {parity.n} rows, at most {parity.max_abs:.2e} points, {parity.max_ulp} ULP\n"
        f"time: compile {timing.compile_s:.1f} s, train {timing.train_s:.1f} s, total "
        f"{timing.total_s:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


def show_sweep(sweep: SweepTable) -> None:
    """A row a point of a sweep, the best first."""
    names = [key.rpartition(".")[2] for key in sweep.points[0].settings]
    view = Table("", *map(escape, names), "RMSE", "95 %", "above best", "PLCC")
    for point in sweep.points:
        interval = point.rmse_interval
        view.add_row(
            str(point.rank),
            *(escape(str(value)) for value in point.settings.values()),
            number(point.metrics.rmse),
            f"{number(interval.low)} to {number(interval.high)}",
            number(point.above_best),
            number(point.metrics.plcc, 5),
        )
    _show(view)


def show_scores(
    statistics: Mapping[str, Mapping[str, float]], frames: Sequence[str], pooled: str = ""
) -> None:
    """A row a model with the clip's statistics, after the frames' lines, if any.

    `pooled` is a line below: the clip's score where it is more than a mean.

    With lines of frames the table goes to standard error, so that they can be read by programs.
    """
    for line in frames:
        print(line)
    view = Table("", "mean", "harmonic mean", "min", "1 %", "5 %", "frames")
    for name, entry in statistics.items():
        cells = [f"{entry[k]:.3f}" for k in ("mean", "harmonic_mean", "min", "p1", "p5")]
        view.add_row(escape(name), *cells, str(entry["frames"]))
    _show(view, on_error=bool(frames))
    if pooled:
        Console(stderr=bool(frames)).print(pooled)


def show_also(statistics: Mapping[str, Mapping[str, float]], *, on_error: bool = False) -> None:
    """A row a metric with how its frames are spread; nothing where there is none."""
    if not statistics:
        return
    view = Table("", "mean", "deviation", "median", "min", "max")
    for name, entry in statistics.items():
        view.add_row(name, *(f"{v:.4f}" for v in entry.values()))
    _show(view, on_error=on_error)


def show_ranking(
    ranked: Sequence[tuple[str, str, float, Mapping[str, Mapping[str, float]], str]],
    failed: Sequence[tuple[str, str]],
) -> None:
    """A row a video, the best first; below, on standard error, those that have no score.

    Args:
        ranked: reference, distorted, the clip's score, statistics by model (its own first), and how
            sure the score is, "" where there is nothing to say.
        failed: distorted, and why.
    """
    if ranked:
        models = list(ranked[0][3])
        several = len({reference for reference, *_ in ranked}) > 1
        names: list[Column | str] = ["", Column("distorted", overflow="fold")]
        names += ["reference"] if several else []
        names.append(f"{models[0]}")
        with_sure = any(sure for *_, sure in ranked)
        names += ["how sure"] if with_sure else []
        view = Table(*names, "min", "5 %", *models[1:], "frames")
        for rank, (reference, distorted, score, statistics, sure) in enumerate(ranked, 1):
            own, *others = (statistics[model] for model in models)
            cells = [f"{score:.3f}", *([sure] if with_sure else [])]
            cells += [f"{own['min']:.3f}", f"{own['p5']:.3f}"]
            cells += [f"{entry['mean']:.3f}" for entry in others] + [str(own["frames"])]
            source = [escape(reference)] if several else []
            view.add_row(str(rank), escape(distorted), *source, *cells)
        _show(view)
    for distorted, reason in failed:
        line = reason if distorted in reason else f"{distorted}: {reason}"
        Console(stderr=True).print(f"not scored: {line}", markup=False, soft_wrap=True)


def show_backends(report: BackendsReport) -> None:
    """A section a pair of backends, a row a column."""
    view = Table(Column(no_wrap=True), "feature", "max", "mean", "worst: clip", "frame")
    for comparison in report.comparisons:
        title = f"{comparison.ours} against {comparison.theirs}"
        for name, column in comparison.columns.items():
            figures = [f"{column.max_abs:.2e}", f"{column.mean_abs:.2e}"]
            view.add_row(title, name, *figures, escape(column.clip), str(column.frame))
            title = ""
        view.add_section()
    _show(view)


def show_parts(parts: Mapping[str, Any]) -> None:
    """A name and a value a line."""
    view = Table(show_header=False, box=None)
    for name, value in parts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        view.add_row(name, escape(text))
    _show(view)
