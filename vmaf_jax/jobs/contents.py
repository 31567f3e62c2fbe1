"""What a table holds, told by its content: its clips, and all of its rows."""

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.features.table import FeatureTable

_DIGEST_ROWS = 1 << 16  # that are copied at a time


def clip_contents(table: FeatureTable) -> dict[str, str]:
    """Name of a clip by its content: digests of its files where known, and of its features."""
    inputs = table.provenance.get("inputs", {})
    contents = {
        digest: name
        for name, digest in inputs.items()
        if not name.endswith(".json") and not name.endswith(" (reference)")
    }
    keys = np.array([f"{s}\n{c}" for s, c in zip(table.source, table.clip, strict=True)])
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    for rows in np.split(np.arange(len(table)), starts[1:]):
        digest = hashlib.sha256(np.ascontiguousarray(table.features[rows]).tobytes()).hexdigest()
        contents[digest] = f"{table.source[rows[0]]}/{table.clip[rows[0]]}"
    return contents


def table_digest(table: FeatureTable) -> str:
    """SHA-256 of a table's rows: keys, features and labels."""
    state = hashlib.sha256()
    for k, names in enumerate((table.corpus, table.source, table.clip)):
        state.update(b", [" if k else b"[[")  # as `json.dumps` writes the three lists, in parts
        for at in range(0, len(names), _DIGEST_ROWS):
            part = json.dumps(names[at : at + _DIGEST_ROWS].tolist())[1:-1]
            state.update((", " * (at > 0) + part).encode())
        state.update(b"]")
    state.update(b"]")
    columns: tuple[npt.NDArray[Any], ...] = (table.index, table.features, *table.labels.values())
    for column in columns:
        for at in range(0, len(column), _DIGEST_ROWS):
            state.update(np.ascontiguousarray(column[at : at + _DIGEST_ROWS]).tobytes())
    return state.hexdigest()
