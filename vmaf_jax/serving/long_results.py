"""Frames that do not fit an answer: kept here, read in parts by their URI.

A result lives until newer ones need its room; the number of results and their size are bounded.
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
        """None at first."""
        self._parts: collections.OrderedDict[str, dict[int, str]] = collections.OrderedDict()

    def add(self, frames: Sequence[dict[str, Any]]) -> str | None:
        """Keeps frames past the first part; the URI of the next part, None where all fit."""
        if len(frames) <= PART:
            return None
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
        """The part that begins with frame `start`, a `Frames` as JSON; None where there is none."""
        return self._parts.get(key, {}).get(start)

    def _size(self) -> int:
        return sum(len(text) for parts in self._parts.values() for text in parts.values())


def _uri(key: str, start: int) -> str:
    return TEMPLATE.format(id=key, start=start)
