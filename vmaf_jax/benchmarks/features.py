"""VMAF from pixels: our JAX function against vmaf-torch, libvmaf, and its own gradient.

Everything runs in turn in one go, on frames in memory (libvmaf reads raw files). vmaf-torch runs in
a Python that has it, named by `VMAF_TORCH_PYTHON`; without one its figures are left out. Where JAX
has an accelerator, that is what ours runs on.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vmaf_jax.benchmarks.extraction import FRAMES, at_sizes, libvmaf_line
from vmaf_jax.benchmarks.timing import machine, sample
from vmaf_jax.errors import InputError
from vmaf_jax.export.pixels.model_file import Frame
from vmaf_jax.extraction.jax import chunk_frames, measure_in_jax
from vmaf_jax.extraction.jax_features import frames_side_by_side
from vmaf_jax.features.feature_set import FEATURES, FLOAT_FEATURES, FeatureSet
from vmaf_jax.features.frames import chunk_features
from vmaf_jax.scoring.pixels import open_pixels
from vmaf_jax.teacher.pixels import vmaf
from vmaf_jax.video.decode import DecodedPair
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

_SIZES = {(576, 324): 24, (1920, 1080): 4}  # and how many frames a CPU takes of each at a time
PEER = "VMAF_TORCH_PYTHON"
PIXELS = "pixels model in ONNX Runtime"


def bench_features(repeats: int = 7) -> dict[str, Any]:
    """Frames per second at 576x324 and 1080p of every way to VMAF, and what a gradient costs."""
    device = jax.devices()[0]
    frames = _SIZES if device.platform == "cpu" else dict.fromkeys(_SIZES, FRAMES)
    by_size = at_sizes(frames, lambda folder, pair, n: _one_size(folder, pair, n, repeats))
    return {"machine": machine(), "device": device.device_kind} | by_size


def _one_size(folder: Path, pair: tuple[Video, Video], n: int, repeats: int) -> dict[str, Any]:
    ffmpeg = find_ffmpeg()
    luma = DecodedPair(ffmpeg, *pair)
    frames = np.zeros((2, n, luma.height, luma.width), np.uint8)
    try:
        luma.read(*frames)
    finally:
        luma.close()
    on_device = jax.device_put((frames[0], frames[1]))
    as_floats = [luma.astype(jnp.float32) for luma in on_device]
    gradient = jax.jit(jax.value_and_grad(lambda y: vmaf(as_floats[0], y, clip=False).sum()))
    block = frames_side_by_side(jax.devices()[0], n)
    starts = jnp.arange(n) == 0
    chunk = jax.jit(lambda x, y: chunk_features(x, y, x[0], starts, block=block))

    def in_libvmaf(feature_set: FeatureSet) -> Callable[[], Any]:
        line = libvmaf_line(ffmpeg, pair, feature_set.libvmaf_model)
        return lambda: subprocess.run(line, cwd=folder, capture_output=True, check=True)

    counts = dict.fromkeys(
        (PIXELS, "features", "vmaf", "vmaf of floats", "vmaf and its gradient"), n
    ) | dict.fromkeys(("extraction from files", "libvmaf, float", "libvmaf, integer"), FRAMES)
    subjects: dict[str, Callable[[], Any]] = {
        PIXELS: _in_onnx_runtime(frames),
        "features": lambda: jax.block_until_ready(chunk(*on_device)),
        "vmaf": lambda: jax.block_until_ready(vmaf(*on_device)),
        "vmaf of floats": lambda: jax.block_until_ready(vmaf(*as_floats, clip=False)),
        "vmaf and its gradient": lambda: jax.block_until_ready(gradient(as_floats[1])),
        "extraction from files": lambda: list(measure_in_jax(ffmpeg, [pair])),
        "libvmaf, float": in_libvmaf(FLOAT_FEATURES),
        "libvmaf, integer": in_libvmaf(FEATURES),
    }
    with _Peer(folder, frames) as peer:
        if peer.score is not None:
            subjects["vmaf-torch"], counts["vmaf-torch"] = peer, n
        times = sample(subjects, repeats)
    report: dict[str, Any] = {
        name: {**timing, "rows_per_s": counts[name] / timing["median_s"]}
        for name, timing in times.items()
    }
    ours = report["vmaf"]["rows_per_s"]
    if peer.score is not None:
        report["times vmaf-torch"] = ours / report["vmaf-torch"]["rows_per_s"]
        report["score apart from vmaf-torch"] = abs(float(vmaf(*on_device).mean()) - peer.score)
    report["pixels model, share of features"] = (
        report[PIXELS]["rows_per_s"] / report["features"]["rows_per_s"]
    )
    report["share of libvmaf, float"] = ours / report["libvmaf, float"]["rows_per_s"]
    report["share of libvmaf, integer"] = ours / report["libvmaf, integer"]["rows_per_s"]
    report["forward and backward over forward"] = (
        report["vmaf and its gradient"]["median_s"] / report["vmaf of floats"]["median_s"]
    )
    report["frames of a chunk"] = chunk_frames(*frames.shape[2:])
    return report


def _in_onnx_runtime(frames: np.ndarray) -> Callable[[], Any]:
    """A pixels model over frames `[2, n, h, w]`."""
    height, width = frames.shape[2:]
    model = open_pixels("vmaf_v0.6.1", Frame(width, height, "uint8"))
    before = np.concatenate([frames[0, :1], frames[0, :-1]])
    return lambda: model.features(frames[0], frames[1], before)


class _Peer:
    """vmaf-torch on the same frames, a call at a time; `score` is None where there is none."""

    def __init__(self, folder: Path, frames: np.ndarray) -> None:
        self.score: float | None = None
        self._process: subprocess.Popen[str] | None = None
        python = os.environ.get(PEER)
        if not python:
            return
        path = folder / "frames.npz"
        np.savez(path, reference=frames[0], distorted=frames[1])
        line = [python, "-I", str(Path(__file__).with_name("vmaf_torch_worker.py")), str(path)]
        try:
            self._process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise InputError(f"{PEER}={python}: cannot run ({error.strerror}).") from error
        try:
            self.score = self._answer()
        except InputError:
            self.__exit__()
            raise

    def __call__(self) -> float:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # told by the missing answer
                self._process.stdin.write("go\n")
                self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> "_Peer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _answer(self) -> float:
        pipe = self._process.stdout if self._process is not None else None
        answer = pipe.readline() if pipe is not None else ""
        try:
            return float(answer)
        except ValueError as error:
            raise InputError(
                f"{PEER}: vmaf-torch failed there; `pip install vmaf-torch` in it."
            ) from error
