"""Text and progress at a terminal: results go to standard output, everything else to error.

Texts of strangers are shown as they stand, by `printable`, and never as Rich's markup.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
from rich.table import Table
from rich.text import Text

from vmaf_jax.files import to_json
from vmaf_jax.printable import printable
from vmaf_jax.reporting.numbers import format_fixed
from vmaf_jax.tables.dataset import TableSummary

_MAX_WIDTH = 1_000_000  # columns of a table that is not on a terminal


class Terminal:
    """Progress of a job on standard error: stages as lines; on a terminal, bars with the time left.

    The bars disappear at the end of the `with` block.
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
        """Shows a line."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def stage(self, name: str) -> None:
        """Shows the elapsed time of a stage whose length is unknown, in place of the last stage."""
        self._begin()
        if self._stage is not None:
            self._progress.remove_task(self._stage)
        self._stage = self._progress.add_task(printable(name), total=None, about="")

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Shows a bar for `total()` pieces of work; returns None where there is no terminal."""
        if not self._console.is_terminal:
            return None
        self._begin()
        task = self._progress.add_task(printable(name), total=total(), about="")

        def on_step(count: int) -> None:
            self._progress.update(task, advance=count)

        return on_step

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Shows a bar for the extraction of clips, with frames per second and the time left."""
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

    def _begin(self) -> None:
        if not self._progress.live.is_started:
            self._progress.start()


def show_json(value: object) -> None:
    """Shows one JSON document on one line, and nothing else."""
    # JSON leaves DEL unescaped, which terminals act on.
    sys.stdout.write(json.dumps(json.loads(to_json(value))).replace("\x7f", "\\u007f") + "\n")


def show_lines(lines: Iterable[str], *, on_error: bool = False) -> None:
    """Shows lines on standard output or error."""
    for line in lines:
        print(printable(line, keep="\t"), file=sys.stderr if on_error else sys.stdout)


def show_table(table: Table, *, on_error: bool = False) -> None:
    """Shows a table of plain text on standard output or error.

    Cells that are too long for a terminal continue on a further line. Elsewhere the table is as
    wide as its content, so that nothing is cut in a pipe or a file.
    """
    plain = _without_markup(table)
    console = Console(stderr=on_error)
    if not console.file.isatty():
        # Rich takes 80 columns where it finds no terminal, and would cut cells.
        options = console.options.update(width=_MAX_WIDTH, max_width=_MAX_WIDTH)
        width = Measurement.get(console, options, plain).maximum
        console = Console(stderr=on_error, width=max(width, 1))
    console.print(plain)


def _without_markup(table: Table) -> Table:
    """Returns the table with its texts as `Text`, which Rich does not interpret."""
    title = None if table.title is None else Text(printable(str(table.title)), "table.title")
    plain = Table(title=title, box=table.box, show_header=table.show_header)
    for column in table.columns:
        plain.add_column(_cell(column.header), overflow="fold")
    cells = [list(column.cells) for column in table.columns]
    for k, row in enumerate(table.rows):
        plain.add_row(*(_cell(column[k]) for column in cells), end_section=row.end_section)
    return plain


def _cell(value: object) -> Text:
    return Text(printable(str(value)), overflow="fold")


def show_summary(out: Path, summary: TableSummary) -> None:
    """Shows in one line which feature table was written."""
    n_sources = len(summary.sources)
    counts = f"{summary.rows} rows, {summary.n_clips} clips, {n_sources} sources"
    show_lines([f"{out}: {counts}"])


def show_parts(parts: Mapping[str, object]) -> None:
    """Shows a name and a value a line."""
    view = Table(show_header=False, box=None)
    for name, value in parts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        view.add_row(name, text)
    show_table(view)


_SHOWN = ("mean", "p5", "worst_second", "min", "harmonic_mean")
Statistics = Mapping[str, Mapping[str, float]]


def show_scores(
    statistics: Statistics, frames: Sequence[str], worst: str = "", pooled: str = ""
) -> None:
    """Shows a clip's statistics, a row a model.

    Args:
        frames: lines of frames, shown first. With these the table goes to standard error, so that
            programs can read the lines.
        worst: when the first model's worst second is, "" where that is unknown.
        pooled: lines below, on the clip's score where it is more than a mean.
    """
    show_lines(frames)
    view = Table("", "mean", "5 %", "worst second", "min", "harmonic mean", "frames")
    for name, entry in statistics.items():
        cells = [format_fixed(entry.get(k), 3) for k in _SHOWN]
        cells[_SHOWN.index("worst_second")] += worst
        worst = ""
        view.add_row(name, *cells, str(entry["frames"]))
    show_table(view, on_error=bool(frames))
    if pooled:
        show_lines(pooled.split("\n"), on_error=bool(frames))


def show_extra_metrics(statistics: Statistics, *, on_error: bool = False) -> None:
    """Shows the spread of each extra metric over the frames; nothing where there is none."""
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
        reference, distorted: names that tell files apart.
        score: the clip's, points.
        statistics: of frames, by model, the scoring model first.
        sure: the uncertainty of the score, "" where there is nothing to say.
        size: of the file, bytes; None where it is unknown.
        bitrate: of the file, kbit/s; None where it is unknown.
    """

    reference: str
    distorted: str
    score: float
    statistics: Statistics
    sure: str
    size: int | None
    bitrate: float | None


def show_ranking(ranked: Sequence[RankedVideo], failed: Sequence[tuple[str, str]]) -> None:
    """Shows videos, the best first; those without a score follow on standard error.

    Args:
        ranked: the best first.
        failed: name of each distorted video without a score, and the reason.
    """
    if ranked:
        show_table(_ranking(ranked))
    for distorted, reason in failed:
        line = reason if distorted in reason else f"{distorted}: {reason}"
        show_lines([f"not scored: {line}"], on_error=True)


def _ranking(ranked: Sequence[RankedVideo]) -> Table:
    model, *other_models = ranked[0].statistics
    several = len({video.reference for video in ranked}) > 1
    with_sure = any(video.sure for video in ranked)
    names = ["", "distorted", *(["reference"] if several else []), model]
    names += [*(["uncertainty"] if with_sure else []), "5 %", "worst second", "min", *other_models]
    view = Table(*names, "frames", "kbit/s", "MB")
    for rank, video in enumerate(ranked, 1):
        frames = video.statistics[model]
        view.add_row(
            str(rank),
            video.distorted,
            *([video.reference] if several else []),
            f"{video.score:.3f}",
            *([video.sure] if with_sure else []),
            *(format_fixed(frames.get(k), 3) for k in ("p5", "worst_second", "min")),
            *(f"{video.statistics[other]['mean']:.3f}" for other in other_models),
            str(frames["frames"]),
            "" if video.bitrate is None else f"{video.bitrate:.0f}",
            "" if video.size is None else f"{video.size / 1e6:.3f}",
        )
    return view
