"""Latency of the shipped models everywhere they run, from a NumPy array to a NumPy array.

Float32, dynamic and static INT8 in ONNX Runtime, jitted JAX and the SVR teacher; and the share of
inference in `score`.
"""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

from vmaf_jax.benchmarks.extraction import raw_pair
from vmaf_jax.benchmarks.timing import Figure, Figures, machine, sample, throughput
from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import open_session
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.score import score
from vmaf_jax.teacher import DEFAULT_TEACHER, load_teacher
from vmaf_jax.video.inputs import forget_digests

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
