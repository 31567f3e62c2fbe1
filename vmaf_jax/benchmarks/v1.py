"""VMAF v1 in JAX against libvmaf's own v1, at two sizes, everything in turn in one go.

From memory, where JAX alone works, and from raw files by either, process starts included.
"""

import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vmaf_jax.benchmarks.extraction import FRAMES, at_sizes, libvmaf_line
from vmaf_jax.benchmarks.timing import machine, sample
from vmaf_jax.extraction.jax import measure_in_jax
from vmaf_jax.extraction.jax_features import FrameShape, feature_program, frames_side_by_side
from vmaf_jax.features.feature_set import V1_FEATURES
from vmaf_jax.video.decode import DecodedPair, sample_dtype
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

_SIZES = {(576, 324): 24, (1920, 1080): 8}  # and how many frames from memory


def bench_v1(repeats: int = 5) -> dict[str, Any]:
    """Frames per second of `vmaf_v1.0.16_3d0h`'s features, and the share of libvmaf's own."""
    by_size = at_sizes(_SIZES, lambda folder, pair, n: _one_size(folder, pair, n, repeats))
    return {"machine": machine(), "device": jax.devices()[0].device_kind} | by_size


def _one_size(folder: Path, pair: tuple[Video, Video], n: int, repeats: int) -> dict[str, Any]:
    ffmpeg = find_ffmpeg()
    program = feature_program(V1_FEATURES)
    frames, shape = _frames(pair, n)
    reference, distorted = jax.device_put(frames)
    starts = np.arange(n) == 0
    block = frames_side_by_side(jax.devices()[0], n)
    line = libvmaf_line(ffmpeg, pair, V1_FEATURES.libvmaf_model)

    def from_memory() -> None:
        operands = (reference, distorted, reference[:1], starts, np.int32(n))
        jax.block_until_ready(program.rows(*operands, shape=shape, bits=10, block=block))

    times = sample(
        {
            "from memory": from_memory,
            "from files": lambda: list(measure_in_jax(ffmpeg, [pair], feature_set=V1_FEATURES)),
            "libvmaf": lambda: subprocess.run(line, cwd=folder, capture_output=True, check=True),
        },
        repeats,
    )
    counts = {"from memory": n, "from files": FRAMES, "libvmaf": FRAMES}
    figures: dict[str, Any] = {
        name: {**timing, "frames_per_s": counts[name] / timing["median_s"]}
        for name, timing in times.items()
    }
    theirs = figures["libvmaf"]["frames_per_s"]
    for name in ("from memory", "from files"):
        figures[f"share of libvmaf, {name}"] = figures[name]["frames_per_s"] / theirs
    return figures


def _frames(pair: tuple[Video, Video], n: int) -> tuple[tuple[Any, Any], FrameShape]:
    """The first frames of both, packed as a decoder writes them, and their shape."""
    luma = DecodedPair(find_ffmpeg(), *pair, planes=3)
    shape = FrameShape(luma.height, luma.width, *luma.chroma)
    frames = np.zeros((2, n, shape.samples), sample_dtype(luma.bits))
    try:
        luma.read(*frames)
    finally:
        luma.close()
    return (frames[0], frames[1]), shape
