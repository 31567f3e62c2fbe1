"""Drawings of held-out errors: predicted against true scores, and a row for each run or source.

Up to `MAX_DOTS` rows are drawn one by one. Beyond that, a grid of cells counts all of them, and the
`N_LARGEST` rows with the largest errors are drawn on top; every figure is still of all rows.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END
from vmaf_jax.printable import format_interval, format_points
from vmaf_jax.reporting.page import HATCH, Plot, drawing, figure, page_json, text
from vmaf_jax.tables.table import encode

Floats = npt.NDArray[np.float64]
MAX_DOTS = 6000  # a page of more is slow to draw, and the dots hide each other
N_LARGEST = 300  # dots over the cells, few enough to leave these visible
_COLUMNS, _ROWS = 80, 60  # of the grid of cells
_SHADES = 6  # more are not told apart
_CHUNK = 1 << 18  # rows that are counted at a time
_NAME = 80  # characters of a name that a page carries
_N_RINGED = 3  # rows that are numbered in a drawing
MAX_ROWS = 40  # drawn; tables have the others
N_MARKS = 8  # marks that differ; further runs repeat them
_ROW = 20  # height of a row, SVG units


@dataclasses.dataclass(frozen=True)
class Scatter:
    """The rows of a drawing.

    Attributes:
        rows: those that are drawn as dots.
        label, error: of all rows, VMAF points, `[n]`; more than `rows` where these are in cells.
    """

    rows: HeldOut
    label: Floats
    error: Floats

    @property
    def n(self) -> int:
        """Number of all rows."""
        return len(self.label)

    @property
    def has_cells(self) -> bool:
        """Whether all rows are counted in cells and few are dots."""
        return self.n > len(self.rows.label)

    def data(self) -> str:
        """Returns the dots as JSON for the page's script, names told apart by number."""
        rows = self.rows
        sources, source = encode(rows.source)
        clips, clip = encode(rows.clip)
        return page_json(
            {
                "sources": [name[:_NAME] for name in sources],
                "clips": [name[:_NAME] for name in clips],
                "s": source.tolist(),
                "c": clip.tolist(),
                "i": rows.index.tolist(),
                "seed": rows.seed.tolist(),
                "t": np.round(rows.label, 4).tolist(),
                "p": np.round(rows.predicted, 4).tolist(),
                "e": np.round(rows.predicted - rows.label, 5).tolist(),
            }
        )


def make_scatter(rows: HeldOut) -> Scatter:
    """Chooses which rows are drawn as dots: all, or those with the largest errors."""
    error = rows.predicted - rows.label
    if len(error) <= MAX_DOTS:
        return Scatter(rows, rows.label, error)
    chosen = np.zeros(len(error), np.bool_)
    chosen[np.argsort(-np.abs(error), kind="stable")[:N_LARGEST]] = True
    return Scatter(rows.where(chosen), rows.label, error)


def draw_agreement(scatter: Scatter, label: str) -> tuple[Plot, str]:
    """Draws predicted against true scores; returns the plot's frame and the SVG."""
    plot = Plot((0.0, 100.0), (0.0, 100.0))
    parts = [plot.axes(f"{label} (points)", "student (points)")]
    parts.append(plot.line([0, 100], [0, 100], "equal"))
    parts += _marks(plot, scatter, scatter.label + scatter.error, scatter.rows.predicted)
    described = (
        f"Predicted against true scores of {scatter.n:,} rows; equal scores lie on the diagonal."
    )
    return plot, drawing(plot.width, plot.height, described, parts)


def draw_residuals(scatter: Scatter, label: str) -> tuple[Plot, str]:
    """Draws errors against true scores, with both ends shaded; returns frame and SVG."""
    largest = float(np.max(np.abs(scatter.error)))
    reach = largest * 1.12 or 1.0
    plot = Plot((0.0, 100.0), (-reach, reach))
    parts = [HATCH]
    for low, high in (LOW_END, HIGH_END):
        inside = (scatter.label >= low) & (scatter.label <= high)
        rmse = math.sqrt(np.mean(np.square(scatter.error[inside]))) if inside.any() else None
        parts.append(plot.band(low, high, f"RMSE {format_points(rmse)}"))
    parts.append(plot.axes(f"{label} (points)", "student less label"))
    parts.append(plot.line([0, 100], [0, 0], "equal"))
    rows = scatter.rows
    parts += _marks(plot, scatter, scatter.error, rows.predicted - rows.label)
    described = (
        f"Errors of {scatter.n:,} rows against the true score; scores up to 20 and from 80 are "
        f"shaded. The largest error is {format_points(largest)} points."
    )
    return plot, drawing(plot.width, plot.height, described, parts)


def scatter_figure(
    name: str, title: str, plot: Plot, svg: str, note: str, *, scatter: str, y: str, index: str
) -> str:
    """Returns a figure whose dots are named under the pointer, or by the arrow keys.

    Args:
        plot: the frame of the drawing `svg`.
        scatter: the name of the data, as given to `scatter_data`.
        y: the key of the data that is drawn upward.
        index: meaning of a row's number: `frame`, or `frames pooled`.
    """
    numbers = (*plot.x, *plot.y, plot.width, plot.height)
    edges = (plot.left, plot.right, plot.top, plot.bottom)
    frame = " ".join(f"{value:.6g}" for value in (*numbers, *edges))
    attributes = f'tabindex="0" data-of="{scatter}" data-y="{y}" data-frame="{frame}"'
    hint = "Point at a dot, or use the arrow keys, for its clip."
    output = f'<output aria-live="polite">{hint}</output>'
    return figure(name, title, svg + output, note, attributes=f'{attributes} data-index="{index}"')


def scatter_data(name: str, scatter: Scatter) -> str:
    """Returns the data of a scatter for the page's script, and a choice of one of its sources."""
    return (
        f'<p class="controls" hidden><label>Show one source: <select data-of="{name}">'
        f'<option value="-1">all</option></select></label></p>\n'
        f'<script type="application/json" data-set="{name}">{scatter.data()}</script>\n'
    )


def _marks(plot: Plot, scatter: Scatter, all_y: Floats, dot_y: Floats) -> list[str]:
    """Draws cells where rows are many, dots, and the worst rows ringed and numbered."""
    rows = scatter.rows
    parts = [draw_cells(plot, scatter.label, all_y)] if scatter.has_cells else []
    parts.append(plot.dots(rows.label, dot_y, "dots"))
    error = np.abs(rows.predicted - rows.label)
    for rank, k in enumerate(np.argsort(-error, kind="stable")[:_N_RINGED].tolist(), 1):
        x, y = float(plot.px(rows.label[k])), float(plot.py(dot_y[k]))
        at, anchor = (x - 9, "end") if x > plot.width - 40 else (x + 9, "start")
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        parts.append(f'<text class="{anchor} strong" x="{at:.1f}" y="{y:.1f}">{text(rank)}</text>')
    return parts


def draw_cells(plot: Plot, x: Floats, y: Floats) -> str:
    """Draws counts of rows on a grid, in six shades by their logarithm."""
    counts = np.zeros((_COLUMNS, _ROWS))
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        n, x_edges, y_edges = np.histogram2d(x[part], y[part], counts.shape, (plot.x, plot.y))
        counts += n
    shade = np.ceil(np.log1p(counts) / np.log1p(max(counts.max(), 1)) * _SHADES).astype(int)
    left, right = plot.px(x_edges[:-1]), plot.px(x_edges[1:])
    floor, top = plot.py(y_edges[:-1]), plot.py(y_edges[1:])
    parts = []
    for level in range(1, _SHADES + 1):
        boxes = "".join(
            f"M{left[i]:.1f} {top[j]:.1f}H{right[i]:.1f}V{floor[j]:.1f}H{left[i]:.1f}Z"
            for i, j in np.argwhere(shade == level)
        )
        if boxes:
            parts.append(f'<path class="cell c{level}" d="{boxes}"/>')
    return "".join(parts)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A row of a forest plot.

    Attributes:
        value, interval: the figure and its 95 % interval, points.
        note: further words under the pointer.
        mark: number of the run whose mark is drawn.
    """

    name: str
    value: float
    interval: Interval
    note: str = ""
    mark: int = 0


def forest(
    rows: Sequence[Estimate], axis: str, *, reference: float | None = None, from_zero: bool = False
) -> str:
    """Draws estimates with their intervals, a row each.

    Args:
        reference: position of a dashed line.
        from_zero: whether the axis begins at 0; intervals that reach far beyond all estimates are
            cut then, and marked by an arrow.
    """
    values = [row.value for row in rows] + ([] if reference is None else [reference])
    ends = [end for row in rows for end in (row.interval.low, row.interval.high)]
    ends = [end for end in ends if math.isfinite(end)]
    if from_zero:
        # One interval of three clips can be a hundred times as long as all others.
        low, high = 0.0, min(max(values + ends), 2 * max(values)) * 1.05 or 1.0
    else:
        pad = 0.06 * (max(values + ends) - min(values + ends)) or 1.0
        low, high = min(values + ends) - pad, max(values + ends) + pad
    plot = _row_plot(len(rows), (low, high))
    parts = [plot.x_axis(axis, about=4)]
    if reference is not None:
        x = float(plot.px(reference))
        parts.append(f'<path class="equal" d="M{x:.1f} {plot.top}V{plot.height - plot.bottom}"/>')
    for k, row in enumerate(rows):
        y = plot.top + _ROW * (k + 0.5)
        tip = f"{row.name}: {format_points(row.value)}"
        if math.isfinite(row.interval.high):
            parts.append(_interval_bar(plot, row.interval, y))
            tip += f", 95 % {format_interval(row.interval)}"
        shape = mark(row.mark, float(plot.px(row.value)), y)
        parts.append(_named_row(plot, y, row.name, tip + row.note, shape))
    return drawing(plot.width, plot.height, f"{axis}, {len(rows)} rows with intervals", parts)


def errors_by_source(errors: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Draws the RMSE of every run on each source, the largest of the first run at the top.

    Args:
        errors: by source, the RMSE of each run.
        names: of the runs.
    """
    ranked = sorted(errors, key=lambda source: -errors[source][0])[:MAX_ROWS]
    largest = max(value for source in ranked for value in errors[source])
    plot = _row_plot(len(ranked), (0.0, largest * 1.05 or 1.0))
    parts = [plot.x_axis("RMSE (points)", about=4)]
    for line, source in enumerate(ranked):
        y = plot.top + _ROW * (line + 0.5)
        pairs = zip(names, errors[source], strict=True)
        tip = f"{source}: {', '.join(f'{name} {format_points(value)}' for name, value in pairs)}"
        across = plot.px(list(errors[source]))
        marks = "".join(mark(k, float(x), y) for k, x in enumerate(across))
        parts.append(f'<path class="grid" d="M{plot.left} {y}H{plot.width - plot.right}"/>')
        parts.append(_named_row(plot, y, source, tip, marks))
    described = f"RMSE of {len(names)} runs on {len(ranked)} sources"
    return drawing(plot.width, plot.height, described, parts)


def legend(names: Sequence[str]) -> str:
    """Draws the mark and the name of each run."""
    parts = (
        f'{mark(k, 12.0, 22.0 * k + 11)}<text x="26" y="{22 * k + 15}">{text(name, 50)}</text>'
        for k, name in enumerate(names)
    )
    return drawing(440, 22 * len(names), f"The marks of the runs: {', '.join(names)}", parts)


def mark(k: int, x: float, y: float) -> str:
    """Draws the mark of the k-th run: told apart by its shape, and by colour."""
    kind, hollow = f"k{k % 4}", " hollow" if k // 4 % 2 else ""
    shapes = (
        f'<circle class="{kind}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
        f'<path class="{kind}{hollow}" d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"/>',
        f'<path class="{kind}{hollow}" d="M{x:.1f} {y - 5.5:.1f}l5 9h-10z"/>',
        f'<path class="{kind}{hollow}" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>',
    )
    return shapes[k % 4]


def _row_plot(n: int, x: tuple[float, float]) -> Plot:
    return Plot(x, (0.0, 1.0), height=8 + _ROW * n + 44, left=150, top=8, bottom=44)


def _interval_bar(plot: Plot, interval: Interval, y: float) -> str:
    start, end = float(plot.px(interval.low)), float(plot.px(interval.high))
    right = plot.width - plot.right
    bar = f'<path class="interval" d="M{start:.1f} {y}H{min(end, right):.1f}"/>'
    cut = f'<text class="end small" x="{right}" y="{y - 3}">›</text>' if end > right else ""
    return bar + cut


def _named_row(plot: Plot, y: float, name: str, tip: str, marks: str) -> str:
    return (
        f"<g><title>{text(tip, 600)}</title>{marks}"
        f'<text class="end" x="{plot.left - 8}" y="{y + 4}">{text(name, 20)}</text></g>'
    )
