"""The number of cores on systems that limit a process to some, and on those that do not."""

import os

from vmaf_jax.environment import available_cores


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    may = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(may)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, may)
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert available_cores() == os.cpu_count()
