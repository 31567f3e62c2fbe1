"""Resources of the server: cards of shipped models, pages of the docs, parts of long results.

Frames that do not fit an answer are kept in the server and read in parts by their URI, until newer
results need the room; the number of results and their size are bounded.
"""

import collections
import json
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.files import data_folder

SCHEME = "vmaf-jax://"
_RESULT = re.compile(rf"{SCHEME}results/(?P<key>[0-9a-f]{{1,64}})/(?P<start>\d{{1,9}})")


def card_uri(model: str) -> str:
    """Returns the URI of a shipped model's card."""
    return f"{SCHEME}models/{model}"


def list_pages() -> dict[str, Path]:
    """Returns the Markdown files that can be read, by URI: cards, and the docs if present."""
    from vmaf_jax.runs.locate import checkpoints

    cards = {card_uri(path.parent.name): path for path in checkpoints().glob("*/card.md")}
    docs = data_folder("docs")
    pages = {
        f"{SCHEME}docs/{path.relative_to(docs).with_suffix('').as_posix()}": path
        for path in docs.rglob("*.md")
        if path.name != "api.md"  # the site fills it from docstrings, as reference.md has them
    }
    return {**dict(sorted(cards.items())), **dict(sorted(pages.items()))}


def page_title(path: Path) -> str:
    """Returns the title of a page, its first line."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


PART = 500  # frames of an answer, and of a part
MAX_RESULTS = 64  # a client reads the parts soon after the answer, or never
MAX_BYTES = 128 << 20  # of all results together, as JSON
TEMPLATE = SCHEME + "results/{id}/{start}"


class LongResults:
    """The frames of recent long results, as the JSON texts of their parts."""

    def __init__(self) -> None:
        """Starts without results."""
        self._parts: collections.OrderedDict[str, dict[int, str]] = collections.OrderedDict()

    def add(self, frames: Sequence[dict[str, object]]) -> str:
        """Keeps the frames after the first part, and returns the URI of the second.

        Args:
            frames: more than `PART`.
        """
        # Whoever knows a URI can read its frames, other clients of the server included.
        key = secrets.token_hex(8)
        self._parts[key] = {
            start: json.dumps(
                {
                    "frames": frames[start : start + PART],
                    "next": _uri(key, start + PART) if start + PART < len(frames) else None,
                }
            )
            for start in range(PART, len(frames), PART)
        }
        while len(self._parts) > 1 and (len(self._parts) > MAX_RESULTS or self._size() > MAX_BYTES):
            self._parts.popitem(last=False)
        return _uri(key, PART)

    def part(self, key: str, start: int) -> str | None:
        """Returns the part that begins with frame `start`, a `Frames` as JSON, None if absent."""
        return self._parts.get(key, {}).get(start)

    def _size(self) -> int:
        return sum(len(text) for parts in self._parts.values() for text in parts.values())


def _uri(key: str, start: int) -> str:
    return TEMPLATE.format(id=key, start=start)


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
