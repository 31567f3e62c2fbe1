"""The training engine: one member's training, mapped over members, in short calls of one program.

Members train in rounds of a few on every device, so that the activations of a step stay in a core's
cache. What a member becomes does not depend on the others: on a CPU the program is the same for any
number of them. Between two calls, the whole state can be saved; saving changes no bit.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.typing import DTypeLike

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Student, Variables
from vmaf_jax.teacher.svr import SvrParams
from vmaf_jax.training.batches import (
    Batches,
    Chunk,
    ClipRows,
    Rows,
    StreamRows,
    chunks,
    columns_of,
    prefetched,
)
from vmaf_jax.training.masks import Scaler
from vmaf_jax.training.member import Member, MemberTraining, Span, make_batches
from vmaf_jax.training.optimisers import Rates, State
from vmaf_jax.training.settings import TrainingSettings
from vmaf_jax.training.sharding import (
    Leaf,
    Sharding,
    deal_members,
    members_that_fit,
    training_bytes,
)

_SAMPLE = 4096  # rows of a stream that prototypes start at

Leaves = list[np.ndarray]  # of a state, in one fixed order
Program = TypeVar("Program")
Tree = TypeVar("Tree")


@runtime_checkable
class Saver(Protocol):
    """Saves states, and gives back the newest sound one."""

    def restore(self, like: Leaves) -> Leaves | None:
        """Returns the newest sound state of this very training, shaped as `like`; or None."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, state: Leaves, step: int) -> None:
        """Saves the state after `step` units; may end the program."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """The result of `train_members`.

    Attributes:
        variables: stacked, on the host.
        losses: of every member and step, or epoch, `[m, steps]`.
        compile_s, train_s: seconds.
    """

    variables: Variables
    losses: npt.NDArray[np.float32]
    compile_s: float
    train_s: float

    def member(self, k: int) -> Variables:
        """Returns the variables of member `k`."""
        return jax.tree.map(lambda leaf: leaf[k], self.variables)


def make_rows(
    features: np.ndarray,
    targets: np.ndarray,
    source: npt.NDArray[np.integer],
    n_sources: int,
    clips: ClipRows | None = None,
    start: Variables | None = None,
) -> Rows:
    """Returns training data sorted by source, in memory; arguments as the fields of `Rows`."""
    counts = np.bincount(source, minlength=n_sources).astype(np.int32)
    if (np.diff(source) >= 0).all():  # as tables mostly are; of large ones no copy is made
        return Rows(features, targets, source.astype(np.int32), counts, clips, start)
    order = np.argsort(source, kind="stable")
    columns = features[order], targets[order], source[order].astype(np.int32)
    clips = jax.tree.map(lambda leaf: np.asarray(leaf)[order], clips)
    return Rows(*columns, counts, clips, start)


def cross_validation(
    masks: npt.NDArray[np.bool_],
    scalers: Scaler,
    seeds: Sequence[int],
    temperatures: Sequence[float],
    rates: Sequence[Rates] | None = None,
    dropouts: Sequence[float] | None = None,
) -> Member:
    """Returns all combinations of seeds, points and folds, nested so, then a final fit a point.

    Every fold of a seed starts from the same initial weights, so folds differ in their data alone.
    The final fits train on all sources, by the first seed.

    Args:
        masks: `[folds, sources]`, False on the sources that a fold holds out.
        scalers: of each fold and, last, of all sources, `[folds + 1, d]`.
        temperatures: one a point.
        rates: of the optimiser, one a point; None for those of the settings.
        dropouts: shares of units left out, one a point; None for the student's.
    """
    n_points, everything = len(temperatures), len(masks)
    grid = [(s, p, f) for s in seeds for p in range(n_points) for f in range(everything)]
    grid += [(seeds[0], p, everything) for p in range(n_points)]
    fold, point = (np.array([entry[k] for entry in grid]) for k in (2, 1))
    trains = np.concatenate([masks, np.ones_like(masks[:1])]).astype(np.float32)
    return Member(
        trains=trains[fold],
        key=jnp.stack([jax.random.key(seed) for seed, *_ in grid]),
        temperature=np.array(temperatures, np.float32)[point],
        scaler={name: value[fold] for name, value in scalers.items()},
        rates=None if rates is None else Rates(*np.array(rates, np.float32)[point].T),
        dropout=None if dropouts is None else np.array(dropouts, np.float32)[point],
    )


@dataclasses.dataclass(frozen=True)
class _Programs(Generic[Program]):
    """Programs of a round, jitted or compiled.

    Attributes:
        start: from a sample of rows and members to their first state.
        advance: from rows, members, teacher, a state and a span to the next state and losses.
    """

    start: Program
    advance: Program


@functools.lru_cache(maxsize=16)
def _functions_of(training: MemberTraining, sharding: Sharding) -> _Programs[jax.stages.Wrapped]:
    """Returns the functions of one kind of training: the same ones, for which JAX has programs."""
    start = sharding.map(training.start, (False, True))
    advance = sharding.map(training.advance, (False, True, False, True, False))
    options = sharding.compiler_options or None
    return _Programs(jax.jit(start), jax.jit(advance, donate_argnums=3, compiler_options=options))


def train_members(
    rows: Rows | StreamRows,
    members: Member,
    teacher: SvrParams | None = None,
    *,
    student: Student,
    settings: TrainingSettings,
    feature_set: FeatureSet,
    buffer_rows: int | None = None,
    saver: Saver | None = None,
) -> Trained:
    """Trains all members.

    Args:
        rows: in memory, or a stream.
        teacher: gives labels (unclipped) to strategies that query it.
        buffer_rows: of a stream, rows that are shuffled among each other; twice as many are held.
        saver: of the state while training; None to save none. The bits are the same.

    Raises:
        ValueError: the strategy asks a teacher, and there is none.
        InputError: `VMAF_JAX_MAX_TRAINING_BYTES` is no number.
    """
    if settings.strategy == "teacher_queries" and teacher is None:
        raise ValueError("strategy teacher_queries: pass the teacher's parameters")
    streamed = isinstance(rows, StreamRows)
    batches = make_batches(settings, feature_set, len(rows.targets), streamed=streamed)
    training = MemberTraining(student, settings, batches)
    engine = _Engine(training, members, Sharding.over_all_devices())
    with jax.enable_x64(training.wide):
        if isinstance(rows, StreamRows):
            n_sources = members.trains.shape[1]
            held = buffer_rows or len(rows.targets)
            stream = _Stream(rows, batches, settings.seeds[0], held, n_sources)
            return engine.train(_sample(rows, members), None, stream, saver)
        return engine.train(rows, teacher, None, saver)


def _sample(rows: StreamRows, members: Member) -> Rows:
    """Evenly spaced rows of a stream, in memory."""
    some = np.unique(np.linspace(0, len(rows.targets) - 1, _SAMPLE).astype(np.int64))
    features, targets, source = (np.asarray(column) for column in columns_of(rows, [some]))
    return make_rows(features, targets, source, np.shape(members.trains)[1])


class _Engine:
    """The training of some members on all devices."""

    def __init__(self, training: MemberTraining, members: Member, sharding: Sharding) -> None:
        self.training, self.members, self.sharding = training, members, sharding
        self.dtype: DTypeLike = jnp.float64 if training.wide else jnp.float32

    @property
    def batches(self) -> Batches:
        """How the training is cut."""
        return self.training.batches

    def train(
        self,
        sample: Rows,
        teacher: SvrParams | None,
        stream: "_Stream | None",
        saver: Saver | None,
    ) -> Trained:
        """Trains all members from the newest saved state on."""
        started = time.perf_counter()
        sharding, batches = self.sharding, self.batches
        floats = _as_floats((sample, teacher), self.dtype)
        on_devices, asked = sharding.put(floats, sharding.shared)
        first = on_devices if stream is None else stream.shapes(sharding)
        programs, rounds = self._compile_rounds(on_devices, first, asked, np.asarray(sample.counts))
        sharding.wait()  # for the other processes to have compiled theirs
        compile_s, started = time.perf_counter() - started, time.perf_counter()
        for group in rounds:
            group.state = programs.start(on_devices, group.members)
        done = 0 if saver is None else self._restore(saver, rounds)
        chunks_left = None if stream is None else stream.from_unit(done, sharding)
        while done < batches.units:
            data = on_devices if chunks_left is None else next(chunks_left)
            last = min(done + batches.units_per_call, batches.units)
            losses = []
            for group in rounds:
                span = _span(done, last, group.epoch_steps)
                group.state, some = programs.advance(data, group.members, asked, group.state, span)
                losses.append(some)
            # Fetched when all rounds are under way, so that devices do not wait for the host.
            per_unit = batches.losses_per_unit
            for group, some in zip(rounds, losses, strict=True):
                fetched = sharding.fetch(some)[:, : (last - done) * per_unit]
                group.losses[:, done * per_unit : last * per_unit] = fetched
            done = last
            if saver is not None and done < batches.units and saver.due():
                saver.save(self._leaves(rounds, done), done)
        variables, of_members = self._collect(sample, rounds)
        return Trained(variables, of_members, compile_s, time.perf_counter() - started)

    def _compile_rounds(
        self, sample: Rows, rows: Rows, teacher: SvrParams | None, counts: np.ndarray
    ) -> tuple[_Programs[jax.stages.Compiled], list["_Round"]]:
        """Deals members into rounds that fit the devices' memory, and compiles their programs."""
        sharding, batches = self.sharding, self.batches
        n_rows = np.where(np.asarray(self.members.trains) > 0, counts, 0).sum(axis=1)
        width = sharding.group_size(len(n_rows))
        while True:
            dealt = deal_members(n_rows, width * sharding.n_devices)
            programs, taken = self._compile(sample, rows, self._put(self._own(dealt[0])), teacher)
            fitting = members_that_fit(width, taken, training_bytes(jax.local_devices()))
            if fitting >= width:
                break
            width = fitting
        n_losses, size = batches.units * batches.losses_per_unit, batches.batch_size
        rounds = [
            _Round(
                index=index,
                members=self._put(self._own(index)),
                epoch_steps=1 if size is None else -(-int(n_rows[index].max()) // size),
                losses=np.zeros((len(index), n_losses), np.float32),
            )
            for index in dealt
        ]
        return programs, rounds

    def _collect(
        self, sample: Rows, rounds: list["_Round"]
    ) -> tuple[Variables, npt.NDArray[np.float32]]:
        """Returns variables and losses in the order of the members."""
        index = np.concatenate([group.index for group in rounds])
        place = np.empty(len(self.members.temperature), np.int64)
        place[index] = np.arange(len(index))
        variables = [
            self.training.finish(sample, self._own(group.index), self.sharding.fetch(group.state))
            for group in rounds
        ]
        losses = np.concatenate([group.losses for group in rounds])
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[place], *variables)
        return joined, losses[place, : self.batches.steps]

    def _own(self, index: npt.NDArray[np.int64]) -> Member:
        own: Member = jax.tree.map(lambda leaf: leaf[index], self.members)
        return own

    def _put(self, members: Member) -> Member:
        return self.sharding.put(_as_floats(members, self.dtype), self.sharding.split)

    def _compile(
        self, sample: Rows, rows: Rows, group: Member, teacher: SvrParams | None
    ) -> tuple[_Programs[jax.stages.Compiled], int]:
        """Compiles the programs of a round; and the bytes that one call takes on a device."""
        functions = _functions_of(self.training, self.sharding)
        start = functions.start.lower(sample, group)
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.sharding.split),
            start.out_info,
        )
        program = functions.advance.lower(rows, group, teacher, state, _span(0, 0, 1)).compile()
        return _Programs(start.compile(), program), _bytes_of(program)

    def _leaves(self, rounds: list["_Round"], done: int) -> Leaves:
        states = [jax.tree.leaves(self.sharding.fetch(group.state)) for group in rounds]
        losses = [group.losses for group in rounds]
        return [*itertools.chain.from_iterable(states), *losses, np.asarray(done)]

    def _restore(self, saver: Saver, rounds: list["_Round"]) -> int:
        """Takes up the newest saved state; returns the number of units that are done."""
        restored = saver.restore(self._leaves(rounds, 0))
        if restored is None:
            return 0
        leaves, structure = jax.tree.flatten(rounds[0].state)
        size = len(leaves)
        for k, group in enumerate(rounds):
            leaves = restored[k * size : (k + 1) * size]
            state = jax.tree.unflatten(structure, leaves)
            group.state = self.sharding.put(state, self.sharding.split)
            group.losses = restored[len(rounds) * size + k]
        return int(restored[-1])


@dataclasses.dataclass
class _Round:
    """Members that train together, and where they stand.

    Attributes:
        index: their numbers.
        members: on the devices.
        epoch_steps: of the member that has most rows.
        losses: so far, `[width, units * losses_per_unit]`.
        state: on the devices; None before the start.
    """

    index: npt.NDArray[np.int64]
    members: Member
    epoch_steps: int
    losses: npt.NDArray[np.float32]
    state: State = None


@dataclasses.dataclass(frozen=True)
class _Stream:
    """The chunks of a stream, one a unit.

    Attributes:
        rows: on the disk.
        batches: how they are cut.
        seed: of their order.
        buffer_rows: that are shuffled among each other.
        n_sources: of the table.
    """

    rows: StreamRows
    batches: Batches
    seed: int
    buffer_rows: int
    n_sources: int

    def shapes(self, sharding: Sharding) -> Rows:
        """Returns the shapes of a chunk on the devices."""
        batch = self.batches.part_steps, self.batches.batch_size or 1

        def shape(dtype: DTypeLike, *sizes: int) -> Any:
            return jax.ShapeDtypeStruct(sizes, dtype, sharding=sharding.shared)

        return Rows(
            features=shape(jnp.float32, *batch, self.rows.features.shape[1]),
            targets=shape(jnp.float32, *batch),
            source=shape(jnp.int32, *batch),
            counts=shape(jnp.int32, self.n_sources),
        )

    def from_unit(self, first: int, sharding: Sharding) -> Iterator[Rows]:
        """Yields the chunks from a unit on, on the devices."""
        counts = np.bincount(self.rows.source, minlength=self.n_sources).astype(np.int32)

        def put(chunk: Chunk) -> Rows:
            rows = Rows(chunk.features, chunk.targets, chunk.source, counts)
            return sharding.put(rows, sharding.shared)

        source = chunks(
            self.rows,
            batch_size=self.batches.batch_size or 1,
            steps=self.batches.part_steps,
            buffer_rows=self.buffer_rows,
            seed=self.seed,
            first=first,
        )
        return prefetched(source, self.batches.units - first, put)


def _span(first: int, last: int, epoch_steps: int) -> Span:
    return Span(
        np.asarray(first, np.int32), np.asarray(last, np.int32), np.asarray(epoch_steps, np.int32)
    )


def _as_floats(tree: Tree, dtype: DTypeLike) -> Tree:
    """Returns `tree` with its real numbers in `dtype`, on the host; others stay as they are."""

    def cast(leaf: Leaf) -> Leaf:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return np.asarray(leaf, dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    floats: Tree = jax.tree.map(cast, tree)
    return floats


def _bytes_of(program: jax.stages.Compiled) -> int:
    """Returns what a compiled program takes on each device: arguments, results, intermediates."""
    stats = program.memory_analysis()
    if stats is None:
        return 0
    donated = getattr(stats, "alias_size_in_bytes", 0)
    sizes = (stats.argument_size_in_bytes, stats.output_size_in_bytes, stats.temp_size_in_bytes)
    return int(sum(sizes) - donated)
