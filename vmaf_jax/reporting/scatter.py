"""Drawings of predicted against true scores, and of their errors, that stay small for many rows.

Up to `MAX_DOTS` rows are drawn one by one. Beyond that, a grid of cells counts all of them, and the
`N_LARGEST` rows with the largest errors are drawn on top; every figure is still of all rows.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END
from vmaf_jax.reporting.numbers import format_points
from vmaf_jax.reporting.page import figure
from vmaf_jax.reporting.svg import HATCH, Plot, drawing, page_json, text
from vmaf_jax.tables.categories import encode

Floats = npt.NDArray[np.float64]
MAX_DOTS = 6000  # a page of more is slow to draw, and the dots hide each other
N_LARGEST = 300
_COLUMNS, _ROWS = 80, 60  # of the grid of cells
_SHADES = 6
_CHUNK = 1 << 18  # rows that are counted at a time
_NAME = 80  # characters of a name that a page carries
_N_RINGED = 3  # rows that are numbered in a drawing


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
