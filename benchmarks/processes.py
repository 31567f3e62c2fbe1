"""A training of two processes of one core each against one process of one core.

python -m benchmarks.processes [--repeats 3] [--json]
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.command import run
from vmaf_jax.benchmarks.timing import Figures, machine
from vmaf_jax.errors import InputError

_ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
_CONFIG = """
name: processes
student: {{network: nano}}
training: {{steps: {steps}, seeds: [0, 1]}}
"""


def bench_processes(repeats: int = 3, steps: int = 1000) -> Figures:
    """Times the training alone, by turns, each process bound to a core of its own.

    The ratio is of one process to two; compiled programs are at hand.

    Raises:
        InputError: Fewer than two cores, or a training failed.
    """
    cores = sorted(os.sched_getaffinity(0))
    bind = shutil.which("taskset")
    if len(cores) < 2 or bind is None:
        raise InputError("bench processes: takes two cores, and taskset to bind processes to them.")
    times: dict[str, list[float]] = {"one": [], "two": []}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(_CONFIG.format(steps=steps))
        for _ in range(repeats + 1):  # the first fills the cache of compiled programs
            times["one"].append(_train(config, cores[:1], bind))
            times["two"].append(_train(config, cores[:2], bind))
    one_process_s, two_processes_s = (float(np.median(values[1:])) for values in times.values())
    return {
        "machine": machine(),
        "steps": steps,
        "one_process_s": one_process_s,
        "two_processes_s": two_processes_s,
        "ratio": one_process_s / two_processes_s,
        "note": f"median of {repeats}, of training alone: without starting, compiling, exporting",
    }


def _train(config: Path, cores: list[int], bind: str) -> float:
    """Trains by as many processes as `cores`; returns the seconds of training."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = [sys.executable, "-m", "vmaf_jax", "train", "--config", str(config), "--json"]
    words += ["--run-dir", str(config.with_name("run")), "--overwrite"]
    if len(cores) > 1:
        words += ["--distributed", "--coordinator", f"127.0.0.1:{port}"]
        words += ["--processes", str(len(cores)), "--process"]
    processes = [
        subprocess.Popen(
            [bind, "-c", str(core), *words, *([str(k)] if len(cores) > 1 else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ONE_DEVICE},
        )
        for k, core in enumerate(cores)
    ]
    results = [process.communicate() for process in processes]
    for process, (_, error) in zip(processes, results, strict=True):
        if process.returncode:
            raise InputError(f"bench processes: a training failed: {error.strip()}")
    return float(json.loads(results[0][0])["timing"]["train_s"])


if __name__ == "__main__":
    sys.exit(run(bench_processes))
