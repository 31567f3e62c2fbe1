"""The frame of every HTML page, and tables in HTML and Markdown.

A content policy in the page forbids every request and every script but its own, which it names by
digest: text that got past the escaping could still do nothing.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources

from vmaf_jax.reporting.summary import Tile
from vmaf_jax.reporting.svg import Plot, Points, text


def page(title: str, body: Iterable[str], *, extra: str | None = None) -> str:
    """A whole page, HTML.

    Args:
        extra: name of a style and a script of this folder that come after the common ones.
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
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n'
        f'<style>{style}</style>\n</head>\n<body>\n<a class="skip" href="#main">To the figures</a>'
        f'\n<main id="main">\n{"".join(body)}\n</main>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def section(name: str, title: str, parts: Iterable[str]) -> str:
    """A part of a page under a heading."""
    return f'<section id="{name}">\n<h2>{text(title)}</h2>\n{"".join(parts)}</section>\n'


def tiles(entries: Iterable[Tile]) -> str:
    """The figures at the top of a page."""
    boxes = (
        f'<div class="tile"><p class="soft">{text(e.question)}</p>'
        f'<p class="figure">{text(e.figure)}</p><p class="soft">{text(e.note)}</p></div>'
        for e in entries
    )
    return f'<div class="tiles">{"".join(boxes)}</div>\n'


def notes(lines: Sequence[str]) -> str:
    """What to beware of, each marked by a sign; nothing where there is nothing."""
    if not lines:
        return ""
    marked = "".join(f"<p>{text(line, 1000)}</p>" for line in lines)
    return f'<div class="warnings" role="note">{marked}</div>\n'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls by itself where the screen is narrow; the cells are escaped."""
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def figure(name: str, title: str, svg: str, note: str = "") -> str:
    """A drawing with its title and a line below it."""
    below = f'<p class="note">{text(note, 1000)}</p>' if note else ""
    return f'<figure id="{name}"><figcaption>{text(title)}</figcaption>{svg}{below}</figure>\n'


def point_figure(
    name: str, title: str, svg: str, note: str, *, plot: Plot, of: str, y: str, index: str
) -> str:
    """A drawing of points that says what is under the pointer, or at the arrow keys.

    Args:
        plot: its frame.
        of: the set of points; `y` the column that is drawn upward.
        index: what a row's number counts (`frame`, or `frames pooled`).
    """
    numbers = (*plot.x, *plot.y, plot.width, plot.height)
    edges = (plot.left, plot.right, plot.top, plot.bottom)
    frame = " ".join(f"{value:.6g}" for value in (*numbers, *edges))
    return (
        f'<figure id="{name}" tabindex="0" data-of="{of}" data-y="{y}" data-frame="{frame}" '
        f'data-index="{index}"><figcaption>{text(title)}</figcaption>{svg}'
        f'<output aria-live="polite">Point at a dot, or use the arrow keys, for its clip.</output>'
        f'<p class="note">{text(note, 1000)}</p></figure>\n'
    )


def point_set(name: str, drawn: Points) -> str:
    """The data of a set of points, and a choice of one of its sources."""
    return (
        f'<p class="controls" hidden><label>Show one source: <select data-of="{name}">'
        f'<option value="-1">all</option></select></label></p>\n'
        f'<script type="application/json" data-set="{name}">{drawn.data()}</script>\n'
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a markdown_table; bars in cells are escaped."""
    lines = [list(header), ["---"] * len(header), *(list(row) for row in rows)]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    ]
