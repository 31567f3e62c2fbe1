"""`vmaf-jax score`: two files and a model to a score.

The model loads and compiles while libvmaf measures, so that costs no time of its own; predicting
the frames of a clip takes a few milliseconds a thousand frames (`vmaf-jax bench inference`).
"""

import concurrent.futures
import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.api import check_backend, extract_pair
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import write_bytes
from vmaf_jax.jobs.model import feature_set_of, load_model
from vmaf_jax.models.batches import in_batches
from vmaf_jax.video.video import Video

DEFAULT_MODEL = "tiny"
_BATCH = 256  # rows; a jitted model compiles for so many while the clip is still measured


@dataclasses.dataclass(frozen=True)
class Scores:
    """What `score` found.

    Attributes:
        model, kind: the model, and what it turned out to be (`run`, `onnx` or `libvmaf`).
        per_frame: float64 `[frames]`, VMAF points, 0-100.
        table: the features (and the teachers' scores) it was computed from.
        seconds: of `extraction` (the model loads meanwhile) and of `inference`.
    """

    model: str
    kind: str
    per_frame: npt.NDArray[np.float64]
    table: FeatureTable
    seconds: dict[str, float]

    @property
    def mean(self) -> float:
        """The clip's score: the mean over frames."""
        return float(np.mean(self.per_frame))

    def to_dict(self, *, per_frame: bool = False) -> dict[str, Any]:
        """The result as JSON writes it."""
        document: dict[str, Any] = {
            "model": self.model,
            "kind": self.kind,
            "backend": self.table.provenance["backend"],
            "reference": str(self.table.source[0]),
            "distorted": str(self.table.clip[0]),
            "score": self.mean,
            "statistics": statistics(self.per_frame),
            "teachers": {name: statistics(v) for name, v in self.table.labels.items()},
            "seconds": self.seconds,
        }
        if per_frame:
            document["frames"] = self.per_frame.tolist()
        return document

    def all_statistics(self) -> dict[str, dict[str, float]]:
        """Statistics of the model's scores and of each teacher's, by name."""
        scores = {self.model: self.per_frame, **self.table.labels}
        return {name: statistics(values) for name, values in scores.items()}

    def frame_lines(self) -> list[str]:
        """A line a frame: number, tab, score."""
        pairs = zip(self.table.index, self.per_frame, strict=True)
        return [f"{index}\t{value:.6f}" for index, value in pairs]

    def write_plot(self, path: Path) -> None:
        """Draws the scores over the frames, PNG."""
        from vmaf_jax.reporting.plots import per_frame

        title = Path(str(self.table.clip[0])).name
        write_bytes(path, per_frame({self.model: self.per_frame, **self.table.labels}, title))

    def write_csv(self, path: Path) -> None:
        """One row a frame: `frame`, `score`, the features and each teacher's score."""
        columns = {"frame": self.table.index, "score": self.per_frame}
        columns |= dict(zip(self.table.feature_set, self.table.features.T, strict=True))
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(pa.table({**columns, **self.table.labels}), sink)
        write_bytes(path, sink.getvalue().to_pybytes())


def score(
    reference: str | os.PathLike[str] | Video,
    distorted: str | os.PathLike[str] | Video,
    model: str | Path = DEFAULT_MODEL,
    *,
    backend: str = "libvmaf",
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (),
    shortest: bool = False,
    cache: Path | None = None,
) -> Scores:
    """Scores a pair of videos.

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format.
        model: a shipped name, a run folder, an ONNX file or a libvmaf JSON file.
        backend: what measures the features, `libvmaf` or `jax`.
        width, height, pix_fmt: of raw files.
        teachers: models to run beside, by name or JSON file.
        shortest: stop at the end of the shorter input instead of refusing unequal lengths.
        cache: folder of measurements, as for `extract_pair`.

    Raises:
        InputError: a file cannot be measured, or the model cannot be loaded.
    """
    check_backend(backend)
    videos = [v if isinstance(v, Video) else Video(Path(v)) for v in (reference, distorted)]
    if any((width, height, pix_fmt)) and not any(video.is_raw for video in videos):
        raise InputError("width, height and pix_fmt are for raw .yuv files; drop them.")
    feature_set = feature_set_of(model)

    def measured() -> tuple[FeatureTable, float]:
        started = time.perf_counter()
        table = extract_pair(
            reference,
            distorted,
            backend=backend,
            width=width,
            height=height,
            pix_fmt=pix_fmt,
            teachers=teachers,
            feature_set=feature_set,
            shortest=shortest,
            cache=cache,
        )
        return table, time.perf_counter() - started

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        extraction = pool.submit(measured)
        loaded = load_model(model)
        if loaded.kind != "onnx":
            loaded(np.zeros((_BATCH, len(feature_set))))  # compiles
        table, extraction_s = extraction.result()
    started = time.perf_counter()
    batch = len(table) if loaded.kind == "onnx" else _BATCH
    scores = in_batches(loaded, table.features, batch).astype(np.float64)
    inference_s = time.perf_counter() - started
    seconds = {"extraction": extraction_s, "inference": inference_s}
    return Scores(loaded.name, loaded.kind, scores, table, seconds)


def statistics(per_frame: npt.NDArray[np.float64]) -> dict[str, float]:
    """How a clip's frames are spread, VMAF points.

    The harmonic mean is libvmaf's: `1 / mean(1 / (score + 1)) - 1`, which bears zeros.
    Percentiles are NumPy's, linear between ranks.
    """
    return {
        "mean": float(np.mean(per_frame)),
        "harmonic_mean": float(1 / np.mean(1 / (per_frame + 1)) - 1),
        "min": float(np.min(per_frame)),
        "p1": float(np.percentile(per_frame, 1)),
        "p5": float(np.percentile(per_frame, 5)),
        "frames": len(per_frame),
    }
