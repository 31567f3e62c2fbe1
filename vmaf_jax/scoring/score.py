"""`vmaf-jax score`: two files and a model to a score.

The model loads and compiles while libvmaf measures, so that costs no time of its own; predicting
the frames of a clip takes a few milliseconds a thousand frames (`vmaf-jax bench inference`).
"""

import concurrent.futures
import dataclasses
import time
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import VideoLike, as_video, check_backend, extract_each
from vmaf_jax.extraction.request import Request, TableOrError, parse_extra_metrics
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.frame_budget import EnoughFrames, check_within, measure_enough
from vmaf_jax.scoring.intervals import check_interval, interval_of, is_inside
from vmaf_jax.scoring.model import Model, choose, feature_set_of, load_scorer
from vmaf_jax.scoring.scores import Compared, Scores
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.arrays import arrays_as_files
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, ComparisonOptions
from vmaf_jax.video.ffmpeg import estimate_frames, find_ffmpeg
from vmaf_jax.video.inputs import Video

DEFAULT_MODEL = "tiny"
_BATCH = 256  # rows; a jitted model compiles for so many while the clip is still measured


def score(
    reference: VideoLike,
    distorted: VideoLike,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    bits: int = 8,
    backend: str = "libvmaf",
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (),
    cache: Path | None = None,
    extra_metrics: tuple[str, ...] = (),
    provider: str | None = None,
    interval: float | None = None,
    within: float | None = None,
    progress: Progress = NO_PROGRESS,
    comparison: Comparison = DEFAULT_COMPARISON,
    **options: Unpack[ComparisonOptions],
) -> Scores:
    """Scores a pair of videos.

    >>> scores = score("reference.y4m", "distorted.mp4")
    >>> 0 <= scores.pooled <= 100
    True
    >>> scores.per_frame.shape
    (24,)
    >>> scores.to_arrow().column_names[:3]
    ['frame', 'score', 'adm2']

    Arrays do as well, here luma of 8 bits; such a pair is measured once and kept, as files are:

    >>> score(luma, luma, model="vmaf_v0.6.1").per_frame.shape
    (3,)

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format; or arrays
            of integers, luma `[frames, height, width]` or planes (Y, U, V) of such frames.
        model: a shipped name, a run folder, an ONNX file, a libvmaf JSON file, or a loaded model;
            `auto` is VMAF's own by the reference's resolution, `phone` its model for phones.
        bits: of arrays: 8, 10 or 12.
        backend: what measures the features, `libvmaf`, `jax` or `onnx` (a pixels model).
        width, height, pix_fmt: of raw files.
        teachers: models to run beside, by name or JSON file.
        cache: folder of measurements, as for `extract_pair`; `onnx` keeps none.
        extra_metrics: other metrics of libvmaf's same pass: psnr, ssim, ms_ssim, ciede2000,
            psnr_hvs, cambi.
        provider: ONNX Runtime's, of `onnx`; by default its CPU.
        interval: level of an interval for the clip's label, in (0, 1).
        within: points; measures no more frames than the clip's mean needs to be known that well
            (95 %). By libvmaf, of models that pool by the mean, without teachers or a cache.
        progress: told how many frames are measured, where all of them are.
        comparison: what is allowed where the two differ.
        options: attributes of `Comparison` by name, such as `shortest=True`; they replace those of
            `comparison`.

    Raises:
        InputError: a file or an array cannot be measured, or the model cannot be loaded, carries
            no calibration, or does not pool by the mean.
    """
    _check_flags(backend, provider, interval, within, teachers, extra_metrics)
    comparison = dataclasses.replace(comparison, **options)
    with arrays_as_files(reference, distorted, bits) as files:
        pair = _as_pair(files, width, height, pix_fmt)
        choice = choose(model, pair[0])
        if backend == "onnx":
            scores = _score_pixels(choice.model, pair, comparison, provider, teachers)
        elif within is not None:
            scores = _score_within(choice.model, pair, within, interval, comparison)
        else:
            request = Request(
                teachers,
                comparison=comparison,
                cache=cache,
                extra_metrics=parse_extra_metrics(extra_metrics),
            )
            scores = _score_whole(choice.model, pair, request, backend, interval, progress)
    are_files = files[0] is reference and files[1] is distorted  # those of arrays are gone by now
    compared = Compared(*pair, comparison) if are_files else None
    return dataclasses.replace(scores, choice=choice.reason, pair=compared)


def _check_flags(
    backend: str,
    provider: str | None,
    interval: float | None,
    within: float | None,
    teachers: tuple[str, ...],
    extra_metrics: tuple[str, ...],
) -> None:
    """Raises InputError where the backend is unknown, or cannot do what else is asked for."""
    if backend == "onnx":
        if interval is not None or within is not None or extra_metrics:
            raise InputError(
                "--backend onnx: has no --interval, --within and --extra-metrics; drop them."
            )
        return
    check_backend(backend)
    if provider is not None:
        raise InputError("--provider goes with --backend onnx; drop it.")
    if within is not None and (backend != "libvmaf" or teachers or extra_metrics):
        raise InputError("--within: libvmaf measures, and no teacher beside it; drop the other.")


def _as_pair(
    files: tuple[VideoLike, VideoLike], width: int | None, height: int | None, pix_fmt: str | None
) -> tuple[Video, Video]:
    """The two as videos; raises InputError where the format of raw ones is given to neither."""
    pair = (
        as_video(files[0], width, height, pix_fmt),
        as_video(files[1], width, height, pix_fmt),
    )
    if (width or height or pix_fmt) and not any(video.is_raw for video in pair):
        raise InputError("width, height and pix_fmt are for raw .yuv files; drop them.")
    return pair


def _score_pixels(
    model: str | Path | Model,
    pair: tuple[Video, Video],
    how: Comparison,
    provider: str | None,
    teachers: tuple[str, ...],
) -> Scores:
    from vmaf_jax.scoring.pixels_backend import score_pixels

    if isinstance(model, Model):
        raise InputError("--backend onnx: takes a model by name or file, not a loaded one.")
    return score_pixels(pair, str(model), how, provider=provider, teachers=teachers)


def _about_frames(video: Video, how: Comparison) -> int | None:
    """Frames that will be measured, as far as a header tells."""
    count = estimate_frames(find_ffmpeg(), video)
    return how.frames if count is None else min(count, how.frames or count)


def _scorer(model: str | Path | Model, interval: float | None, *, within: bool) -> Model:
    """The model, loaded, once it is sure that it can give the interval asked for."""
    loaded = load_scorer(model)
    if interval is not None:
        check_interval(loaded, interval, within=within)
    return loaded


def _score_whole(
    model: str | Path | Model,
    pair: tuple[Video, Video],
    request: Request,
    backend: str,
    interval: float | None,
    progress: Progress,
) -> Scores:
    """The clip's score from all frames, the model being loaded while they are measured."""
    if interval is not None:
        model = _scorer(model, interval, within=False)
    request = dataclasses.replace(
        request,
        feature_set=feature_set_of(model),
        on_frames=progress.steps("frames", lambda: _about_frames(pair[1], request.comparison)),
    )

    def measured() -> tuple[TableOrError, float]:
        started = time.perf_counter()
        (outcome,) = extract_each([pair], request, backend=backend)
        return outcome, time.perf_counter() - started

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        extraction = pool.submit(measured)
        loaded = load_scorer(model)
        if loaded.compiles:
            loaded(np.zeros((_BATCH, len(request.feature_set))))  # compiles
        outcome, extraction_s = extraction.result()
    if isinstance(outcome, InputError):
        raise outcome
    return scores_of(loaded, outcome, interval=interval, extraction_s=extraction_s)


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
        label=loaded.label,
        interval=interval_of(loaded, pooled, interval, None),
        inside_training_region=is_inside(loaded, table.features.mean(axis=0)),
    )


def _score_within(
    model: str | Path | Model,
    pair: tuple[Video, Video],
    within: float,
    level: float | None,
    how: Comparison,
) -> Scores:
    """The clip's score from as many frames as it takes."""
    loaded = _scorer(model, level, within=True)
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
        label=loaded.label,
        interval=interval_of(loaded, pooled, level, enough.estimate),
        inside_training_region=is_inside(loaded, enough.features),
        frames=enough.n_frames,
    )


def _predicted(model: Model, features: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    if not model.compiles:
        return model(features)
    from vmaf_jax.models.deployed import in_batches

    return in_batches(model, features, _BATCH)
