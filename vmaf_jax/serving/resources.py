"""What a client may read: the shipped models' cards, the docs' pages, the parts of long results."""

import re
from pathlib import Path

from mcp import types

from vmaf_jax.errors import InputError
from vmaf_jax.serving.long_results import TEMPLATE, LongResults

_SCHEME = "vmaf-jax://"
_RESULT = re.compile(rf"{_SCHEME}results/(?P<key>[0-9a-f]{{1,64}})/(?P<start>\d{{1,9}})")


def card_uri(model: str) -> str:
    """The URI of a shipped model's card."""
    return f"{_SCHEME}models/{model}"


def pages() -> dict[str, Path]:
    """Files that can be read, by URI: cards, and docs where the package has them."""
    from vmaf_jax.runs.locate import checkpoints

    cards = {card_uri(path.parent.name): path for path in checkpoints().glob("*/card.md")}
    root = _docs()
    docs = {
        f"{_SCHEME}docs/{path.relative_to(root).with_suffix('').as_posix()}": path
        for path in root.rglob("*.md")
    }
    return {**dict(sorted(cards.items())), **dict(sorted(docs.items()))}


def _docs() -> Path:
    """The folder of the docs: in the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "docs"
    return inside if inside.is_dir() else package.parent / "docs"


def list_resources() -> list[types.Resource]:
    """Cards and pages."""
    return [
        types.Resource(
            uri=uri, name=uri.removeprefix(_SCHEME), title=_title(path), mime_type="text/markdown"
        )
        for uri, path in pages().items()
    ]


def list_templates() -> list[types.ResourceTemplate]:
    """The form of a long result's parts."""
    return [
        types.ResourceTemplate(
            uri_template=TEMPLATE,
            name="frames",
            title="Frames of a long result",
            description="A part of the frames of a score that did not fit its answer, as JSON.",
            mime_type="application/json",
        )
    ]


def read(uri: str, long_results: LongResults) -> types.TextResourceContents:
    """The content of a resource.

    Raises:
        InputError: there is no such resource, or its result is gone.
    """
    if match := _RESULT.fullmatch(uri):
        part = long_results.part(match["key"], int(match["start"]))
        if part is None:
            raise InputError(f"{uri}: this result is gone, or has no such frame; score again.")
        return types.TextResourceContents(uri=uri, mime_type="application/json", text=part)
    path = pages().get(uri)
    if path is None:
        raise InputError(f"{uri[:200]!a}: no such resource; resources/list names them.")
    text = path.read_text(encoding="utf-8")
    return types.TextResourceContents(uri=uri, mime_type="text/markdown", text=text)


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()
