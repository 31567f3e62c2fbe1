"""Turns the formulas of the site's pages into MathML, which browsers draw without a script.

Pages have them as forges do, `$x$` and `$$x$$`; MkDocs calls `on_page_content`.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

# What pymdownx.arithmatex leaves of a formula.
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S
)


def on_page_content(page_html: str, **_: Any) -> str:
    """Returns a page's HTML with MathML in place of its formulas."""
    return _FORMULA.sub(_draw, page_html)


def _draw(formula: re.Match[str]) -> str:
    block = formula["tag"] == "div"
    return convert(html.unescape(formula["tex"]), display="block" if block else "inline")
