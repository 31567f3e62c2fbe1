"""Drawings as SVG: axes, marks, and scatter plots that stay small for any number of rows.

A drawing is for a screen of any width: text keeps its size at 440 units, which is a phone's width.
Dots of one kind are one path of round caps, so that thousands of them are one element.

Up to `LIMIT` rows are drawn one by one. Beyond that, a grid of cells counts all of them, and the
`SINGLES` rows with the largest errors are drawn on top; every figure is still of all rows.
"""

import dataclasses
import html
import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.tables.categories import encode

Floats = npt.NDArray[np.float64]
Values = Floats | Sequence[int | float] | int | float
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # control, format (text direction), surrogates, unassigned


def text(value: object, most: int = 200) -> str:
    """A name as HTML: escaped, bounded, and without characters that hide or turn others."""
    plain = str(value)
    if len(plain) > most:
        plain = plain[: most - 1] + "…"
    shown = "".join("\ufffd" if unicodedata.category(c) in _HIDDEN else c for c in plain)
    return html.escape(shown)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, `about` as many as said."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def tick_label(value: float) -> str:
    """A round number, as short as it can be."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.6g}".replace("-", "\u2212")


@dataclasses.dataclass(frozen=True)
class Plot:
    """A frame with axes, in SVG units; y grows upward in data, downward on the screen.

    Attributes:
        x, y: ranges of the data.
        log_y: whether y is drawn by its logarithm; `y` is then in log10.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 440
    height: int = 320
    left: int = 58
    right: int = 12
    top: int = 12
    bottom: int = 44
    log_y: bool = False

    def px(self, value: Values) -> Floats:
        """Data to horizontal units."""
        return self._scaled(value, self.x, self.left, self.width - self.right)

    def py(self, value: Values) -> Floats:
        """Data to vertical units."""
        return self._scaled(value, self.y, self.height - self.bottom, self.top)

    @staticmethod
    def _scaled(value: Values, ends: tuple[float, float], start: int, stop: int) -> Floats:
        low, high = ends
        share = (np.asarray(value, np.float64) - low) / (high - low)
        return np.asarray(start + share * (stop - start))

    def axes(self, x_label: str, y_label: str) -> str:
        """Grid lines, numbers and names of the axes."""
        right, floor = self.width - self.right, self.height - self.bottom
        parts = []
        for value in ticks(*self.x):
            at = float(self.px(value))
            parts.append(f'<path class="grid" d="M{at:.1f} {self.top}V{floor}"/>')
            label = tick_label(value)
            parts.append(f'<text x="{at:.1f}" y="{floor + 16}" class="mid">{label}</text>')
        for value in self._y_ticks():
            at = float(self.py(value))
            parts.append(f'<path class="grid" d="M{self.left} {at:.1f}H{right}"/>')
            label = tick_label(float(f"{10**value:.2g}") if self.log_y else value)
            parts.append(f'<text x="{self.left - 6}" y="{at + 4:.1f}" class="end">{label}</text>')
        middle = (self.left + right) / 2
        parts.append(f'<path class="axis" d="M{self.left} {self.top}V{floor}H{right}"/>')
        parts.append(
            f'<text x="{middle:.0f}" y="{self.height - 8}" class="mid name">{text(x_label)}</text>'
        )
        across = (self.top + floor) / 2
        parts.append(
            f'<text transform="translate(13 {across:.0f})rotate(-90)" class="mid name">'
            f"{text(y_label)}</text>"
        )
        return "".join(parts)

    def _y_ticks(self) -> list[float]:
        low, high = self.y
        if self.log_y and high - low >= 2:
            step = max(1, round((high - low) / 6))
            return [float(k) for k in range(math.ceil(low), math.floor(high) + 1, step)]
        return ticks(low, high)

    def band(self, low: float, high: float, name: str) -> str:
        """A shaded range of x, hatched and named at its top, so that it is seen without colour."""
        start, end = self.px([low, high])
        height = self.height - self.top - self.bottom
        corner = f'x="{start:.1f}" y="{self.top}" width="{end - start:.1f}" height="{height}"'
        middle = (start + end) / 2
        return (
            f'<rect class="band" {corner}/><rect fill="url(#hatch)" {corner}/>'
            f'<text class="mid small" x="{middle:.1f}" y="{self.top + 12}">{text(name)}</text>'
        )

    def line(self, x: Values, y: Values, kind: str) -> str:
        """A line through points."""
        return f'<path class="{kind}" d="{_path(self.px(x), self.py(y))}"/>'

    def area(self, x: Values, low: Values, high: Values, kind: str) -> str:
        """What lies between two lines."""
        across = self.px(x)
        forth = _path(across, self.py(high))
        back = _path(across[::-1], self.py(low)[::-1]).replace("M", "L", 1)
        return f'<path class="{kind}" d="{forth}{back}Z"/>'

    def dots(self, x: Values, y: Values, kind: str) -> str:
        """Dots, as one path."""
        return f'<path class="{kind}" d="{_dots(self.px(x), self.py(y))}"/>'


HATCH = (
    '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path class="hatch" d="M0 0V7"/></pattern></defs>'
)


def drawing(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    """A whole SVG, described for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(label, 600)}">'
        f"{''.join(parts)}</svg>"
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _path(x: Floats, y: Floats) -> str:
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return "M" + "L".join(f"{_number(a)} {_number(b)}" for a, b in pairs)


def _dots(x: Floats, y: Floats) -> str:
    pairs: Sequence[tuple[float, float]] = list(zip(x.tolist(), y.tolist(), strict=True))
    return "".join(f"M{_number(a)} {_number(b)}h0" for a, b in pairs)


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
