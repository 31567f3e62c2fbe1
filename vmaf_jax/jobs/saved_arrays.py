"""Arrays of a training on disk, through Orbax: whole or not at all, never trusted blindly.

A folder holds Orbax's files, and a list of their digests with that of the training they belong to.
"""

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vmaf_jax.export.checkpoint import checkpointer_alone, save_checkpoint
from vmaf_jax.files import atomic_path, plain_files, write_text
from vmaf_jax.limits import read_limited

_ARRAYS, _LIST = "state", "digests.json"
_MAX_LIST_BYTES = 64 << 20


class UnfitError(Exception):
    """Arrays that cannot be taken up, and why."""


def training_digest(*parts: Any) -> str:
    """SHA-256 of everything that a training's result follows from: machine, versions, `parts`.

    Args:
        parts: trees of arrays, or text.
    """
    digest = hashlib.sha256()
    devices = [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    for text in (*devices, *versions, *(part for part in parts if isinstance(part, str))):
        digest.update(f"{text}\n".encode())
    for leaf in jax.tree.leaves([part for part in parts if not isinstance(part, str)]):
        key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.ascontiguousarray(jax.random.key_data(leaf) if key else leaf)
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_arrays(place: Path, arrays: dict[str, Any], training: str) -> None:
    """Writes a tree of arrays to the folder `place`, atomically.

    Args:
        training: the digest of what they belong to.
    """
    with atomic_path(place) as temporary:
        temporary.mkdir()
        save_checkpoint(temporary / _ARRAYS, arrays)
        contents = {"training": training, "files": _digests(temporary / _ARRAYS)}
        write_text(temporary / _LIST, json.dumps(contents, indent=1))


def read_arrays(place: Path, training: str) -> dict[str, Any]:
    """The tree in the folder `place`.

    Raises:
        UnfitError: damaged, or of another training.
    """
    try:
        contents = json.loads(read_limited(place / _LIST, "DIGESTS_BYTES", _MAX_LIST_BYTES))
        files, owner = contents["files"], contents["training"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnfitError(f"damaged (no list of digests: {error})") from error
    if owner != training:
        raise UnfitError("of another training (its settings, rows or machine differ)")
    if not plain_files(place / _ARRAYS) or files != _digests(place / _ARRAYS):
        raise UnfitError("damaged (a file differs from its digest)")
    with checkpointer_alone() as checkpointer:
        return dict(checkpointer.restore(place / _ARRAYS))


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`, by its path there."""
    files: Iterable[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
