"""Predictions as points of a drawing, bounded: many rows are counted in cells, the worst drawn.

Up to `LIMIT` rows are drawn one by one. Beyond that, a grid of cells counts all of them, and the
`SINGLES` rows with the largest errors are drawn on top; every figure is still of all rows.
"""

import dataclasses
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.features.texts import encode
from vmaf_jax.reporting.svg import Plot

Floats = npt.NDArray[np.float64]
LIMIT = 6000
SINGLES = 300
_COLUMNS, _ROWS = 80, 60
_SHADES = 6
_COUNTED = 1 << 18  # rows at a time
_NAME = 80  # characters of a name that a page carries


@dataclasses.dataclass(frozen=True)
class Points:
    """The rows that a page draws one by one.

    Attributes:
        rows: those rows.
        n: of all rows; more than `rows` holds where they are counted in cells.
        label, error: of all rows, VMAF points, `[n]`.
    """

    rows: HeldOut
    label: Floats
    error: Floats

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.label)

    @property
    def counted(self) -> bool:
        """Whether most rows are counted in cells."""
        return self.n > len(self.rows.label)

    def data(self) -> str:
        """The rows as JSON that may stand in a page, names told apart by number."""
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


def bounded(rows: HeldOut) -> Points:
    """What of the rows is drawn one by one."""
    error = rows.predicted - rows.label
    if len(error) <= LIMIT:
        return Points(rows, rows.label, error)
    largest = np.argsort(-np.abs(error), kind="stable")[:SINGLES]
    chosen = np.zeros(len(error), np.bool_)
    chosen[largest] = True
    return Points(rows.where(chosen), rows.label, error)


def cells(plot: Plot, x: Floats, y: Floats) -> str:
    """All rows counted on a grid: darker where there are more, six shades by the logarithm."""
    counts = np.zeros((_COLUMNS, _ROWS))
    for start in range(0, len(x), _COUNTED):
        part = slice(start, start + _COUNTED)
        n, x_edges, y_edges = np.histogram2d(x[part], y[part], counts.shape, (plot.x, plot.y))
        counts += n
    shade = np.ceil(np.log1p(counts) / np.log1p(max(counts.max(), 1)) * _SHADES).astype(int)
    left, right = plot.px(x_edges[:-1]), plot.px(x_edges[1:])
    floor, top = plot.py(y_edges[:-1]), plot.py(y_edges[1:])
    parts = []
    for level in range(1, _SHADES + 1):
        where = np.argwhere(shade == level)
        boxes = "".join(
            f"M{left[i]:.1f} {top[j]:.1f}H{right[i]:.1f}V{floor[j]:.1f}H{left[i]:.1f}Z"
            for i, j in where
        )
        if boxes:
            parts.append(f'<path class="cell c{level}" d="{boxes}"/>')
    return "".join(parts)


def page_json(value: Any) -> str:
    """JSON that nothing in it can end or leave a page's script element; NaN becomes null."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
