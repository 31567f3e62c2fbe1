"""Digests of inputs and settings, for the cache and for provenance.

XXH3 (128 bits) reads faster than any disk; it tells changed content from unchanged, and is no
protection against somebody who forges collisions on purpose.
"""

import functools
import hashlib
from pathlib import Path

import xxhash

from vmaf_jax.errors import InputError


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, _identity: tuple[int, ...]) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()


def file_digest(path: Path) -> str:
    """Digest of a file's content, 32 hexadecimal digits.

    Within one process a file whose size, inode and times are as before is not read again.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        stat = path.stat()
        identity = (stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
        return _digest(path.absolute(), identity)
    except OSError as error:
        raise InputError(f"{path}: cannot read ({error.strerror}); check the file.") from error


def text_digest(text: str) -> str:
    """Digest of a text, 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(text.encode())


def forget_digests() -> None:
    """Forgets what this process has read, so that a benchmark reads files again."""
    _digest.cache_clear()
