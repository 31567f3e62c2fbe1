"""Rows from the disk in batches: read block by block, shuffled in a buffer, prefetched.

An epoch reads every row once: blocks of neighbouring rows in random order, as many at a time as the
buffer takes, whose rows are then put in random order.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

_BLOCK = 4096  # neighbouring rows that are read together
_PREFETCHED = 2  # chunks that wait for the device
_KINDS = (np.float32, np.float32, np.int32)  # of features, targets, source


OnDevice = TypeVar("OnDevice")


class StreamRows(NamedTuple):
    """Rows on the disk, or in memory.

    Attributes:
        features: raw, `[n, d]`.
        targets: VMAF points, `[n]`.
        source: the number of each row's source, `[n]`.
    """

    features: npt.NDArray[np.floating]
    targets: npt.NDArray[np.floating]
    source: npt.NDArray[np.int32]


class Chunk(NamedTuple):
    """The rows of some steps, `[s, b, ...]`."""

    features: Float[Array | np.ndarray, "*s b d"]
    targets: Float[Array | np.ndarray, "*s b"]
    source: Int[Array | np.ndarray, "*s b"]


def chunks(
    rows: StreamRows,
    *,
    batch_size: int,
    steps: int,
    buffer_rows: int,
    seed: int,
    first: int = 0,
) -> Iterator[Chunk]:
    """Yields batches without end, `steps` of them at a time.

    Args:
        buffer_rows: rows that are shuffled among each other.
        first: the number of the chunk to begin with; those before it are not read.
    """
    rng = np.random.default_rng(seed)
    n, size = len(rows.targets), steps * batch_size
    n_blocks, at_a_time = -(-n // _BLOCK), max(1, buffer_rows // _BLOCK)
    behind = first * size  # rows
    held: list[Chunk] = []
    n_held = 0
    while True:
        blocks = rng.permutation(n_blocks)
        for start in range(0, n_blocks, at_a_time):
            together = np.sort(blocks[start : start + at_a_time])
            order = rng.permutation(int(np.minimum(n - together * _BLOCK, _BLOCK).sum()))
            if behind >= len(order):
                behind -= len(order)
                continue
            held.append(_read(rows, together, order[behind:]))
            behind = 0
            n_held += len(held[-1].targets)
            while n_held >= size:
                whole = held[0]
                if len(held) > 1:
                    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *held)
                held, n_held = [jax.tree.map(lambda leaf: leaf[size:], whole)], n_held - size
                yield jax.tree.map(
                    lambda leaf: leaf[:size].reshape(steps, batch_size, *leaf.shape[1:]), whole
                )


def _read(rows: StreamRows, blocks: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> Chunk:
    """Reads rows of some blocks, float32: those at the places in `order`, in that order."""
    chunk = columns_of(rows, [slice(block * _BLOCK, (block + 1) * _BLOCK) for block in blocks])
    return Chunk(chunk.features[order], chunk.targets[order], chunk.source[order])


def columns_of(rows: StreamRows, parts: Sequence[slice | np.ndarray]) -> Chunk:
    """Returns some rows, joined, on the host."""
    features, targets, source = (
        np.concatenate([np.asarray(column[part], kind) for part in parts])
        for column, kind in zip(rows, _KINDS, strict=True)
    )
    return Chunk(features, targets, source)


def prefetched(
    source: Iterator[Chunk], count: int, put: Callable[[Chunk], OnDevice]
) -> Iterator[OnDevice]:
    """Yields the first `count` chunks on their devices; a thread prepares them meanwhile.

    Args:
        put: puts a chunk on the devices.
    """
    ready: queue.Queue[OnDevice | BaseException] = queue.Queue(_PREFETCHED)
    ended = threading.Event()

    def fill() -> None:
        try:
            for _ in range(count):
                if ended.is_set():
                    return
                ready.put(put(next(source)))
        except BaseException as error:  # raised where the chunk is asked for
            ready.put(error)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        for _ in range(count):
            chunk = ready.get()
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        ended.set()
        while thread.is_alive():  # it may wait for room
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.01)
