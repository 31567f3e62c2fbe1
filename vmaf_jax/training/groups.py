"""Members in groups: as many at a time as a device takes, on all devices, one program for all.

A round trains one group on every device. Rounds are of like members: as many training rows, so that
no device waits for another.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

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
) -> EpochFit:
    """Trains all members and predicts all rows with each of them."""
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
    predicted = np.zeros((m, len(rows.targets)), np.float32)
    states: list[EpochState] = []
    for k, index in enumerate(of_round):
        group = take(k)
        begin, end = jnp.int32(0), jnp.int32(settings.epochs)
        state = programs.advance(rows, group, programs.start(group), begin, end)
        predicted[index] = np.asarray(programs.predict(rows, group, state.layers))
        states.append(jax.tree.map(np.asarray, state))
    place = np.empty(m, np.int64)
    place[of_round.ravel()] = np.arange(of_round.size)
    done = jax.tree.map(lambda *leaves: np.concatenate(leaves)[place], *states)
    return EpochFit(done, predicted, compile_s, time.perf_counter() - started)


def _compiler_options(mesh: Mesh) -> dict[str, str | bool]:
    """Whole vectors where the processor has them: XLA takes half of 512 bits by itself."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    return {"xla_cpu_prefer_vector_width": "512"} if on_cpu else {}


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

    def predict_group(rows: EpochRows, members: EpochMember, layers: Any) -> jax.Array:
        return jax.lax.map(lambda member: training.predict(rows, *member), (members, layers))

    predict = jax.jit(spread(predict_group, shared, split, split))
    epoch = jnp.int32(0)
    return _Programs(
        start,
        advance.lower(rows, group, state, epoch, epoch).compile(_compiler_options(mesh)),
        predict.lower(rows, group, state.layers).compile(),
    )
