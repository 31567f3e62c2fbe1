"""The members' axis over all devices there are, those of other processes included.

Every process holds the same arrays on its host; a device gets its members of what has their axis,
and all of what they share. Results come back whole to every process.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


@dataclasses.dataclass(frozen=True)
class Spread:
    """Devices in a row, and how arrays lie on them.

    Attributes:
        mesh: all devices, with the one axis `members`.
    """

    mesh: Mesh

    @staticmethod
    def over_all_devices() -> "Spread":
        """Over every device of every process."""
        return Spread(Mesh(np.array(jax.devices()), ("members",)))

    @property
    def n_devices(self) -> int:
        """Of all processes."""
        return int(self.mesh.devices.size)

    @property
    def split(self) -> NamedSharding:
        """Of arrays that have the members' axis, first."""
        return NamedSharding(self.mesh, PartitionSpec("members"))

    @property
    def shared(self) -> NamedSharding:
        """Of arrays that all members read."""
        return NamedSharding(self.mesh, PartitionSpec())

    def wait(self) -> None:
        """Until every process is here; at once where there is one."""
        if not self.split.is_fully_addressable:
            from jax.experimental.multihost_utils import sync_global_devices

            sync_global_devices("members")

    def put(self, tree: Any, sharding: NamedSharding) -> Any:
        """`tree`, the same on every host, on the devices."""
        if sharding.is_fully_addressable:
            return jax.device_put(tree, sharding)
        return jax.tree.map(lambda leaf: _put_everywhere(leaf, sharding), tree)

    def fetch(self, tree: Any) -> Any:
        """`tree`, whole, as NumPy arrays of this host; every process takes part."""
        leaves = jax.tree.leaves(tree)
        if all(leaf.is_fully_addressable for leaf in leaves):
            return jax.tree.map(np.asarray, tree)
        from jax.experimental.multihost_utils import process_allgather

        return jax.tree.map(np.asarray, process_allgather(tree, tiled=True))


def _put_everywhere(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """One array of the hosts on devices of several processes."""
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _put_everywhere(np.asarray(jax.random.key_data(leaf)), sharding)
        return jax.random.wrap_key_data(data)
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
