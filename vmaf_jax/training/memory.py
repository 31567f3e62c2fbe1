"""How much memory a training may take on each device, and how many members fit into it."""

import os
from pathlib import Path

import jax

from vmaf_jax.limits import limit

_LEFT_SHARE = 0.8  # of what an accelerator has; its own kernels take some
_CPU_SHARE = 0.5  # of the machine's, which has other things to hold
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def training_bytes(devices: list[jax.Device]) -> int:
    """Bytes that a program may take on each device: `VMAF_JAX_MAX_TRAINING_BYTES`, or a share.

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
    """The machine's memory, or what this process's group may have of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = _CGROUP.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(text)) if text.isdecimal() else physical


def members_that_fit(n_members: int, bytes_taken: int, bytes_allowed: int) -> int:
    """How many members of a device fit, where `n_members` of them take `bytes_taken`.

    At least two: XLA simplifies a batch of one away and rounds otherwise. The members are dealt
    into as few groups as that makes, of about one size.
    """
    if bytes_taken <= bytes_allowed:
        return n_members
    most = max(2, n_members * bytes_allowed // bytes_taken)
    n_groups = -(-n_members // most)
    return max(2, -(-n_members // n_groups))
