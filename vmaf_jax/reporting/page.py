"""The parts of every HTML page: its frame, tiles, notes, tables and figures; tables in Markdown.

A content policy in the page forbids every request and every script but its own, which it names by
digest: text that got past the escaping could still do nothing.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources

from vmaf_jax.reporting.svg import text


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
