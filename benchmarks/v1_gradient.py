"""VMAF v1's gradient in luma at 1080p: the first call of a process and of the next, and a step.

python -m benchmarks.v1_gradient [--repeats 3] [--json]
"""

import os
import sys
import tempfile

from benchmarks.command import run, run_python
from vmaf_jax.benchmarks.timing import Figures, machine

_FRAMES = 2
_CALLS = f"""
import sys, time, jax, numpy as np, vmaf_jax
rng = np.random.default_rng(0)
shapes = [({_FRAMES}, 1080, 1920), *[({_FRAMES}, 540, 960)] * 2]
reference = [rng.uniform(60, 200, shape).round().astype(np.float32) for shape in shapes]
luma, *chroma = [(0.9 * plane + 9).round() for plane in reference]

def score(luma):
    scores = vmaf_jax.vmaf(reference, (luma, *chroma), model="vmaf_v1.0.16_3d0h", clip=False)
    return scores.sum()

for _ in range(1 + int(sys.argv[1])):
    wall, processor = time.perf_counter(), time.process_time()
    jax.block_until_ready(jax.grad(score)(luma))
    print(time.perf_counter() - wall, time.process_time() - processor)
"""


def bench_v1_gradient(repeats: int = 3) -> Figures:
    """Times the gradient of two frames in seconds, without and with a program in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VMAF_JAX_CACHE"] = folder
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        processes = [run_python(_CALLS, str(repeats)) for _ in range(2)]
    (first, said), (second, _) = processes
    steps = sorted(zip(second[2::2], second[3::2], strict=True))
    return {
        "machine": machine(),
        "first call of a process": _seconds(*first[:2]),
        "first call of the next process": _seconds(*second[:2]),
        "step, median": _seconds(*steps[len(steps) // 2]),
        "standard error": said or "empty",
    }


def _seconds(wall: float, processor: float) -> Figures:
    return {"wall clock, s": wall, "processor time, s": processor}


if __name__ == "__main__":
    sys.exit(run(bench_v1_gradient))
