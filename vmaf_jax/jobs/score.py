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
from vmaf_jax.evaluation.conformal import Interval
from vmaf_jax.extraction.api import as_video, check_backend, extract_pair
from vmaf_jax.features.opinions import LabelScale, from_hundred
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import write_bytes
from vmaf_jax.jobs.enough_frames import EnoughFrames, check_within, measure_enough
from vmaf_jax.jobs.how_sure import check_interval, in_words, interval_of, is_inside
from vmaf_jax.jobs.model import Model, feature_set_of, load_scorer
from vmaf_jax.video.comparison import ComparisonOptions, comparison_of
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
        interval: of the clip's score, where one was asked for.
        inside_training_region: whether the clip is like those that the model learnt from; None
            where its files do not say.
        frames: of the clip, where not all of them had to be measured; the rest is of those that
            were, `pooled` excepted, which is an estimate for all.
    """

    model: str
    kind: str
    per_frame: npt.NDArray[np.float64]
    table: FeatureTable
    seconds: dict[str, float]
    pooled: float
    pooling: str = "mean"
    label_scale: LabelScale | None = None
    interval: Interval | None = None
    inside_training_region: bool | None = None
    frames: int | None = None

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
            "teachers": {name: statistics(v) for name, v in self.table.labels.items()},
            "seconds": self.seconds,
            "comparison": self.table.provenance["comparison"],
            "inside_training_region": self.inside_training_region,
        }
        if self.interval is not None:
            document["interval"] = dataclasses.asdict(self.interval)
        if self.frames is not None:
            document |= {"frames_measured": len(self.per_frame), "frames": self.frames}
        elif per_frame:
            document["frames"] = self.per_frame.tolist()
        return document

    def all_statistics(self) -> dict[str, dict[str, float]]:
        """Statistics of the model's scores and of each teacher's, by name."""
        scores = {self.model: self.per_frame, **self.table.labels}
        return {name: statistics(values) for name, values in scores.items()}

    def pooled_line(self) -> str:
        """The clip's score in words, where it is more than the mean over frames; else nothing."""
        if self.label_scale is None and self.pooling == "mean":
            return ""
        line = f"{self.model}: {self.pooled:.2f} of 100, pooled by {self.pooling}"
        if self.mos is not None and self.label_scale is not None:
            low, high = self.label_scale
            line += f"; {self.mos:.2f} where people vote {low:g} to {high:g}"
        return line

    def sure_lines(self) -> list[str]:
        """How sure the score is, in words: nothing that was not asked for, or needs no word."""
        measured = None if self.frames is None else (len(self.per_frame), self.frames)
        scale = self.label_scale
        return in_words(self.pooled, measured, self.interval, self.inside_training_region, scale)

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
        band = None if self.interval is None else (self.interval.low, self.interval.high)
        scores = {self.model: self.per_frame, **self.table.labels}
        write_bytes(path, per_frame(scores, title, self.table.index, band))

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
    provider: str | None = None,
    interval: float | None = None,
    within: float | None = None,
    **comparison: Unpack[ComparisonOptions],
) -> Scores:
    """Scores a pair of videos.

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format.
        model: a shipped name, a run folder, an ONNX file, a libvmaf JSON file, or a loaded model.
        backend: what measures the features, `libvmaf`, `jax` or `onnx` (a pixels model).
        width, height, pix_fmt: of raw files.
        teachers: models to run beside, by name or JSON file.
        cache: folder of measurements, as for `extract_pair`; `onnx` keeps none.
        provider: ONNX Runtime's, of `onnx`; by default its CPU.
        interval: level of an interval for the clip's label, in (0, 1).
        within: points; measures no more frames than the clip's mean needs to be known that well
            (95 %). By libvmaf, of models that pool by the mean, without teachers or a cache.
        comparison: what is allowed where the two differ, as for `extract_pair`.

    Raises:
        InputError: a file cannot be measured, or the model cannot be loaded, carries no
            calibration, or does not pool by the mean.
    """
    if backend != "onnx":
        check_backend(backend)
    if provider is not None and backend != "onnx":
        raise InputError("--provider goes with --backend onnx; drop it.")
    videos = [v if isinstance(v, Video) else Video(Path(v)) for v in (reference, distorted)]
    if any((width, height, pix_fmt)) and not any(video.is_raw for video in videos):
        raise InputError("width, height and pix_fmt are for raw .yuv files; drop them.")
    if backend == "onnx":
        from vmaf_jax.jobs.score_pixels import score_pixels

        if isinstance(model, Model):
            raise InputError("--backend onnx: takes a model by name or file, not a loaded one.")
        if interval is not None or within is not None:
            raise InputError("--backend onnx: has no --interval and no --within; drop them.")
        raw = {"width": width, "height": height, "pix_fmt": pix_fmt}
        pair = (as_video(reference, raw), as_video(distorted, raw))
        how = comparison_of(comparison)
        scored = score_pixels(pair, str(model), how, provider=provider, teachers=teachers)
        return Scores(**vars(scored))
    feature_set = feature_set_of(model)
    if interval is not None:
        model = load_scorer(model)
        check_interval(model, interval, within=within is not None)
    if within is not None:
        if backend != "libvmaf" or teachers:
            raise InputError(
                "--within: libvmaf measures, and no teacher beside it; drop the other."
            )
        raw = {"width": width, "height": height, "pix_fmt": pix_fmt}
        pair = (as_video(reference, raw), as_video(distorted, raw))
        return _score_within(load_scorer(model), pair, within, interval, comparison)

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
            **comparison,
        )
        return table, time.perf_counter() - started

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        extraction = pool.submit(measured)
        loaded = load_scorer(model)
        if loaded.compiles:
            loaded(np.zeros((_BATCH, len(feature_set))))  # compiles
        table, extraction_s = extraction.result()
    return scores_of(loaded, table, interval=interval, extraction_s=extraction_s)


def scores_of(
    loaded: Model, table: FeatureTable, *, interval: float | None, extraction_s: float
) -> Scores:
    """What a model says of one measured clip.

    Args:
        interval: the level of the interval; `check_interval` has passed it.
        extraction_s: what measuring took.
    """
    started = time.perf_counter()
    scores = _predicted(loaded, table.features).astype(np.float64)
    pooled = loaded.clip_score(table.features, scores)
    seconds = {"extraction": extraction_s, "inference": time.perf_counter() - started}
    return Scores(
        model=loaded.name,
        kind=loaded.kind,
        per_frame=scores,
        table=table,
        seconds=seconds,
        pooled=pooled,
        pooling=loaded.pooling,
        label_scale=loaded.label_scale if loaded.label == "mos" else None,
        interval=interval_of(loaded, pooled, interval, None),
        inside_training_region=is_inside(loaded, table.features.mean(axis=0)),
    )


def _score_within(
    loaded: Model,
    pair: tuple[Video, Video],
    within: float,
    level: float | None,
    comparison: ComparisonOptions,
) -> Scores:
    """The clip's score from as many frames as it takes."""
    how = comparison_of(comparison)
    check_within(within, loaded.pooling, how, loaded.name)
    started = time.perf_counter()

    def predict(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return _predicted(loaded, features).astype(np.float64)

    enough: EnoughFrames = measure_enough(pair, within, predict, loaded.feature_set, how)
    pooled = min(max(enough.estimate.mean, 0.0), 100.0)
    return Scores(
        model=loaded.name,
        kind=loaded.kind,
        per_frame=enough.per_frame,
        table=enough.table,
        seconds={"extraction": time.perf_counter() - started, "inference": 0.0},
        pooled=pooled,
        label_scale=loaded.label_scale if loaded.label == "mos" else None,
        interval=interval_of(loaded, pooled, level, enough.estimate),
        inside_training_region=is_inside(loaded, enough.features),
        frames=enough.n_frames,
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
