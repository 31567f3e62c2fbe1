"""Reports phrases outside standard technical English, and long sentences, in pages and code.

python tools/prose.py              # exits with 1 where a phrase of the list is found
python tools/prose.py --sentences  # also lists every sentence above 35 words
"""

import ast
import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 35  # words of a sentence

# What earlier pages said, and what to write. Patterns match whole words in any case.
PHRASES = {
    r"(is|are|was|were) through": "is finished",
    r"told(?! apart)": "state, report, detect or determine",
    r"(was|were|is|are) asked": "the requirement is unknown to the reader: give the figure alone",
    r"asked for": "requested, or: required",
    r"by the clock": "wall-clock time",
    r"(by|in) turns": "alternately",
    r"held (to|against)": "compared with, checked against",
    r"mend(s|ed|ing)?": "fix, repair",
    r"and (its|their) kin": "and related ...",
    r"stands? (there|beside)|stands in": "is, is listed",
    r"(as it|as they) comes?": "unmapped, uncalibrated",
    r"as ever": "as before",
    r"leaves? the house": "deployed",
    r"rooms of": "packages of",
    r"doors?": "interface",
    r"aimed at (was|were)": "the goal was",
    r"made-up": "synthetic",
    r"heed(s|ed)?": "respect",
    r"in one go": "at once, together",
    r"ours": "name it: vmaf-jax, this method",
    r"how (near|sure)": "accuracy, agreement; uncertainty",
    r"with a word": "with a message",
    r"dear(er|est)?": "expensive, slow",
    r"(un)?woven": "interlaced",
    r"of (its|their|this) kind": "of this type",
    r"in silence": "silently, without a message",
    r"nobody": "no user, no viewer",
    r"stuff": "data",
    r"as said": "as described",
    r"a fellow": "another process",
    r"so many (folds|points|frames|rows)": "that many",
    r"whichever way": "in any way",
}
_PATTERN = re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in PHRASES), re.IGNORECASE)
_NAME = re.compile(r"(?:^|_)(?:told|mend(?:ed)?|heed|kin|dear|silence|stuff)(?:_|$)")


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph of a page, a docstring or a message, with the file and line where it starts."""

    path: Path
    line: int
    text: str


def pages() -> list[Path]:
    """Returns the Markdown pages that users and contributors read."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page_texts(page: Path) -> Iterator[Text]:
    """Yields paragraphs, list items and table rows of a Markdown page; no code, no formulas."""
    lines: list[str] = []
    fenced = False
    start = 0
    for number, line in enumerate([*page.read_text().splitlines(), ""], 1):
        fence = line.startswith(("```", "$$"))
        if fence:
            fenced = not fenced
        stripped = line.strip()
        indented = line.startswith("    ") and not lines
        begins = re.match(r"([-*]|\d+\.|#+|\|) ?", stripped)
        if lines and (fenced or not stripped or begins or fence):
            yield Text(page, start, " ".join(lines))
            lines = []
        if not fenced and stripped and not indented and not fence:
            start = start if lines else number
            lines.append(stripped)


def code_texts(module: Path) -> Iterator[Text]:
    """Yields the strings of a module that have several words: docstrings, messages, help texts."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value for v in node.values if isinstance(v, ast.Constant)]
            yield Text(module, node.lineno, " ".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield Text(module, node.lineno, node.value)


def bad_names(module: Path) -> Iterator[Text]:
    """Yields functions, classes and arguments whose names contain a word of the old dialect."""
    for node in ast.walk(ast.parse(module.read_text())):
        name = getattr(node, "name", None) or getattr(node, "arg", None)
        if isinstance(name, str) and _NAME.search(name.lower()):
            yield Text(module, getattr(node, "lineno", 0), name)


def find_phrases() -> list[str]:
    """Returns a line for each phrase of `PHRASES` in pages, strings and names of the project."""
    modules = [m for folder in ("vmaf_jax", "docs") for m in sorted((ROOT / folder).rglob("*.py"))]
    texts = [text for page in pages() for text in page_texts(page)]
    texts += [text for module in modules for text in code_texts(module)]
    found = {
        f"{text.path.relative_to(ROOT)}:{text.line}: {match[0]!r}: write {advice(match[0])}"
        for text in texts
        for match in _PATTERN.finditer(re.sub(r"`[^`]*`", "", text.text))
    }
    names = [name for module in modules for name in bad_names(module)]
    found |= {f"{n.path.relative_to(ROOT)}:{n.line}: rename {n.text}" for n in names}
    return sorted(found)


def advice(phrase: str) -> str:
    """Returns what to write in place of a phrase that `PHRASES` lists."""
    return next(a for p, a in PHRASES.items() if re.fullmatch(p, phrase, re.IGNORECASE))


def sentences(page: Path) -> list[tuple[int, str]]:
    """Returns the sentences of a page's prose and their lines; tables and headings are left out."""
    found = []
    for text in page_texts(page):
        if text.text.startswith(("|", "#", "!")):
            continue
        plain = re.sub(r"\]\([^)]*\)", "]", text.text)
        found += [(text.line, s) for s in re.split(r"(?<=[.:;?!])\s+(?=[A-Z0-9`*\[(])", plain)]
    return found


def main() -> int:
    """Prints what was found, and the share of long sentences; returns the exit code."""
    counted = {page: sentences(page) for page in pages() if page.name != "reference.md"}
    every = [(page, line, s) for page, listed in counted.items() for line, s in listed]
    long = [(page, line, s) for page, line, s in every if len(s.split()) > LONGEST]
    if "--sentences" in sys.argv:
        for page, line, sentence in long:
            print(f"{page.relative_to(ROOT)}:{line}: {len(sentence.split())} words: {sentence}")
    found = find_phrases()
    print(*found, sep="\n")
    print(f"{len(long)} of {len(every)} sentences ({len(long) / len(every):.1%}) have more than")
    print(f"{LONGEST} words; {len(found)} phrases to replace.")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
