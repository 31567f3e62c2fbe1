"""Frames that do not fit an answer: kept in the server, read in parts by their URI.

A result is kept until newer ones need its room; the number of results and their size are bounded.
"""

import collections
import json
import secrets
from collections.abc import Sequence
from typing import Any

PART = 500  # frames of an answer, and of a part
MAX_RESULTS = 64
MAX_BYTES = 128 << 20  # of all results together, as JSON
TEMPLATE = "vmaf-jax://results/{id}/{start}"


class LongResults:
    """The frames of recent long results, as the JSON texts of their parts."""

    def __init__(self) -> None:
        """Starts without results."""
        self._parts: collections.OrderedDict[str, dict[int, str]] = collections.OrderedDict()

    def add(self, frames: Sequence[dict[str, Any]]) -> str:
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
