"""VMAF v1 in JAX, from memory and from raw files, beside libvmaf's own v1, all in turn.

    python -m benchmarks.v1 [--repeats 5] [--json]

From files, both times include the start of their processes.
"""

import sys

import jax
import numpy as np

from benchmarks.command import run
from vmaf_jax.benchmarks.scoring import FRAMES, bare_libvmaf, raw_pair
from vmaf_jax.benchmarks.timing import Figure, Figures, machine, sample, throughput
from vmaf_jax.extraction.jax import FrameShape, feature_program, frames_side_by_side, measure_in_jax
from vmaf_jax.features.feature_set import V1_FEATURES
from vmaf_jax.video.decode import DecodedPair, sample_dtype
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

_SIZES = {(576, 324): 24, (1920, 1080): 8}  # and how many frames from memory


def bench_v1(repeats: int = 5) -> Figures:
    """Times `vmaf_v1.0.16_3d0h`'s features in frames a second, and as a share of libvmaf's own."""
    report: dict[str, Figure] = {"machine": machine(), "device": jax.devices()[0].device_kind}
    for size, n in _SIZES.items():
        with raw_pair(*size) as pair:
            report[f"{size[0]}x{size[1]}"] = _one_size(pair, n, repeats)
    return report


def _one_size(pair: tuple[Video, Video], n: int, repeats: int) -> Figures:
    program = feature_program(V1_FEATURES)
    luma = DecodedPair(find_ffmpeg(), *pair, planes=3)
    shape = FrameShape(luma.height, luma.width, *luma.chroma)
    frames = np.zeros((2, n, shape.samples), sample_dtype(luma.bits))
    try:
        luma.read(*frames)
    finally:
        luma.close()
    reference, distorted = jax.device_put((frames[0], frames[1]))
    starts = np.arange(n) == 0
    block = frames_side_by_side(jax.devices()[0], n)

    def from_memory() -> None:
        operands = (reference, distorted, reference[:1], starts, np.int32(n))
        jax.block_until_ready(program.rows(*operands, shape=shape, bits=10, block=block))

    times = sample(
        {
            "from memory": from_memory,
            "from files": lambda: list(
                measure_in_jax(find_ffmpeg(), [pair], feature_set=V1_FEATURES)
            ),
            "libvmaf": bare_libvmaf(pair, V1_FEATURES.libvmaf_model),
        },
        repeats,
    )
    rates = {
        name: throughput(timing, n if name == "from memory" else FRAMES)
        for name, timing in times.items()
    }
    shares = {
        f"share of libvmaf, {name}": rates[name].rows_per_s / rates["libvmaf"].rows_per_s
        for name in ("from memory", "from files")
    }
    return {**rates, **shares}


if __name__ == "__main__":
    sys.exit(run(bench_v1))
