"""The parts of every HTML page: its frame, tiles, notes, tables, figures and drawings as SVG.

A content policy in the page forbids every request and every script but its own, which it names by
digest: text that got past the escaping could still do nothing. A drawing is for a screen of any
width: text keeps its size at 440 units, which is a phone's width. Dots of one kind are one path of
round caps, so that thousands of them are one element. Tables are written in Markdown, too.
"""

import base64
import dataclasses
import hashlib
import html
import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from importlib import resources

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Tile:
    """A figure at the top of a page: the question it answers, the figure, and a line below."""

    question: str
    figure: str
    note: str


def page(title: str, body: Iterable[str], *, extra: str | None = None) -> str:
    """Returns a whole page as HTML.

    Args:
        extra: name of a style and a script of this folder that follow the common ones.
    """
    folder = resources.files("vmaf_jax.reporting")
    names = ["page"] if extra is None else ["page", extra]
    style, script = (
        "".join(folder.joinpath(f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
        for kind in ("css", "js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        f"img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon: browsers would ask for /favicon.ico otherwise.
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n'
        f'<style>{style}</style>\n</head>\n<body>\n<a class="skip" href="#main">To the figures</a>'
        f'\n<main id="main">\n{"".join(body)}\n</main>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def header(title: str, verdict: str, tiles: Iterable[Tile], warnings: Sequence[str]) -> str:
    """Returns the top of a page: its title, a sentence, figures, and warnings if there are any."""
    boxes = (
        f'<div class="tile"><p class="soft">{text(tile.question)}</p>'
        f'<p class="figure">{text(tile.figure)}</p><p class="soft">{text(tile.note)}</p></div>'
        for tile in tiles
    )
    lines = "".join(f"<p>{text(line, 1000)}</p>" for line in warnings)
    notes = f'<div class="warnings" role="note">{lines}</div>\n' if warnings else ""
    return (
        f'<h1>{text(title)}</h1>\n<p class="verdict">{text(verdict, 1000)}</p>\n'
        f'<div class="tiles">{"".join(boxes)}</div>\n{notes}'
    )


def section(name: str, title: str, parts: Iterable[str]) -> str:
    """Returns a part of a page under a heading."""
    return f'<section id="{name}">\n<h2>{text(title)}</h2>\n{"".join(parts)}</section>\n'


def paragraph(line: str) -> str:
    """Returns a paragraph of text."""
    return f"<p>{text(line, 1000)}</p>\n"


def bullets(lines: Iterable[str]) -> str:
    """Returns a list of sentences."""
    items = "".join(f"<li>{text(line, 1000)}</li>\n" for line in lines)
    return f"<ul>{items}</ul>"


def details(summary: str, content: str) -> str:
    """Returns content that is folded under a line; it is shown in print."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table that scrolls by itself where the screen is narrow; cells are escaped."""
    return f'<div class="scroll" tabindex="0">{plain_table(header, rows)}</div>\n'


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table without anything around it; cells are escaped."""
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figure(name: str, title: str, svg: str, note: str = "", *, attributes: str = "") -> str:
    """Returns a drawing with its title and a line below it.

    Args:
        attributes: further HTML attributes of the figure.
    """
    below = f'<p class="note">{text(note, 1000)}</p>' if note else ""
    opening = f'<figure id="{name}"{f" {attributes}" if attributes else ""}>'
    return f"{opening}<figcaption>{text(title)}</figcaption>{svg}{below}</figure>\n"


def figures(*drawn: str) -> str:
    """Returns figures that stand side by side where the screen is wide."""
    return f'<div class="figures">\n{"".join(drawn)}</div>\n'


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a Markdown table; bars in cells are escaped."""
    lines = [list(header), ["---"] * len(header), *(list(row) for row in rows)]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    ]


Floats = npt.NDArray[np.float64]
Values = Floats | Sequence[int | float] | int | float
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # control, format (text direction), surrogates, unassigned


def text(value: object, most: int = 200) -> str:
    """Returns a text as HTML: escaped, bounded, and without characters that hide or turn others."""
    plain = str(value)
    if len(plain) > most:
        plain = plain[: most - 1] + "…"
    shown = "".join("\ufffd" if unicodedata.category(c) in _HIDDEN else c for c in plain)
    return html.escape(shown)


def page_json(value: object) -> str:
    """Returns JSON that nothing in it can end or leave a page's script element."""
    encoded = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return encoded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def drawing(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    """Returns a whole SVG, with a description for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(label, 600)}">'
        f"{''.join(parts)}</svg>"
    )


# A pattern of oblique lines: shaded areas are seen without colour.
HATCH = (
    '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path class="hatch" d="M0 0V7"/></pattern></defs>'
)


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
        """Converts data to horizontal units."""
        return _scale(value, self.x, self.left, self.width - self.right)

    def py(self, value: Values) -> Floats:
        """Converts data to vertical units."""
        return _scale(value, self.y, self.height - self.bottom, self.top)

    def axes(self, x_label: str, y_label: str) -> str:
        """Draws grid lines, numbers and names of both axes."""
        right, floor = self.width - self.right, self.height - self.bottom
        parts = [self.x_axis(x_label)]
        for value in self._y_ticks():
            at = float(self.py(value))
            label = format_tick(float(f"{10**value:.2g}") if self.log_y else value)
            parts.append(f'<path class="grid" d="M{self.left} {at:.1f}H{right}"/>')
            parts.append(f'<text x="{self.left - 6}" y="{at + 4:.1f}" class="end">{label}</text>')
        parts.append(f'<path class="axis" d="M{self.left} {self.top}V{floor}H{right}"/>')
        parts.append(
            f'<text transform="translate(13 {(self.top + floor) / 2:.0f})rotate(-90)" '
            f'class="mid name">{text(y_label)}</text>'
        )
        return "".join(parts)

    def x_axis(self, label: str, about: int = 5) -> str:
        """Draws the vertical grid lines, numbers and name of the horizontal axis."""
        right, floor = self.width - self.right, self.height - self.bottom
        parts = []
        for value in ticks(*self.x, about=about):
            at = float(self.px(value))
            parts.append(f'<path class="grid" d="M{at:.1f} {self.top}V{floor}"/>')
            parts.append(
                f'<text x="{at:.1f}" y="{floor + 16}" class="mid">{format_tick(value)}</text>'
            )
        middle = (self.left + right) / 2
        parts.append(
            f'<text x="{middle:.0f}" y="{self.height - 8}" class="mid name">{text(label)}</text>'
        )
        return "".join(parts)

    def _y_ticks(self) -> list[float]:
        low, high = self.y
        if self.log_y and high - low >= 2:  # whole powers of ten, at most about six
            step = max(1, round((high - low) / 6))
            return [float(k) for k in range(math.ceil(low), math.floor(high) + 1, step)]
        return ticks(low, high)

    def band(self, low: float, high: float, name: str) -> str:
        """Draws a shaded and hatched range of x with a name at its top."""
        start, end = self.px([low, high])
        return (
            f"{self.shade(start, self.top, end, self.height - self.bottom)}"
            f'<text class="mid small" x="{(start + end) / 2:.1f}" y="{self.top + 12}">'
            f"{text(name)}</text>"
        )

    def shade(
        self, left: int | float, top: int | float, right: int | float, bottom: int | float
    ) -> str:
        """Draws a shaded and hatched rectangle, in SVG units; `HATCH` must be in the drawing."""
        box = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
        return f'<rect class="band" {box}/><rect fill="url(#hatch)" {box}/>'

    def line(self, x: Values, y: Values, kind: str) -> str:
        """Draws a line through points."""
        return f'<path class="{kind}" d="{_path(self.px(x), self.py(y))}"/>'

    def area(self, x: Values, low: Values, high: Values, kind: str) -> str:
        """Draws the area between two lines."""
        across = self.px(x)
        forth = _path(across, self.py(high))
        back = _path(across[::-1], self.py(low)[::-1]).replace("M", "L", 1)
        return f'<path class="{kind}" d="{forth}{back}Z"/>'

    def dots(self, x: Values, y: Values, kind: str) -> str:
        """Draws dots as one path."""
        pairs = zip(_coordinates(self.px(x)), _coordinates(self.py(y)), strict=True)
        path = "".join(f"M{a} {b}h0" for a, b in pairs)
        return f'<path class="{kind}" d="{path}"/>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Finds `about` that many round numbers from `low` to `high`."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= rough * 0.999)
    # 1e-9: ends that are multiples of the step are kept in spite of rounding.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def format_tick(value: float) -> str:
    """Formats a round number as short as it can be."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.6g}".replace("-", "\u2212")


def _scale(value: Values, ends: tuple[float, float], start: int, stop: int) -> Floats:
    low, high = ends
    share = (np.asarray(value, np.float64) - low) / (high - low)
    return np.asarray(start + share * (stop - start))


def _coordinates(values: Floats) -> list[str]:
    return [f"{value:.1f}".removesuffix(".0") for value in values.tolist()]


def _path(x: Floats, y: Floats) -> str:
    pairs = zip(_coordinates(x), _coordinates(y), strict=True)
    return "M" + "L".join(f"{a} {b}" for a, b in pairs)
