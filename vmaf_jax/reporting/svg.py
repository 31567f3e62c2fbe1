"""Drawings as SVG text: a frame with two axes, and marks in it. Colours are the page's classes.

A drawing is for a screen of any width: text keeps its size at 440 units, which is a phone's width.
Dots of one kind are one path of round caps, so that thousands of them are one element.
"""

import dataclasses
import html
import math
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

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
