"""Members over devices: their sharding, and how many of them a device trains at a time.

Every process holds the same arrays on its host; a device gets its members of what has their axis,
and all of what they share. Results come back whole to every process.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vmaf_jax.files import limit

# Members that a core trains at a time: the activations of a step stay in its cache. One alone takes
# 1.4 times as long a member, since starting an operation costs as much as a small one takes, and
# eight 1.2 times. Two at least: XLA simplifies a batch of one away and rounds otherwise.
_CORE_GROUP = 2
_ACCELERATOR_GROUP = 512  # a device of its own is filled by many
Tree = TypeVar("Tree")
Leaf = jax.Array | np.ndarray | np.number


@dataclasses.dataclass(frozen=True)
class Sharding:
    """All devices of all processes in a row, and how arrays lie on them.

    Attributes:
        mesh: the devices, with the one axis `members`.
    """

    mesh: Mesh

    @staticmethod
    def over_all_devices() -> "Sharding":
        """Returns the sharding over every device of every process."""
        return Sharding(Mesh(np.array(jax.devices()), ("members",)))

    @property
    def n_devices(self) -> int:
        """Number of devices of all processes."""
        return int(self.mesh.devices.size)

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are cores."""
        return bool(self.mesh.devices.flat[0].platform == "cpu")

    @property
    def split(self) -> NamedSharding:
        """Sharding of arrays whose first axis is that of members."""
        return NamedSharding(self.mesh, PartitionSpec("members"))

    @property
    def shared(self) -> NamedSharding:
        """Sharding of arrays that all members read."""
        return NamedSharding(self.mesh, PartitionSpec())

    def map(self, function: Callable[..., Any], split: tuple[bool, ...]) -> Callable[..., Any]:
        """Maps a function of one member over the members of all devices.

        Each device loops by itself: one whose members need fewer steps waits for no other.

        Args:
            function: of arguments that are one member's or shared.
            split: whether each argument is a member's.
        """
        specs = tuple(PartitionSpec("members") if own else PartitionSpec() for own in split)
        mapped = jax.vmap(function, tuple(0 if own else None for own in split))
        return jax.shard_map(
            mapped,
            mesh=self.mesh,
            in_specs=specs,
            out_specs=PartitionSpec("members"),
            check_vma=False,
        )

    @property
    def compiler_options(self) -> dict[str, str | bool]:
        """Whole vectors where the processor has them: XLA takes half of 512 bits by itself."""
        return {"xla_cpu_prefer_vector_width": "512"} if self.on_cpu else {}

    def wait(self) -> None:
        """Waits until every process is here; at once where there is one."""
        if not self.split.is_fully_addressable:
            from jax.experimental.multihost_utils import sync_global_devices

            sync_global_devices("members")

    def put(self, tree: Tree, sharding: NamedSharding) -> Tree:
        """Puts `tree`, the same on every host, on the devices."""
        on_devices: Tree
        if sharding.is_fully_addressable:
            on_devices = jax.device_put(tree, sharding)
        else:
            on_devices = jax.tree.map(lambda leaf: _put_everywhere(leaf, sharding), tree)
        return on_devices

    def fetch(self, tree: Any) -> Any:
        """Returns `tree`, whole, as NumPy arrays of this host; every process takes part."""
        leaves = jax.tree.leaves(tree)
        if all(leaf.is_fully_addressable for leaf in leaves):
            return jax.tree.map(np.asarray, tree)
        from jax.experimental.multihost_utils import process_allgather

        return jax.tree.map(np.asarray, process_allgather(tree, tiled=True))

    def group_size(self, n_members: int) -> int:
        """Returns how many members a device trains at a time."""
        if self.on_cpu:
            return _CORE_GROUP
        return max(_CORE_GROUP, min(_ACCELERATOR_GROUP, -(-n_members // self.n_devices)))


def deal_members(n_rows: npt.NDArray[np.integer], width: int) -> npt.NDArray[np.int64]:
    """Returns the members of each round, `[rounds, width]`: members of like many rows together.

    No device then waits long for another. The last member fills the last round.

    Args:
        n_rows: of each member.
        width: members of a round.
    """
    order = np.argsort(-n_rows, kind="stable")
    n_rounds = -(-len(order) // width)
    return order[np.minimum(np.arange(n_rounds * width), len(order) - 1)].reshape(n_rounds, width)


def _put_everywhere(leaf: Leaf, sharding: NamedSharding) -> jax.Array:
    """Puts one array of the hosts on devices of several processes."""
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _put_everywhere(np.asarray(jax.random.key_data(leaf)), sharding)
        return jax.random.wrap_key_data(data)
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


_LEFT_SHARE = 0.8  # of what an accelerator has; its own kernels take some
_CPU_SHARE = 0.5  # of the machine's, which has other things to hold
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def training_bytes(devices: list[jax.Device]) -> int:
    """Returns the bytes that a program may take on each device, a share of its memory.

    It follows from how large the memory is, not from what is free: a training that is taken up
    again is cut as before.

    Raises:
        InputError: the variable is no whole number above 0.
    """
    stats = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return limit("TRAINING_BYTES", int(_LEFT_SHARE * stats["bytes_limit"]))
    return limit("TRAINING_BYTES", int(_CPU_SHARE * _machine_bytes() / len(devices)))


def _machine_bytes() -> int:
    """Returns the machine's memory, or what this process's group may have of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = _CGROUP.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(text)) if text.isdecimal() else physical


def members_that_fit(n_members: int, bytes_taken: int, bytes_allowed: int) -> int:
    """Returns how many members of a device fit, where `n_members` of them take `bytes_taken`.

    At least two: XLA simplifies a batch of one away and rounds otherwise. The members are dealt
    into as few groups as that makes, of about one size.
    """
    if bytes_taken <= bytes_allowed:
        return n_members
    most = max(2, n_members * bytes_allowed // bytes_taken)
    n_groups = -(-n_members // most)
    return max(2, -(-n_members // n_groups))
