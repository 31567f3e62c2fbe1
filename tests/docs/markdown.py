"""What stands in a Markdown page: its code blocks, its links, its anchors."""

import dataclasses
import re
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\s*$")
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$")


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block: the language of its fence (none where it is indented), its text and line."""

    language: str
    text: str
    line: int


def code_blocks(page: Path) -> list[Block]:
    """Fenced and indented blocks, in the page's order; blank lines end no indented block."""
    blocks: list[Block] = []
    language: str | None = None
    lines: list[str] = []
    start = 0

    def end(of: str) -> None:
        if any(line.strip() for line in lines):
            blocks.append(Block(of, "\n".join(lines).rstrip() + "\n", start))
        lines.clear()

    for number, line in enumerate([*page.read_text().splitlines(), "the end"], 1):
        fence = _FENCE.match(line)
        if language is not None:
            if fence:
                end(language)
                language = None
            else:
                lines.append(line)
        elif fence:
            end("")
            language, start = fence[1], number + 1
        elif line.startswith("    ") or (lines and not line.strip()):
            start = start if lines else number
            lines.append(line[4:])
        else:
            end("")
    assert language is None, f"{page}: a code block without its end"
    return blocks


def prose(page: Path) -> str:
    """The page without its code blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return re.sub(r"^    .*$", "", text, flags=re.M)


def links(page: Path) -> list[str]:
    """The targets of the page's links and pictures."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings."""
    headings = [m[1] for line in prose(page).splitlines() if (m := _HEADING.match(line))]
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading).strip("-") for heading in plain}
