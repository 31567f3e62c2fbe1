"""Results and progress for people at a terminal: results to standard output, the rest to error."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from vmaf_jax.evaluation.cross_validation import SweepTable
from vmaf_jax.evaluation.metrics import Metrics
from vmaf_jax.evaluation.rivals import Standing
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.files import to_json
from vmaf_jax.printable import printable
from vmaf_jax.reporting.backends import BackendsReport
from vmaf_jax.reporting.html import number
from vmaf_jax.tables.dataset import TableSummary

_WIDEST = 1_000_000  # columns of a table that is not on a terminal
_MOST_CLIPS = 100  # of a table for people


class Terminal:
    """A job's report on standard error: stages as lines; on a terminal, bars with the time left.

    Use it as a context: it takes the bars away.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[about]}", markup=False),
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
        """A line."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def stage(self, name: str) -> None:
        """A stage whose end nobody can foresee: how long it has taken, on a terminal."""
        self._begin()
        if self._stage is not None:
            self._progress.remove_task(self._stage)
        self._stage = self._progress.add_task(printable(name), total=None, about="")

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """A bar for work of so many pieces; nothing where there is no terminal."""
        if not self._console.is_terminal:
            return None
        self._begin()
        task = self._progress.add_task(printable(name), total=total(), about="")

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
    sys.stdout.write(json.dumps(json.loads(to_json(value))).replace("\x7f", "\\u007f") + "\n")


def show_contents(out: Path, contents: TableSummary) -> None:
    """What was written, in one line."""
    n_sources = len(contents.sources)
    counts = f"{contents.rows} rows, {contents.n_clips} clips, {n_sources} sources"
    show_lines([f"{out}: {counts}"])


def show_table(table: Table, *, on_error: bool = False) -> None:
    """Shows a table of plain text, on standard output or error.

    Cells, headings and title are shown as they stand, never as Rich's markup, with `printable`.
    On a terminal that is too narrow they go on in a further line; elsewhere the table is as wide as
    what it holds, so that nothing is cut in a pipe or a file.
    """
    shown = _plain(table)
    console = Console(stderr=on_error)
    if not console.file.isatty():
        options = console.options.update(width=_WIDEST, max_width=_WIDEST)
        width = Measurement.get(console, options, shown).maximum
        console = Console(stderr=on_error, width=max(width, 1))
    console.print(shown)


def _plain(table: Table) -> Table:
    """The table with its texts as `Text`, which Rich does not interpret."""
    title = None if table.title is None else Text(printable(str(table.title)), "table.title")
    plain = Table(title=title, box=table.box, show_header=table.show_header)
    for column in table.columns:
        plain.add_column(_text(column.header), overflow="fold")
    cells = [list(column.cells) for column in table.columns]
    for k, row in enumerate(table.rows):
        plain.add_row(*(_text(column[k]) for column in cells), end_section=row.end_section)
    return plain


def _text(cell: object) -> Text:
    return Text(printable(str(cell)), overflow="fold")


def show_lines(lines: Iterable[str], *, on_error: bool = False) -> None:
    """Shows lines as they stand, with `printable`, on standard output or error."""
    for line in lines:
        print(printable(line, keep="\t"), file=sys.stderr if on_error else sys.stdout)


def _metric_cells(metrics: Metrics, names: Iterable[str]) -> list[str]:
    return [str(metrics.n), *(number(getattr(metrics, name), 5) for name in names)]


def show_evaluation(title: str, overall: Metrics, sources: Mapping[str, Metrics]) -> None:
    """A row a source, and one of all."""
    names = ("plcc", "srocc", "krocc", "rmse", "mae", "max_abs")
    view = Table("rows", "n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "max", title=title)
    for source, metrics in [*sources.items(), ("all", overall)]:
        view.add_row(source, *_metric_cells(metrics, names))
    show_table(view)


def show_intervals(
    clips: Sequence[tuple[str, str, float, float, float, float]], summary: str
) -> None:
    """A row a clip, the first hundred, and a line on all of them.

    Args:
        clips: source, clip, and in points its label, its score and the ends of its interval.
        summary: that line.
    """
    view = Table("source", "clip", "label", "score", "interval", "")
    for source, clip, label, score, low, high in clips[:_MOST_CLIPS]:
        names, values = [source, clip], [f"{label:.3f}", f"{score:.3f}"]
        missed = "" if low <= label <= high else "missed"
        view.add_row(*names, *values, f"{low:.3f} to {high:.3f}", missed)
    show_table(view)
    more = len(clips) - _MOST_CLIPS
    left_out = f"; {more} more clips with --json" if more > 0 else ""
    show_lines([f"{summary}{left_out}"])


def show_run(metrics: RunMetrics) -> None:
    """A run's folds, external corpora, parity and times."""
    names = ("plcc", "srocc", "rmse", "max_abs")
    view = Table("held-out source", "n", "PLCC", "SROCC", "RMSE", "max")
    for fold in metrics.folds:
        view.add_row(fold.source, *_metric_cells(fold, names))
    view.add_section()
    view.add_row("all held out", *_metric_cells(metrics.loso.pooled, names))
    for corpus, entry in metrics.external.items():
        view.add_row(f"external: {corpus}", *_metric_cells(entry, names))
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


def show_standing(standing: Standing) -> None:
    """A row a model that needs no training, the new one first, and the verdict below."""
    title = "beside models that need no training, on the same held-out rows"
    columns = ("PLCC", "SROCC", "RMSE", "this less it", "95 % over sources", "p")
    view = Table("", *columns, title=title)
    own = (standing.plcc, standing.srocc, standing.rmse)
    view.add_row("this model", *(number(value) for value in own), "", "", "")
    for rival in standing.rivals:
        figures = (rival.plcc, rival.srocc, rival.rmse, rival.difference)
        interval = f"{number(rival.interval.low)} to {number(rival.interval.high)}"
        cells = [*(number(value) for value in figures), interval, number(rival.p_value, 3)]
        view.add_row(rival.name, *cells)
    show_table(view)
    show_lines(
        [
            standing.verdict,
            f"RMSE in points of 0-100; p of the difference over sources, adjusted for "
            f"{len(standing.rivals)} comparisons by Holm",
        ]
    )


def show_sweep(sweep: SweepTable) -> None:
    """A row a point of a sweep, the best first."""
    names = [key.rpartition(".")[2] for key in sweep.points[0].settings]
    view = Table("", *names, "RMSE", "95 %", "above best", "PLCC")
    for point in sweep.points:
        interval = point.rmse_interval
        view.add_row(
            str(point.rank),
            *(str(value) for value in point.settings.values()),
            number(point.metrics.rmse),
            f"{number(interval.low)} to {number(interval.high)}",
            number(point.above_best),
            number(point.metrics.plcc, 5),
        )
    show_table(view)


def show_scores(
    statistics: Mapping[str, Mapping[str, float]], frames: Sequence[str], pooled: str = ""
) -> None:
    """A row a model with the clip's statistics, after the frames' lines, if any.

    `pooled` is a line below: the clip's score where it is more than a mean.

    With lines of frames the table goes to standard error, so that they can be read by programs.
    """
    show_lines(frames)
    view = Table("", "mean", "harmonic mean", "min", "1 %", "5 %", "frames")
    for name, entry in statistics.items():
        cells = [f"{entry[k]:.3f}" for k in ("mean", "harmonic_mean", "min", "p1", "p5")]
        view.add_row(name, *cells, str(entry["frames"]))
    show_table(view, on_error=bool(frames))
    if pooled:
        show_lines(pooled.split("\n"), on_error=bool(frames))


def show_extra_metrics(
    statistics: Mapping[str, Mapping[str, float]], *, on_error: bool = False
) -> None:
    """A row a metric with how its frames are spread; nothing where there is none."""
    if not statistics:
        return
    view = Table("", "mean", "deviation", "median", "min", "max")
    for name, entry in statistics.items():
        values = (entry[key] for key in ("mean", "std", "median", "min", "max"))
        view.add_row(name, *("" if math.isnan(v) else f"{v:.4f}" for v in values))
    show_table(view, on_error=on_error)
    for name, entry in statistics.items():
        if count := entry.get("infinite"):
            text = f"{name}: infinite on {count} frames, where the two pictures are equal"
            show_lines([text], on_error=on_error)


class RankedVideo(NamedTuple):
    """A row of a ranking.

    Attributes:
        reference, distorted: by paths that tell files apart.
        score: the clip's, points.
        statistics: of frames, by model, its own first.
        sure: how sure the score is, "" where there is nothing to say.
        size: of the file, bytes; None where it is unknown.
        bitrate: of the file, kbit/s; None where it is unknown.
    """

    reference: str
    distorted: str
    score: float
    statistics: Mapping[str, Mapping[str, float]]
    sure: str
    size: int | None
    bitrate: float | None


def show_ranking(ranked: Sequence[RankedVideo], failed: Sequence[tuple[str, str]]) -> None:
    """A row a video, the best first; below, on standard error, those that have no score.

    Args:
        ranked: the best first.
        failed: distorted, and why.
    """
    if ranked:
        models = list(ranked[0].statistics)
        several = len({video.reference for video in ranked}) > 1
        names: list[Column | str] = ["", "distorted"]
        names += ["reference"] if several else []
        names.append(f"{models[0]}")
        with_sure = any(video.sure for video in ranked)
        names += ["how sure"] if with_sure else []
        view = Table(*names, "min", "5 %", *models[1:], "frames", "kbit/s", "MB")
        for rank, video in enumerate(ranked, 1):
            own, *others = (video.statistics[model] for model in models)
            cells = [f"{video.score:.3f}", *([video.sure] if with_sure else [])]
            cells += [f"{own['min']:.3f}", f"{own['p5']:.3f}"]
            cells += [f"{entry['mean']:.3f}" for entry in others] + [str(own["frames"])]
            cells.append("" if video.bitrate is None else f"{video.bitrate:.0f}")
            cells.append("" if video.size is None else f"{video.size / 1e6:.3f}")
            source = [video.reference] if several else []
            view.add_row(str(rank), video.distorted, *source, *cells)
        show_table(view)
    for distorted, reason in failed:
        line = reason if distorted in reason else f"{distorted}: {reason}"
        show_lines([f"not scored: {line}"], on_error=True)


def show_backends(report: BackendsReport) -> None:
    """A section a pair of backends, a row a column."""
    view = Table("", "feature", "max", "mean", "worst: clip", "frame")
    for comparison in report.comparisons:
        title = f"{comparison.ours} against {comparison.theirs}"
        for name, column in comparison.columns.items():
            figures = [f"{column.max_abs:.2e}", f"{column.mean_abs:.2e}"]
            view.add_row(title, name, *figures, column.clip, str(column.frame))
            title = ""
        view.add_section()
    show_table(view)


def show_parts(parts: Mapping[str, Any]) -> None:
    """A name and a value a line."""
    view = Table(show_header=False, box=None)
    for name, value in parts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        view.add_row(name, text)
    show_table(view)
