"""How much of a clip a measurement holds at once, counted by what it allocates.

The memory of a process depends on how its allocators and threads happen to run; how many chunks of
frames exist at the same time does not.
"""

import gc
import subprocess
import tracemalloc

import jax

from vmaf_jax.extraction.jax import measure_in_jax
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video


def make_clip(folder, ffmpeg, size, frames):
    """A pair of raw 4:2:0 files."""
    paths = folder / f"reference{frames}.y4m", folder / f"distorted{frames}.y4m"
    source = f"testsrc2=size={size}:rate=30"
    line = [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames)]
    for path, harm in zip(paths, ("null", "gblur=1"), strict=True):
        subprocess.run([*line, "-vf", harm, "-pix_fmt", "yuv420p", str(path)], check=True)
    return tuple(map(Video, paths))


def held_more(short, long, chunk, feature_set):
    """How many bytes more of arrays are alive at most while the longer of two pairs is measured.

    Returns:
        On the host, as Python's allocator counts them, and on the device, as JAX does.
    """
    list(measure_in_jax(find_ffmpeg(), [short], feature_set=feature_set, frames=chunk))  # compiles
    (host, device), (longer_host, longer_device) = (
        most_held(pair, chunk, feature_set) for pair in (short, long)
    )
    return longer_host - host, longer_device - device


def most_held(pair, chunk, feature_set):
    """The most bytes that were allocated on the host, and alive on the device."""
    on_device = []

    def look(_frames):
        on_device.append(sum(array.nbytes for array in jax.live_arrays()))

    gc.collect()
    tracemalloc.start()
    try:
        (result,) = measure_in_jax(
            find_ffmpeg(), [pair], feature_set=feature_set, frames=chunk, on_frames=look
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(on_device) >= len(result.features()) // chunk > 1
    return peak, max(on_device)
