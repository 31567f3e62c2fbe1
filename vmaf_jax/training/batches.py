"""The batches of a training: all rows, drawn rows, teacher queries, epochs or a stream.

A training is cut into units (blocks of steps, or epochs), a unit into parts, and a part into
steps. The batches of a part are drawn, gathered and laid out together, so that a step reads its
own as one slice. Only rows of sources that the member trains on are ever read.

Of a stream, rows come from the disk: block by block, shuffled in a buffer, prefetched. An epoch
reads every row once: blocks of neighbouring rows in random order, as many at a time as the buffer
takes, whose rows are then put in random order.
"""

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int, UInt32

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Variables
from vmaf_jax.teacher.svr import SvrParams, svr_score
from vmaf_jax.training.losses import Labels

_PART_ROWS = 1 << 14  # of rows that are gathered in one go: they stay in a core's cache
_QUERY_ROWS = 1 << 11  # of queries: the teacher's kernel matrix has 211 columns a row
_CALL_STEPS = 250  # at most, of one call of the program: what a signal to end has to wait for
_CALLS = 20  # of one training, at least: short ones can be saved and ended too


class ClipRows(NamedTuple):
    """Data of clips beside their features.

    Attributes:
        frames: 1 on real frames, `[n, t]`.
        weight: of each clip in the loss, >= 0, `[n]`.
        experiment: 1 at the experiment of each clip, `[n, e]`; `e` is 0 where that is left out.
        log_distance: logarithm of the viewers' distance over the student's own, `[n]`.
    """

    frames: Float[Array | np.ndarray, "n t"]
    weight: Float[Array | np.ndarray, " n"]
    experiment: Float[Array | np.ndarray, "n e"]
    log_distance: Float[Array | np.ndarray, " n"]


class Rows(NamedTuple):
    """Training data that all members share, sorted by source.

    Attributes:
        features: of rows `[n, d]` or clips `[n, t, d]`; of a stream, those of some steps
            `[s, b, d]`.
        targets: VMAF points, `[n]` or `[s, b]`.
        source: number of each row's source, `[n]` or `[s, b]`.
        counts: rows of each source, `[k]`.
        clips: further data of clips; None for rows.
        start: variables that training starts from; None for fresh ones.
    """

    features: Float[Array | np.ndarray, "*n d"]
    targets: Float[Array | np.ndarray, "*n"]
    source: Int[Array | np.ndarray, "*n"]
    counts: Int[Array | np.ndarray, " k"]
    clips: ClipRows | None = None
    start: Variables | None = None


class Batch(NamedTuple):
    """Rows of one step: features `[b, d]` or `[b, t, d]`, labels, the weight of each row `[b]`."""

    features: Float[Array, "b *t d"]
    labels: Labels
    weight: Float[Array, " b"]
    clips: ClipRows | None = None


class MemberRows(NamedTuple):
    """The rows that one member trains on.

    Attributes:
        rows: of all members.
        trains: 1 on the member's sources, `[k]`.
    """

    rows: Rows
    trains: Float[Array | np.ndarray, " k"]

    @property
    def n_rows(self) -> Int[Array, ""]:
        """The number of its rows."""
        return jnp.sum(self._own)

    @property
    def _own(self) -> Int[Array, " k"]:
        return jnp.where(self.trains > 0, jnp.asarray(self.rows.counts), 0)

    def locate(self, k: Int[Array, " b"]) -> Int[Array, " b"]:
        """Returns the numbers, in `rows`, of the member's rows number `k`."""
        last = jnp.cumsum(self._own)
        source = jnp.searchsorted(last, k, side="right")
        starts = jnp.cumsum(jnp.asarray(self.rows.counts)) - jnp.asarray(self.rows.counts)
        return (starts - (last - self._own))[source] + k

    def draw(self, key: Array, count: int) -> Int[Array, " b"]:
        """Draws the numbers of `count` of its rows, each equally likely."""
        return self.locate(jax.random.randint(key, (count,), 0, self.n_rows))


class BatchSource(NamedTuple):
    """The rows, key, labels and teacher that the batches of one member are made of.

    Attributes:
        own: its rows.
        inv_std: their reciprocal standard deviation, `[d]`.
        key: the source of the batches' randomness.
        label: from scores `[n]`, VMAF points, to labels of the member's loss.
        teacher: answers queries; None without queries.
    """

    own: MemberRows
    inv_std: Float[Array | np.ndarray, " d"]
    key: Array
    label: Callable[[Float[Array, " n"]], Labels]
    teacher: SvrParams | None


BatchAt = Callable[[Array], Batch]  # from the number of a step in its part


@dataclasses.dataclass(frozen=True)
class Batches:
    """How a training is cut into steps, and where the batch of each comes from.

    Attributes:
        draw: from a member's source and the numbers of a unit and of a part in it to the part's
            batches.
        units: of the training.
        part_steps: steps of a part, at most.
        steps: of the training, where all members have the same number; None for epochs, of which
            each is a unit of as many steps as a member's rows take.
        batch_size: rows of a step; None for all.
        uneven: whether a batch may hold no row of the member, and then leaves it as it is.
        streamed: whether `Rows` are those of one part, read from the disk.
    """

    draw: Callable[[BatchSource, Array, Array], BatchAt]
    units: int
    part_steps: int
    steps: int | None = None
    batch_size: int | None = None
    uneven: bool = False
    streamed: bool = False

    @property
    def units_per_call(self) -> int:
        """Units that one call of the program trains."""
        unit_steps = self.part_steps if self.steps is not None else 1
        most = 1 if self.streamed else max(1, _CALL_STEPS // unit_steps)
        return max(1, min(most, self.units // _CALLS))

    @property
    def losses_per_unit(self) -> int:
        """Losses that are kept of a unit: one a step, or one an epoch."""
        return 1 if self.steps is None else self.part_steps

    def unit_steps(self, unit: Array, epoch_steps: Array) -> Array:
        """Returns the steps of a unit; the last one may have fewer than `part_steps`.

        Args:
            epoch_steps: of an epoch, for the member that has most rows.
        """
        if self.steps is None:
            return epoch_steps
        return jnp.minimum(self.part_steps, self.steps - unit * self.part_steps)


def all_rows(steps: int) -> Batches:
    """Returns batches of every row in every step."""

    def draw(source: BatchSource, _unit: Array, _part: Array) -> BatchAt:
        rows = source.own.rows
        own = source.own.trains[rows.source] > 0
        features = jnp.where(_like(own, rows.features), rows.features, 0.0)
        weight = own.astype(features.dtype)
        if rows.clips is not None:
            weight = weight * rows.clips.weight
        labels = source.label(jnp.where(own, rows.targets, 0.0))
        batch = Batch(features, labels, weight, rows.clips)
        return lambda _: batch

    block = _block_steps(steps, 1, _CALL_STEPS)
    return Batches(draw, -(-steps // block), block, steps)


def drawn_rows(steps: int, size: int) -> Batches:
    """Returns batches of `size` rows, drawn anew in every step."""
    block = _block_steps(steps, size, _PART_ROWS)

    def draw(source: BatchSource, unit: Array, _part: Array) -> BatchAt:
        key = jax.random.fold_in(source.key, unit)
        return _gather(source, source.own.draw(key, block * size), jnp.ones((block, size)))

    return Batches(draw, -(-steps // block), block, steps, size)


def teacher_queries(steps: int, size: int, feature_set: FeatureSet) -> Batches:
    """Returns batches of `size` new feature vectors, labelled by the teacher, unclipped."""
    block = _block_steps(steps, size, _QUERY_ROWS)

    def draw(source: BatchSource, unit: Array, _part: Array) -> BatchAt:
        def draw_rows(key: Array, count: int) -> Array:
            return jnp.asarray(source.own.rows.features)[source.own.draw(key, count)]

        if source.teacher is None:
            raise ValueError("strategy teacher_queries: pass the teacher's parameters")
        key = jax.random.fold_in(source.key, unit)
        queries = draw_queries(key, draw_rows, source.inv_std, feature_set, (block, size))
        scores = svr_score(source.teacher, queries.reshape(block * size, -1)).reshape(block, size)
        columns = jnp.swapaxes(queries, 1, 2)

        def at(step: Array) -> Batch:
            return Batch(columns[step].T, source.label(scores[step]), jnp.ones(size))

        return at

    return Batches(draw, -(-steps // block), block, steps, size)


def epochs(count: int, size: int, n_rows: int) -> Batches:
    """Returns batches that visit each row once an epoch, in a new order; the last takes the rest.

    Args:
        count: of epochs.
        n_rows: of all members, at most.
    """
    part = max(1, min(-(-n_rows // size), _PART_ROWS // size))

    def draw(source: BatchSource, unit: Array, number: Array) -> BatchAt:
        place = number * (part * size) + jnp.arange(part * size)
        real = place < source.own.n_rows
        key = jax.random.fold_in(source.key, unit)
        order = permutation(key, source.own.n_rows, jnp.where(real, place, 0))
        weight = real.astype(jnp.float32).reshape(part, size)
        return _gather(source, source.own.locate(order), weight)

    return Batches(draw, count, part, None, size, uneven=True)


def streamed_rows(steps: int, size: int) -> Batches:
    """Returns batches of `size` rows, read from the disk and shared by all members."""
    block = _block_steps(steps, 1, _CALL_STEPS)

    def draw(source: BatchSource, _unit: Array, _part: Array) -> BatchAt:
        rows = source.own.rows

        def at(step: Array) -> Batch:
            weight = source.own.trains[rows.source[step]]
            own = weight > 0
            features = jnp.where(own[:, None], rows.features[step], 0.0)
            return Batch(features, source.label(jnp.where(own, rows.targets[step], 0.0)), weight)

        return at

    return Batches(draw, -(-steps // block), block, steps, size, uneven=True, streamed=True)


def _block_steps(steps: int, size: int, most_rows: int) -> int:
    """Returns the steps that are drawn together: few enough rows, a small share of all steps."""
    return max(1, min(steps // _CALLS, most_rows // size))


def _like(own: Array, features: Array | np.ndarray) -> Array:
    """Returns `own` `[n]` with axes of size 1 up to the rank of `features`."""
    return own.reshape(own.shape + (1,) * (features.ndim - 1))


def _gather(source: BatchSource, index: Array, weight: Float[Array, "s b"]) -> BatchAt:
    """Gathers the batches of a part by the numbers of its rows `[s * b]`."""
    rows, shape = source.own.rows, weight.shape
    features = jnp.asarray(rows.features)[index].reshape(*shape, *rows.features.shape[1:])
    targets = jnp.asarray(rows.targets)[index].reshape(shape)
    if rows.clips is not None:
        clips = jax.tree.map(
            lambda leaf: jnp.asarray(leaf)[index].reshape(*shape, *leaf.shape[1:]), rows.clips
        )

        def clips_at(step: Array) -> Batch:
            own = jax.tree.map(lambda leaf: leaf[step], clips)
            labels = source.label(targets[step])
            return Batch(features[step], labels, weight[step] * own.weight, own)

        return clips_at
    # Perceptrons take rows in columns (`networks.Mlp`): laid out so once a part, not once a step.
    columns = jnp.swapaxes(features, 1, 2)
    return lambda step: Batch(columns[step].T, source.label(targets[step]), weight[step])


SPAN_SHARE = 0.4  # of queries; the others are of the box, most of which no corpus has rows in
_MIXTURE = (-0.2, 1.2)  # beyond 0 and 1: held-out clips lie a little outside the others' span
_JITTER = 0.1  # of each feature's standard deviation over the training rows

DrawRows = Callable[[Array, int], Float[Array, "b d"]]  # training rows, from a key and a count


def draw_queries(
    key: Array,
    draw_rows: DrawRows,
    inv_std: Float[Array | np.ndarray, " d"],
    feature_set: FeatureSet,
    shape: tuple[int, int],
) -> Float[Array, "s b d"]:
    """Draws raw feature vectors to ask the teacher about: a share `SPAN_SHARE` from the rows' span.

    That span is mixtures of two training rows, reaching a little past both, with jitter. The rest
    is from a physical box, the same for every fold and corpus, thinned to plausible combinations:
    VIF grows with scale (coarser scales keep more of a picture), motion is mostly small, and the
    corners that matter get rows of their own: identical pictures, no motion, heavy blur.

    Args:
        draw_rows: draws rows that training may see.
        inv_std: reciprocal standard deviation of those rows.
        shape: number of batches, and of vectors in each.
    """
    n_batches, size = shape
    n_span = round(size * SPAN_SHARE)
    span_key, box_key = jax.random.split(key)
    span = _draw_span(span_key, draw_rows, inv_std, n_batches * n_span)
    box = _draw_box(box_key, feature_set, n_batches * (size - n_span))
    parts = [part.reshape(n_batches, -1, len(feature_set)) for part in (span, box)]
    lower, upper = jnp.array(feature_set.lower), jnp.array(feature_set.upper)
    return jnp.clip(jnp.concatenate(parts, axis=1), lower, upper)


def _draw_span(
    key: Array, draw_rows: DrawRows, inv_std: Float[Array | np.ndarray, " d"], count: int
) -> Float[Array, "q d"]:
    first_key, second_key, mix_key, jitter_key = jax.random.split(key, 4)
    first, second = draw_rows(first_key, count), draw_rows(second_key, count)
    low, high = _MIXTURE
    share = jax.random.uniform(mix_key, (count, 1), minval=low, maxval=high)
    jitter = _JITTER * jax.random.normal(jitter_key, first.shape) / inv_std
    return share * first + (1 - share) * second + jitter


def _draw_box(key: Array, feature_set: FeatureSet, count: int) -> Float[Array, "q d"]:
    """Draws rows of the physical box; those of identical pictures lie near its `identical`."""
    ordered_key, free_key, motion_key, kind_key, near_key = jax.random.split(key, 5)
    kind = jax.random.uniform(kind_key, (count, 1))
    near = jnp.square(jax.random.uniform(near_key, (count, 1)))
    identical, blurred = kind < 0.1, (kind >= 0.1) & (kind < 0.2)
    still = (kind >= 0.05) & (kind < 0.25)
    single = set(feature_set.ordered) | set(feature_set.reference_only)
    free = [name for name in feature_set if name not in single]
    of_identical = dict(zip(feature_set, feature_set.identical, strict=True))

    def toward(values: Array, names: tuple[str, ...], reach: float) -> Array:
        ends = jnp.array([of_identical[name] for name in names])
        return jnp.where(identical, ends + reach * near * (values - ends), values)

    ordered = jax.random.uniform(ordered_key, (count, len(feature_set.ordered)))
    ordered = toward(jnp.sort(ordered, axis=1), feature_set.ordered, 0.1)
    ordered = jnp.where(blurred, 0.3 * ordered, ordered)
    drawn = toward(jax.random.uniform(free_key, (count, len(free))), tuple(free), 0.05)
    motion = jax.random.uniform(motion_key, (count, len(feature_set.reference_only)))
    motion = jnp.where(still, 0.0, jnp.square(motion))
    columns = dict(zip(feature_set.ordered, ordered.T, strict=True))
    columns |= dict(zip(free, drawn.T, strict=True))
    columns |= dict(zip(feature_set.reference_only, motion.T, strict=True))
    upper = dict(zip(feature_set, feature_set.upper, strict=True))
    return jnp.stack([columns[name] * upper[name] for name in feature_set], axis=1)


# Of rows and columns together. With 4, the distance between two neighbours is visibly uneven among
# 1000 numbers; with 6 it is even from 500 on, and not quite among fewer.
_TURNS = 6


def permutation(key: Array, count: Int[Array, ""], place: Int[Array, " n"]) -> Int[Array, " n"]:
    """Returns the numbers at some places of a random order of those below `count`, unsorted.

    A number below `count` is a place in a rectangle, and a cipher moves places to places:
    alternately, the row goes on by a hash of the column, and the column by a hash of the row. Each
    such turn can be undone, so no two numbers meet. A number that comes to lie past `count` is
    moved again until it does not. Eleven thousand numbers take a sixth of the time of sorting as
    many random integers.

    Args:
        key: the source of randomness; the same order for the same key and count.
        count: how many numbers are in order, at least 1; may be traced.
        place: each at least 0 and below `count`.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002: generalised
    Feistel cipher and cycle walking; for shuffling in parallel, Mitchell, Stokes, Frank and Holmes,
    arXiv:2106.06161. The hash is multiplications and a shift, as in MurmurHash3's last step.
    """
    count, place = count.astype(jnp.uint32), place.astype(jnp.uint32)
    n_columns = _columns(count)
    n_rows = (count + n_columns - 1) // n_columns
    keys = jax.random.bits(key, (_TURNS,))

    def encipher(cell: tuple[Array, Array]) -> tuple[Array, Array]:
        row, column = cell
        for k in range(0, _TURNS, 2):
            row = _turned(row, column ^ keys[k], n_rows)
            column = _turned(column, row ^ keys[k + 1], n_columns)
        return row, column

    def outside(cell: tuple[Array, Array]) -> Array:
        return cell[0] * n_columns + cell[1] >= count

    def again(cell: tuple[Array, Array]) -> tuple[Array, Array]:
        stays = ~outside(cell)
        return jax.tree.map(lambda old, new: jnp.where(stays, old, new), cell, encipher(cell))

    start = encipher((place // n_columns, place % n_columns))
    row, column = jax.lax.while_loop(lambda cell: jnp.any(outside(cell)), again, start)
    return (row * n_columns + column).astype(jnp.int32)


def _columns(count: UInt32[Array, ""]) -> UInt32[Array, ""]:
    """Returns the columns of a nearly square rectangle, as little larger than `count` as may be."""
    side = jnp.ceil(jnp.sqrt(count.astype(jnp.float32))).astype(jnp.uint32)
    sides = side + jnp.arange(32, dtype=jnp.uint32) * side // 128
    left_over = sides - 1 - (count - 1) % sides
    return sides[jnp.argmin(left_over)]


def _turned(
    place: UInt32[Array, " n"], hashed: UInt32[Array, " n"], n_places: UInt32[Array, ""]
) -> UInt32[Array, " n"]:
    """Moves `place` around a circle of `n_places`, at most 2^16, as far as a hash says."""
    mixed = hashed * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0xC2B2AE35)
    moved = place + (((mixed >> 16) * n_places) >> 16)
    return jnp.where(moved >= n_places, moved - n_places, moved)


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
