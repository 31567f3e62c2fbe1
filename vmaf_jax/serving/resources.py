"""Resources of the server: cards of shipped models, pages of the docs, parts of long results."""

import re
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.serving.long_results import LongResults

SCHEME = "vmaf-jax://"
_RESULT = re.compile(rf"{SCHEME}results/(?P<key>[0-9a-f]{{1,64}})/(?P<start>\d{{1,9}})")


def card_uri(model: str) -> str:
    """Returns the URI of a shipped model's card."""
    return f"{SCHEME}models/{model}"


def list_pages() -> dict[str, Path]:
    """Returns the Markdown files that can be read, by URI: cards, and the docs if present."""
    from vmaf_jax.runs.locate import checkpoints

    cards = {card_uri(path.parent.name): path for path in checkpoints().glob("*/card.md")}
    package = Path(__file__).parents[1]
    docs = package / "docs"
    if not docs.is_dir():  # in a checkout they stand beside the package
        docs = package.parent / "docs"
    pages = {
        f"{SCHEME}docs/{path.relative_to(docs).with_suffix('').as_posix()}": path
        for path in docs.rglob("*.md")
    }
    return {**dict(sorted(cards.items())), **dict(sorted(pages.items()))}


def page_title(path: Path) -> str:
    """Returns the title of a page, its first line."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def read_resource(uri: str, long_results: LongResults) -> tuple[str, str]:
    """Returns the MIME type and the text of a resource.

    Raises:
        InputError: there is no such resource, or its result is gone.
    """
    if match := _RESULT.fullmatch(uri):
        part = long_results.part(match["key"], int(match["start"]))
        if part is None:
            raise InputError(f"{uri}: this result is gone, or has no such frame; score again.")
        return "application/json", part
    path = list_pages().get(uri)
    if path is None:
        raise InputError(f"{uri[:200]!a}: no such resource; resources/list names them.")
    return "text/markdown", path.read_text(encoding="utf-8")
