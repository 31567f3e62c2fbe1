"""`vmaf_jax.vmaf` beside vmaf-torch on the same frames, in turn.

    VMAF_TORCH_PYTHON=/path/to/python python -m benchmarks.vmaf_torch [--repeats 7] [--json]

vmaf-torch is no dependency of ours: it runs in a Python of its own that has it installed.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from benchmarks.command import run
from vmaf_jax.benchmarks.scoring import SIZES, raw_pair, read_luma
from vmaf_jax.benchmarks.timing import Figure, Figures, machine, sample, throughput
from vmaf_jax.errors import InputError
from vmaf_jax.teacher.pixels import vmaf

PYTHON = "VMAF_TORCH_PYTHON"
_FRAMES = dict(zip(SIZES, (24, 4), strict=True))


def bench_vmaf_torch(repeats: int = 7) -> Figures:
    """Times both in frames a second at 576x324 and 1080p, and compares their mean scores."""
    report: dict[str, Figure] = {"machine": machine(), "device": jax.devices()[0].device_kind}
    for size, n in _FRAMES.items():
        with raw_pair(*size) as pair:
            frames = read_luma(pair, n)
            path = pair[0].path.with_name("frames.npz")
            np.savez(path, reference=frames[0], distorted=frames[1])
            report[f"{size[0]}x{size[1]}"] = _one_size(frames, path, repeats)
    return report


def _one_size(frames: np.ndarray, path: Path, repeats: int) -> Figures:
    reference, distorted = jax.device_put((frames[0], frames[1]))
    with start_worker(path) as worker:
        score = _read_answer(worker)
        times = sample(
            {
                "vmaf": lambda: jax.block_until_ready(vmaf(reference, distorted)),
                "vmaf-torch": lambda: _ask(worker),
            },
            repeats,
        )
    rates = {name: throughput(timing, frames.shape[1]) for name, timing in times.items()}
    return {
        **rates,
        "times vmaf-torch": rates["vmaf"].rows_per_s / rates["vmaf-torch"].rows_per_s,
        "score apart from vmaf-torch": abs(float(vmaf(reference, distorted).mean()) - score),
    }


@contextlib.contextmanager
def start_worker(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Starts vmaf-torch on the frames in `path`; ends it with the block.

    Raises:
        InputError: `VMAF_TORCH_PYTHON` is not set, or cannot be run.
    """
    if not (python := os.environ.get(PYTHON)):
        raise InputError(f"{PYTHON}: not set; name a Python that has vmaf-torch.")
    line = [python, "-I", str(Path(__file__).with_name("vmaf_torch_worker.py")), str(path)]
    try:
        worker = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise InputError(f"{PYTHON}={python}: cannot run ({error.strerror}).") from error
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def _ask(worker: "subprocess.Popen[str]") -> float:
    """Has the worker score the frames once more; returns the seconds it took."""
    if worker.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # the missing answer tells it
            worker.stdin.write("go\n")
            worker.stdin.flush()
    return _read_answer(worker)


def _read_answer(worker: "subprocess.Popen[str]") -> float:
    answer = "" if worker.stdout is None else worker.stdout.readline()
    try:
        return float(answer)
    except ValueError as error:
        raise InputError(
            f"{PYTHON}: vmaf-torch failed there; `pip install vmaf-torch` in it."
        ) from error


if __name__ == "__main__":
    sys.exit(run(bench_vmaf_torch))
