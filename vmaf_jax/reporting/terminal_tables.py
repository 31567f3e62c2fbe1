"""Tables at a terminal: a clip's statistics, texts in rows, names with their values."""

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vmaf_jax.printable import printable
from vmaf_jax.reporting.numbers import format_fixed
from vmaf_jax.reporting.terminal import show_lines

_MAX_WIDTH = 1_000_000  # columns of a table that is not on a terminal


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
        texts = [_cell(column[k]) for column in cells]
        plain.add_row(*texts, end_section=row.end_section)
    return plain


def _cell(value: object) -> Text:
    return Text(printable(str(value)), overflow="fold")


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
        values = [entry[key] for key in ("mean", "std", "median", "min", "max")]
        texts = ["" if math.isnan(value) else f"{value:.4f}" for value in values]
        view.add_row(name, *texts)
    show_table(view, on_error=on_error)
    for name, entry in statistics.items():
        if count := entry.get("infinite"):
            text = f"{name}: infinite on {count} frames, where the two pictures are equal"
            show_lines([text], on_error=on_error)


def show_rows(
    names: Sequence[str], *sections: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """Shows a table of texts below the names of its columns, with a line between its sections."""
    view = Table(*names, title=title)
    for rows in sections:
        for row in rows:
            view.add_row(*row)
        view.add_section()
    show_table(view)
