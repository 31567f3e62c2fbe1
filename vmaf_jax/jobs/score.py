"""`vmaf-jax score`: two files and a model to a score.

The model loads and compiles while libvmaf measures, so that costs no time of its own; predicting
the frames of a clip takes a few milliseconds a thousand frames (`vmaf-jax bench inference`).
"""

import concurrent.futures
import dataclasses
import os
import time
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.also import METRICS
from vmaf_jax.extraction.api import check_backend, extract_pair
from vmaf_jax.features.opinions import LabelScale, from_hundred
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import write_bytes
from vmaf_jax.jobs.model import Model, feature_set_of, load_scorer
from vmaf_jax.video.comparison import ComparisonOptions
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
        pooled: the clip's score by the model's own pooling, VMAF points.
        pooling: that pooling's name.
        label_scale: the worst and the best vote behind 0 and 100, where people taught the model.
    """

    model: str
    kind: str
    per_frame: npt.NDArray[np.float64]
    table: FeatureTable
    seconds: dict[str, float]
    pooled: float
    pooling: str = "mean"
    label_scale: LabelScale | None = None

    @property
    def mean(self) -> float:
        """The mean over frames, VMAF points."""
        return float(np.mean(self.per_frame))

    @property
    def mos(self) -> float | None:
        """The clip's score on the scale that people voted on; None for a model of no votes."""
        if self.label_scale is None:
            return None
        return float(from_hundred(np.array(self.pooled), self.label_scale))

    def to_dict(self, *, per_frame: bool = False) -> dict[str, Any]:
        """The result as JSON writes it."""
        document: dict[str, Any] = {
            "model": self.model,
            "kind": self.kind,
            "backend": self.table.provenance["backend"],
            "reference": str(self.table.source[0]),
            "distorted": str(self.table.clip[0]),
            "score": self.pooled,
            "pooling": self.pooling,
            **({} if self.mos is None else {"mos": self.mos, "label_scale": self.label_scale}),
            "statistics": statistics(self.per_frame),
            "teachers": {
                n: statistics(v) for n, v in self.table.labels.items() if n not in METRICS
            },
            **({"also": also} if (also := self.also_statistics()) else {}),
            "seconds": self.seconds,
            "comparison": self.table.provenance["comparison"],
        }
        if per_frame:
            document["frames"] = self.per_frame.tolist()
        return document

    def all_statistics(self) -> dict[str, dict[str, float]]:
        """Statistics of the model's scores and of each teacher's, by name."""
        teachers = {n: v for n, v in self.table.labels.items() if n not in METRICS}
        scores = {self.model: self.per_frame, **teachers}
        return {name: statistics(values) for name, values in scores.items()}

    def also_statistics(self) -> dict[str, dict[str, float]]:
        """Mean, deviation, median, minimum and maximum of the other metrics, by name."""
        others = {n: v for n, v in self.table.labels.items() if n in METRICS}
        return {name: spread(values) for name, values in others.items()}

    def pooled_line(self) -> str:
        """The clip's score in words, where it is more than the mean over frames; else nothing."""
        if self.label_scale is None and self.pooling == "mean":
            return ""
        line = f"{self.model}: {self.pooled:.2f} of 100, pooled by {self.pooling}"
        if self.mos is not None and self.label_scale is not None:
            low, high = self.label_scale
            line += f"; {self.mos:.2f} where people vote {low:g} to {high:g}"
        return line

    def frame_lines(self) -> list[str]:
        """A line a frame: number, tab, score."""
        pairs = zip(self.table.index, self.per_frame, strict=True)
        return [f"{index}\t{value:.6f}" for index, value in pairs]

    def to_arrow(self) -> pa.Table:
        """A row a frame: `frame`, `score`, the features and each teacher's score."""
        columns = {"frame": self.table.index, "score": self.per_frame}
        columns |= dict(zip(self.table.feature_set, self.table.features.T, strict=True))
        return pa.table({**columns, **self.table.labels})

    def to_pandas(self) -> Any:
        """The same as a pandas data frame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            return self.to_arrow().to_pandas()
        except ImportError as error:
            raise InputError("pandas is not installed; pip install pandas.") from error

    def _repr_html_(self) -> str:
        from vmaf_jax.reporting.notebook import clip_html

        title = Path(str(self.table.clip[0])).name
        return clip_html(title, self.all_statistics(), self.per_frame)

    def write_plot(self, path: Path) -> None:
        """Draws the scores over the frames, PNG."""
        from vmaf_jax.reporting.plots import per_frame

        title = Path(str(self.table.clip[0])).name
        write_bytes(path, per_frame({self.model: self.per_frame, **self.table.labels}, title))

    def write_log(self, path: Path) -> None:
        """Writes a log laid out as libvmaf's, `.xml` or else JSON."""
        from vmaf_jax.reporting import libvmaf_log

        keys = self.table.feature_set.libvmaf_keys
        columns = dict(zip(keys, self.table.features.T, strict=True))
        columns |= {**self.table.labels, self.model: self.per_frame}
        write = libvmaf_log.to_xml if path.suffix == ".xml" else libvmaf_log.to_json
        version = str(self.table.provenance.get("backend_version", "unknown"))
        write_bytes(path, write(columns, version).encode())

    def write_csv(self, path: Path) -> None:
        """One row a frame: `frame`, `score`, the features and each teacher's score."""
        from pyarrow import csv

        sink = pa.BufferOutputStream()
        csv.write_csv(self.to_arrow(), sink)
        write_bytes(path, sink.getvalue().to_pybytes())


def score(
    reference: str | os.PathLike[str] | Video,
    distorted: str | os.PathLike[str] | Video,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    backend: str = "libvmaf",
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (),
    cache: Path | None = None,
    also: tuple[str, ...] = (),
    **comparison: Unpack[ComparisonOptions],
) -> Scores:
    """Scores a pair of videos.

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format.
        model: a shipped name, a run folder, an ONNX file, a libvmaf JSON file, or a loaded model.
        backend: what measures the features, `libvmaf` or `jax`.
        width, height, pix_fmt: of raw files.
        teachers: models to run beside, by name or JSON file.
        cache: folder of measurements, as for `extract_pair`.
        also: other metrics of libvmaf's same pass: psnr, ssim, ms_ssim, ciede2000, cambi.
        comparison: what is allowed where the two differ, as for `extract_pair`.

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
            cache=cache,
            also=also,
            **comparison,
        )
        return table, time.perf_counter() - started

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        extraction = pool.submit(measured)
        loaded = load_scorer(model)
        if loaded.compiles:
            loaded(np.zeros((_BATCH, len(feature_set))))  # compiles
        table, extraction_s = extraction.result()
    started = time.perf_counter()
    scores = _predicted(loaded, table.features).astype(np.float64)
    inference_s = time.perf_counter() - started
    seconds = {"extraction": extraction_s, "inference": inference_s}
    return Scores(
        model=loaded.name,
        kind=loaded.kind,
        per_frame=scores,
        table=table,
        seconds=seconds,
        pooled=loaded.clip_score(table.features, scores),
        pooling=loaded.pooling,
        label_scale=loaded.label_scale if loaded.label == "mos" else None,
    )


def _predicted(model: Model, features: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    if not model.compiles:
        return model(features)
    from vmaf_jax.models.batches import in_batches

    return in_batches(model, features, _BATCH)


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


def spread(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """How a metric's frames are spread, in its own unit."""
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values)),
        "median": float(np.median(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }
