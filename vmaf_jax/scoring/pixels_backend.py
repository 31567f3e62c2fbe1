"""Scores by a pixels model (`score --backend onnx`): decoded frames to scores, in constant memory.

ffmpeg decodes and one thread reads a few frames ahead, while ONNX Runtime works on those before.
The graph gives motion frame by frame; motion2, which needs the next frame's, is computed at the
end, and the head is applied to that.
"""

import concurrent.futures
import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.export.pixels.model_file import Frame
from vmaf_jax.export.pixels.runtime import Pictures, PixelsModel, check_provider
from vmaf_jax.extraction.request import Pair
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models.pooling import pool
from vmaf_jax.scoring.pixels import find_origin, open_pixels
from vmaf_jax.scoring.scores import Scores
from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.alignment import measured_rows
from vmaf_jax.video.comparison import Comparison, Description
from vmaf_jax.video.decode import DecodedPair, Samples, sample_dtype
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import file_digest

_CHUNK_SAMPLES = 2**23  # of each picture: four frames of 1080p at a time
_MAX_FRAMES = 16


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Features and scores of a pair by a pixels model.

    Attributes:
        features: `[frames, 6]`, with motion2.
        scores: `[frames]`, VMAF points.
        comparison: How the two videos were compared.
        seconds: Of `extraction` and of `inference`.
        feature_set: Of the features.
    """

    features: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    comparison: Description
    seconds: dict[str, float]
    feature_set: FeatureSet


def score_pixels(
    pair: Pair,
    model: str,
    comparison: Comparison,
    *,
    provider: str | None = None,
    teachers: tuple[str, ...] = (),
) -> Scores:
    """Scores a pair of videos by a pixels model, or a MODEL that one is made of on the spot.

    Args:
        provider: Of ONNX Runtime, by default its CPU.
        teachers: Models whose scores of the same features are wanted too.

    Raises:
        InputError: A file cannot be measured, the model is none or for another size, a teacher
            takes other features, or ONNX Runtime has no such provider.
        GateError: A graph that is made on the spot is farther from JAX than its limit.
    """
    origin = find_origin(model)
    measured = measure_pair(pair, model, comparison, provider=provider or "CPU")
    labels = {}
    for teacher in map(load_teacher, teachers):
        if not teacher.feature_set.is_alike_in_jax(measured.feature_set):
            raise InputError(
                f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, "
                f"{measured.feature_set.name} is measured; use --backend libvmaf."
            )
        labels[teacher.name] = teacher(measured.features)
    return Scores(
        model=origin.name,
        kind="onnx",
        per_frame=measured.scores,
        table=_make_table(pair, measured, labels, provider or "CPU"),
        seconds=measured.seconds,
        pooled=pool(measured.scores, origin.pooling),
        pooling=origin.pooling,
        label_scale=origin.label_scale if origin.label_name == "mos" else None,
    )


def measure_pair(pair: Pair, model: str, comparison: Comparison, *, provider: str) -> Measurement:
    """Returns features and scores of every frame of a pair; raises as `score_pixels`."""
    check_provider(provider)
    started = time.perf_counter()
    luma = DecodedPair(find_ffmpeg(), pair[0], pair[1], comparison=comparison)
    try:
        runtime = open_pixels(model, Frame(luma.width, luma.height), provider=provider)
        if runtime.frame.samples == "uint8" and luma.bits > 8:
            raise InputError(
                f"{model}: takes 8-bit samples, the videos have {luma.bits}; export it with "
                f"--samples float32."
            )
        parts = list(_measure_chunks(luma, runtime))
        description = luma.finish()
    finally:
        luma.close()
    if not parts:
        raise InputError(f"{pair[1].path}: holds no frame to measure; check both files.")
    features = np.concatenate(parts).astype(np.float64)
    motion = features[:, -1]
    features[:, -1] = np.minimum(motion, np.append(motion[1:], motion[-1:]))  # motion2
    rows = measured_rows(description)
    if rows is not None:
        features, description = features[rows], {**description, "frames": len(rows)}
    extraction = time.perf_counter() - started
    scores = runtime.score(features).astype(np.float64)
    inference = time.perf_counter() - started - extraction
    seconds = {"extraction": extraction, "inference": inference}
    return Measurement(features, scores, description, seconds, runtime.feature_set)


def _measure_chunks(luma: DecodedPair, model: PixelsModel) -> Iterator[npt.NDArray[np.float32]]:
    """Yields features `[n, 6]`, with motion, of a few frames at a time."""
    previous: Samples | None = None
    n = max(1, min(_MAX_FRAMES, _CHUNK_SAMPLES // (luma.height * luma.width)))
    n = max(n, min(model.workers, _MAX_FRAMES))
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(_read, luma, n)
        while len((chunk := ahead.result())[0]):
            reference, distorted = chunk
            ahead = reader.submit(_read, luma, n)
            first = reference[:1] if previous is None else previous
            before = np.concatenate([first, reference[:-1]])
            previous = reference[-1:]
            yield model.features(
                _to_eight_bits(reference, luma.bits),
                _to_eight_bits(distorted, luma.bits),
                _to_eight_bits(before, luma.bits),
            )


def _read(luma: DecodedPair, n: int) -> tuple[Samples, Samples]:
    """Reads the next `n` frames of both, or as many as there are, into new arrays."""
    shape, kind = (n, luma.height, luma.width), sample_dtype(luma.bits)
    reference, distorted = np.empty(shape, kind), np.empty(shape, kind)
    count = 0 if luma.ended else luma.read(reference, distorted)
    return reference[:count], distorted[:count]


def _to_eight_bits(picture: Samples, bits: int) -> Pictures:
    """Returns samples on the scale of 8 bits, as the graph takes them."""
    return picture if bits == 8 else picture.astype(np.float32) / 2 ** (bits - 8)


def _make_table(
    pair: Pair,
    measured: Measurement,
    labels: dict[str, npt.NDArray[np.float64]],
    provider: str,
) -> FeatureTable:
    import onnxruntime

    n = len(measured.features)
    rows = measured_rows(measured.comparison)
    reference, distorted = pair
    return FeatureTable(
        feature_set=measured.feature_set,
        corpus=constant_text("", n),
        source=constant_text(str(reference.path), n),
        clip=constant_text(str(distorted.path), n),
        index=(np.arange(n) if rows is None else rows).astype(np.int32),
        features=measured.features,
        labels=labels,
        provenance={
            "backend": "onnx",
            "backend_version": onnxruntime.__version__,
            "ffmpeg_version": find_ffmpeg().version,
            "device": provider,
            "inputs": {
                "reference": file_digest(reference.path),
                "distorted": file_digest(distorted.path),
            },
            "comparison": measured.comparison,
        },
    )
