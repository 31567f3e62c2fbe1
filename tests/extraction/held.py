"""How much of a clip a measurement holds at once, counted by what it allocates.

The memory of a process depends on how its allocators and threads happen to run; how many chunks of
frames exist at the same time does not.
"""

import gc
import subprocess
import tracemalloc

import jax

from vmaf_jax.extraction.jax_stream import measure_in_jax
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.video import Video


def make_clip(folder, ffmpeg, size, frames):
    """A pair of raw 4:2:0 files."""
    paths = folder / "reference.y4m", folder / "distorted.y4m"
    source = f"testsrc2=size={size}:rate=30"
    line = [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames)]
    for path, harm in zip(paths, ("null", "gblur=1"), strict=True):
        subprocess.run([*line, "-vf", harm, "-pix_fmt", "yuv420p", str(path)], check=True)
    return tuple(map(Video, paths))


def most_held(pair, chunk, feature_set):
    """The rows of a pair, and the most bytes of arrays that were alive while it was measured.

    On the host as Python's allocator counts them, on the device as JAX does. What is alive before,
    such as compiled programs and their constants, does not count.
    """
    on_device = []

    def look(_frames):
        on_device.append(sum(array.nbytes for array in jax.live_arrays()))

    how = {"feature_set": feature_set, "frames": chunk, "on_frames": look}
    measure_in_jax(find_ffmpeg(), [pair], **how)  # compiles
    on_device.clear()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        device_before = sum(array.nbytes for array in jax.live_arrays())
        (rows,) = measure_in_jax(find_ffmpeg(), [pair], **how)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return rows, peak - before, max(on_device) - device_before
