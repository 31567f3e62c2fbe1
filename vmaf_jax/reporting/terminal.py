"""Text, tables and progress at a terminal: results go to standard output, everything else to error.

Texts of strangers are shown as they stand, by `printable`, and never as Rich's markup. Rich is
loaded for tables and, where there is a terminal, for the bars.
"""

import functools
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmaf_jax.files import to_json
from vmaf_jax.printable import format_count, format_fixed, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from vmaf_jax.tables.dataset import TableSummary


class Terminal:
    """Progress of a job on standard error: stages as lines; on a terminal, bars with the time left.

    The bars disappear at the end of the `with` block.
    """

    def __init__(self) -> None:
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._stage: TaskID | None = None

    @functools.cached_property
    def _bars(self) -> "Progress":
        """The bars, from the first one on."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[about]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bars.start()
        return bars

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if "_bars" in vars(self):
            self._bars.stop()
            del self._bars

    def say(self, text: str) -> None:
        """Shows a line."""
        show_lines([text], on_error=True)

    def stage(self, name: str) -> None:
        """Shows the elapsed time of a stage whose length is unknown, in place of the last stage."""
        if not self._is_terminal:
            return
        if self._stage is not None:
            self._bars.remove_task(self._stage)
        self._stage = self._bars.add_task(printable(name), total=None, about="")

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Shows a bar for `total()` pieces of work; returns None where there is no terminal."""
        if not self._is_terminal:
            return None
        task = self._bars.add_task(printable(name), total=total(), about="")

        def on_step(count: int) -> None:
            self._bars.update(task, advance=count)

        return on_step

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Shows a bar for the extraction of clips, with frames per second and the time left."""
        if not self._is_terminal:
            return lambda frames: None
        task = self._bars.add_task("extract", total=len(clips), about="")
        started, done, total = time.monotonic(), 0, 0

        def on_clip(frames: int) -> None:
            nonlocal done, total
            done, total = done + 1, total + frames
            fps = total / max(time.monotonic() - started, 1e-9)
            about = f"{done} of {format_count(len(clips), 'clip')}, {fps:.0f} frames/s"
            self._bars.update(task, advance=1, about=about)

        return on_clip


def show_json(value: object) -> None:
    """Shows one JSON document on one line, and nothing else."""
    # JSON leaves DEL unescaped, which terminals act on.
    sys.stdout.write(json.dumps(json.loads(to_json(value))).replace("\x7f", "\\u007f") + "\n")


def show_lines(lines: Iterable[str], *, on_error: bool = False) -> None:
    """Shows lines on standard output or error; those of a stream that is closed are lost."""
    stream = sys.stderr if on_error else sys.stdout
    for line in lines if stream is not None else ():
        print(printable(line, keep="\t"), file=stream)


def show_summary(out: Path, summary: "TableSummary") -> None:
    """Shows in one line which feature table was written."""
    counts = {"row": summary.rows, "clip": summary.n_clips, "source": len(summary.sources)}
    words = ", ".join(format_count(n, noun) for noun, n in counts.items())
    show_lines([f"{out}: {words}"])


_MAX_WIDTH = 1_000_000  # columns of a table that is not on a terminal


def show_rows(
    names: Sequence[str],
    *sections: Iterable[Sequence[str]],
    title: str | None = None,
    on_error: bool = False,
) -> None:
    """Shows a table of texts on standard output or error, with a line between its sections.

    Cells that are too long for a terminal continue on a further line. Elsewhere the table is as
    wide as its content, so that nothing is cut in a pipe or a file.

    Args:
        names: of the columns; where all are empty there are neither names nor lines.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    def cell(value: str) -> Text:
        # As `Text`, of which Rich interprets nothing: names of files may look like its markup.
        return Text(printable(value), overflow="fold")

    has_names = any(names)
    table = Table(box=box.HEAVY_HEAD if has_names else None, show_header=has_names)
    table.title = None if title is None else Text(printable(title), "table.title")
    for name in names:
        table.add_column(cell(name), overflow="fold")
    for rows in sections:
        for row in rows:
            table.add_row(*map(cell, row))
        table.add_section()
    console = Console(stderr=on_error)
    if not console.file.isatty():
        # Rich takes 80 columns where it finds no terminal, and would cut cells.
        options = console.options.update(width=_MAX_WIDTH, max_width=_MAX_WIDTH)
        width = Measurement.get(console, options, table).maximum
        console = Console(stderr=on_error, width=max(width, 1))
    console.print(table)


def show_parts(parts: Mapping[str, object]) -> None:
    """Shows a name and a value a line."""
    texts = (", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in parts.values())
    show_rows(("", ""), zip(parts, texts, strict=True))


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
    rows: list[list[str]] = []
    for name, entry in statistics.items():
        cells = [format_fixed(entry.get(k), 3) for k in _SHOWN]
        cells[_SHOWN.index("worst_second")] += "" if rows else worst
        rows.append([name, *cells, str(entry["frames"])])
    columns = ("", "mean", "5 %", "worst second", "min", "harmonic mean", "frames")
    show_rows(columns, rows, on_error=bool(frames))
    if pooled:
        show_lines(pooled.split("\n"), on_error=bool(frames))


def show_extra_metrics(statistics: Statistics, *, on_error: bool = False) -> None:
    """Shows the spread of each extra metric over the frames; nothing where there is none."""
    if not statistics:
        return
    keys = ("mean", "std", "median", "min", "max")
    rows = [
        [name, *("" if math.isnan(entry[key]) else f"{entry[key]:.4f}" for key in keys)]
        for name, entry in statistics.items()
    ]
    columns = ("", "mean", "deviation", "median", "min", "max")
    show_rows(columns, rows, on_error=on_error)
    for name, entry in statistics.items():
        if count := entry.get("infinite"):
            frames = format_count(count, "frame")
            text = f"{name}: infinite on {frames}, where the two pictures are equal"
            show_lines([text], on_error=on_error)
