"""Tables at a terminal: a clip's statistics, texts in rows, names with their values."""

import math
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vmaf_jax.printable import format_count, printable
from vmaf_jax.reporting.numbers import format_fixed
from vmaf_jax.reporting.terminal import show_lines

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
    has_names = any(names)
    table = Table(box=box.HEAVY_HEAD if has_names else None, show_header=has_names)
    # As `Text`, of which Rich interprets nothing: names of files may look like its markup.
    table.title = None if title is None else Text(printable(title), "table.title")
    for name in names:
        table.add_column(_cell(name), overflow="fold")
    for rows in sections:
        for row in rows:
            table.add_row(*map(_cell, row))
        table.add_section()
    console = Console(stderr=on_error)
    if not console.file.isatty():
        # Rich takes 80 columns where it finds no terminal, and would cut cells.
        options = console.options.update(width=_MAX_WIDTH, max_width=_MAX_WIDTH)
        width = Measurement.get(console, options, table).maximum
        console = Console(stderr=on_error, width=max(width, 1))
    console.print(table)


def _cell(value: str) -> Text:
    return Text(printable(value), overflow="fold")


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
