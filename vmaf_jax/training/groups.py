"""Members in groups: as many at a time as a device takes, on all devices, one program for all.

A round trains one group on every device, for some epochs a call; the number of epochs is an
argument, so that however a training is cut into calls, the same instructions run and the same bits
come out.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vmaf_jax.training.epochs import (
    EpochMember,
    EpochRows,
    EpochSettings,
    EpochState,
    EpochTraining,
)

_CPU_GROUP = 2  # members a core trains at a time: a step's activations stay in its cache
_ACCELERATOR_GROUP = 512  # a device of its own is filled by many
_CALL_S = 0.5  # of one call where snapshots are kept: how long a request to end waits at the most


class Position(NamedTuple):
    """Where a training of all members stands: whole rounds done, and epochs of the one begun."""

    round: int
    epoch: int


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything that a training needs to go on: NumPy arrays, `[m, ...]` and `[d g, ...]`.

    Attributes:
        position: where it stands.
        done: the state of every member whose round is done; zeros elsewhere.
        current: the state of the round begun.
    """

    position: Position
    done: EpochState
    current: EpochState


@runtime_checkable
class Keeper(Protocol):
    """Keeps snapshots, and gives back the newest that is sound."""

    def restore(self, like: Snapshot) -> Snapshot | None:
        """The newest sound snapshot of this very training, shaped as `like`."""

    def due(self) -> bool:
        """Whether it is time for another."""

    def keep(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot; may end the program."""


@dataclasses.dataclass(frozen=True)
class EpochFit:
    """What `train_by_epochs` gives.

    Attributes:
        state: of every member after its last epoch, `[m, ...]`.
        predicted: of every member for every row, clipped, VMAF points, `[m, n]`.
        compile_s, train_s: seconds.
    """

    state: EpochState
    predicted: npt.NDArray[np.float32]
    compile_s: float
    train_s: float


@dataclasses.dataclass(frozen=True)
class _Programs:
    start: Callable[..., EpochState]
    advance: Callable[..., EpochState]
    predict: Callable[..., jax.Array]


def _host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _in_rounds(members: EpochMember, rows: EpochRows, width: int) -> npt.NDArray[np.int64]:
    """Members of each round, `[rounds, width]`: like ones together, the last one again to fill."""
    n_rows = np.array([np.sum(np.asarray(rows.fold) != k) for k in np.asarray(members.held_out)])
    order = np.argsort(-n_rows, kind="stable")
    n_rounds = -(-len(order) // width)
    return order[np.minimum(np.arange(n_rounds * width), len(order) - 1)].reshape(n_rounds, width)


def group_size(n_members: int, devices: list[jax.Device]) -> int:
    """How many members a device trains at a time."""
    if devices[0].platform == "cpu":
        return _CPU_GROUP
    return max(_CPU_GROUP, min(_ACCELERATOR_GROUP, -(-n_members // len(devices))))


def train_by_epochs(
    rows: EpochRows,
    members: EpochMember,
    settings: EpochSettings,
    *,
    keeper: Keeper | None = None,
) -> EpochFit:
    """Trains all members and predicts all rows with each of them.

    Args:
        keeper: of snapshots, between calls; None to keep none.
    """
    devices = jax.devices()
    mesh = Mesh(np.array(devices), ("members",))
    split = NamedSharding(mesh, PartitionSpec("members"))
    shared = NamedSharding(mesh, PartitionSpec())
    m = len(members.held_out)
    width = group_size(m, devices) * len(devices)
    rows = jax.device_put(jax.tree.map(jnp.asarray, rows), shared)
    of_round = _in_rounds(members, rows, width)

    def take(k: int) -> EpochMember:
        return jax.device_put(jax.tree.map(lambda leaf: leaf[of_round[k]], members), split)

    started = time.perf_counter()
    programs = _compile(rows, take(0), settings, mesh)
    compile_s = time.perf_counter() - started
    started = time.perf_counter()
    first = programs.start(take(0))
    done = jax.tree.map(lambda leaf: np.zeros((m, *leaf.shape[1:]), leaf.dtype), first)
    begin = Snapshot(Position(0, 0), done, _host(first))
    taken_up = (keeper.restore(begin) if keeper else None) or begin
    done = taken_up.done
    predicted = np.zeros((m, len(rows.targets)), np.float32)
    for k, index in enumerate(of_round):
        group = take(k)
        if k < taken_up.position.round:
            layers = jax.tree.map(lambda leaf, index=index: leaf[index], done.layers)
            predicted[index] = np.asarray(programs.predict(rows, group, layers))
            continue
        state, epoch = programs.start(group), 0
        if k == taken_up.position.round:
            state, epoch = jax.device_put(taken_up.current, split), taken_up.position.epoch

        def keep(state: EpochState, epoch: int, k: int = k) -> None:
            if keeper is not None and keeper.due():
                keeper.keep(Snapshot(Position(k, epoch), done, _host(state)))

        state = _train_round(programs, rows, group, state, epoch, keep if keeper else None)
        predicted[index] = np.asarray(programs.predict(rows, group, state.layers))
        for leaf, new in zip(jax.tree.leaves(done), jax.tree.leaves(state), strict=True):
            leaf[index] = np.asarray(new)
    return EpochFit(done, predicted, compile_s, time.perf_counter() - started)


def _train_round(
    programs: _Programs,
    rows: EpochRows,
    group: EpochMember,
    state: EpochState,
    epoch: int,
    keep: Callable[[EpochState, int], None] | None,
) -> EpochState:
    """A group's epochs from `epoch` on, in one call, or in short ones where snapshots are kept."""
    n_epochs = state.losses.shape[1]
    at_once = 1 if keep else n_epochs
    while epoch < n_epochs:
        last = min(epoch + at_once, n_epochs)
        started = time.perf_counter()
        state = jax.block_until_ready(
            programs.advance(rows, group, state, jnp.int32(epoch), jnp.int32(last))
        )
        took, epoch = time.perf_counter() - started, last
        if keep:
            at_once = max(1, int(at_once * _CALL_S / max(took, 1e-3)))
            keep(state, epoch)
    return state


def _compile(rows: EpochRows, group: EpochMember, settings: EpochSettings, mesh: Mesh) -> _Programs:
    """The three programs of a round, each over all devices."""
    training = EpochTraining(settings, rows.features.shape[1])
    split, shared = PartitionSpec("members"), PartitionSpec()

    def spread(function: Callable[..., Any], *sides: PartitionSpec) -> Any:
        return jax.shard_map(function, mesh=mesh, in_specs=sides, out_specs=split, check_vma=False)

    start = jax.jit(spread(jax.vmap(training.start), split)).lower(group).compile()
    state = start(group)
    advance = jax.jit(
        spread(training.advance, shared, split, split, shared, shared), donate_argnums=2
    )

    def each(rows: EpochRows, members: EpochMember, layers: Any) -> jax.Array:
        return jax.lax.map(lambda one: training.predict(rows, *one), (members, layers))

    predict = jax.jit(spread(each, shared, split, split))
    epoch = jnp.int32(0)
    return _Programs(
        start,
        advance.lower(rows, group, state, epoch, epoch).compile(),
        predict.lower(rows, group, state.layers).compile(),
    )
