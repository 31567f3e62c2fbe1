"""Scores of a pair of videos.

The model loads and compiles while libvmaf measures, so that this costs no time of its own;
predicting takes a few milliseconds a thousand frames (`vmaf-jax bench inference`).
"""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import WORST_SHOT, check_pool, pool_clip
from vmaf_jax.extraction.extract import (
    BACKENDS,
    VideoLike,
    as_video,
    check_backend,
    extract_one,
)
from vmaf_jax.extraction.request import Request, parse_extra_metrics
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.intervals import (
    check_interval,
    is_in_training_region,
    pool_profile,
    score_interval,
)
from vmaf_jax.scoring.model import (
    AUTO,
    HD,
    Model,
    ModelChoice,
    ModelLike,
    choose_at_distance,
    choose_by_size,
    choose_model,
    feature_set_of,
    load_scorer,
)
from vmaf_jax.scoring.scores import ComparedPair, Scores
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.arrays import arrays_as_files
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, ComparisonOptions
from vmaf_jax.video.ffmpeg import estimate_frames, find_ffmpeg
from vmaf_jax.video.inputs import VideoPair

DEFAULT_MODEL = AUTO
_BATCH = 256  # rows; a jitted model compiles for so many while the clip is still measured


@dataclasses.dataclass(frozen=True)
class ScoreSettings:
    """Settings of `score_pair` and `rank`; each is described at `score`.

    Raises:
        InputError: The backend is unknown, or cannot do what else is set.
    """

    backend: str = "libvmaf"
    width: int | None = None
    height: int | None = None
    pix_fmt: str | None = None
    teachers: tuple[str, ...] = ()
    cache: Path | None = None
    extra_metrics: tuple[str, ...] = ()
    provider: str | None = None
    interval: float | None = None
    within: float | None = None
    pool: str | None = None
    display: str | None = None
    distance: float | None = None
    explain: bool = False
    worst_region: bool = False
    comparison: Comparison = DEFAULT_COMPARISON

    def __post_init__(self) -> None:
        if self.pool is not None:
            check_pool(self.pool)
            if self.within is not None and self.pool != "mean":
                raise InputError(f"--within estimates the mean; drop it, or --pool {self.pool}.")
        if self.worst_region and (self.within is not None or self.backend == "onnx"):
            raise InputError(
                "--worst-region: libvmaf or jax measure every frame; drop --within and --backend "
                "onnx."
            )
        if self.backend == "onnx":
            numbers = (self.interval, self.within, self.distance)
            if any(number is not None for number in numbers) or self.extra_metrics or self.explain:
                raise InputError(
                    "--backend onnx: has no --interval, --within, --distance, --explain and "
                    "--extra-metrics; drop them."
                )
            return
        check_backend(self.backend, (*BACKENDS, "onnx"))
        if self.provider is not None:
            raise InputError("--provider goes with --backend onnx; drop it.")
        others = bool(self.teachers or self.extra_metrics or self.explain)
        if self.within is not None and (others or self.backend != "libvmaf"):
            raise InputError(
                "--within: libvmaf measures some frames, with no --teacher, --extra-metrics or "
                "--explain; drop the other."
            )

    def as_pair(self, reference: VideoLike, distorted: VideoLike) -> VideoPair:
        """Returns two files as videos, raw ones of the size and format set."""
        return (
            as_video(reference, self.width, self.height, self.pix_fmt),
            as_video(distorted, self.width, self.height, self.pix_fmt),
        )

    def other_pool(self, model: Model) -> str | None:
        """Returns the requested pooling where the model's own is another; else None.

        Raises:
            InputError: The model's scores are of votes on whole clips, which no pooling gives.
        """
        if self.pool is not None and model.titles is not None:
            raise InputError(f"{model.name}: votes calibrated it to whole clips; drop --pool.")
        return None if self.pool == model.pooling else self.pool

    def check_calibration(self, model: Model) -> None:
        """Raises InputError where an interval is requested that the model cannot give."""
        if self.interval is None:
            return
        check_interval(model, self.interval, within=False)
        if self.other_pool(model) is not None:
            pool_profile(model, np.mean)

    def video_pair(self, pair: VideoPair) -> ComparedPair:
        """Returns the two videos with how they are compared, for the result."""
        return ComparedPair(pair[0], pair[1], self.comparison)

    def request(
        self, feature_set: FeatureSet, on_frames: Callable[[int], None] | None = None
    ) -> Request:
        """Returns the extraction that a model of `feature_set` needs."""
        return Request(
            teachers=self.teachers,
            feature_set=feature_set,
            comparison=self.comparison,
            cache=self.cache,
            on_frames=on_frames,
            extra_metrics=parse_extra_metrics(self.extra_metrics),
        )


DEFAULT_SETTINGS = ScoreSettings()


def score(
    reference: VideoLike,
    distorted: VideoLike,
    model: ModelLike = DEFAULT_MODEL,
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
    pool: str | None = None,
    display: str | None = None,
    distance: float | None = None,
    explain: bool = False,
    worst_region: bool = False,
    progress: Progress = NO_PROGRESS,
    comparison: Comparison = DEFAULT_COMPARISON,
    **options: Unpack[ComparisonOptions],
) -> Scores:
    """Scores a pair of videos.

    Examples:
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
        reference, distorted: Files that ffmpeg decodes, or raw YUV with size and format; or arrays
            of integers, luma `[frames, height, width]` or planes (Y, U, V) of such frames.
        model: `auto`, VMAF's own by the reference's resolution; `v1`, VMAF v1's by resolution and
            frame rate; `phone`, the first one's for phones; the name of a VMAF model or a shipped
            student, a run folder, an ONNX file, a libvmaf JSON file, or a loaded model.
        bits: Of arrays: 8, 10 or 12.
        backend: What measures the features, `libvmaf`, `jax` or `onnx` (a pixels model).
        width, height, pix_fmt: Of raw files.
        teachers: Models to run beside, by name or JSON file.
        cache: Folder of measurements, as for `extract_pair`; `onnx` keeps none.
        extra_metrics: Other metrics of libvmaf's same pass: psnr, ssim, ms_ssim, ciede2000,
            psnr_hvs, cambi.
        provider: ONNX Runtime's, of `onnx`; by default its CPU.
        interval: Level of an interval for the clip's label, in (0, 1).
        within: VMAF points; measures no more frames than the clip's mean needs to be known that
            well (95 %). By libvmaf, of models that pool by the mean, without teachers or a cache.
        pool: How frames become the clip's score: mean, harmonic, p1, p5, p10, median, worst-second
            or worst-shot (of the reference's shots); by default as the model does.
        display: What `auto` and `v1` score for: 1080p@3H, 1080p@5H, 2160p@1.5H or 2160p@3H, screen
            and distance in its heights; by default as the reference's resolution suggests.
        distance: The viewers', in picture heights, for a model that knows distances; by default
            the model's own.
        explain: Also computes what each feature takes from the score of the identical pair.
        worst_region: Also finds the region that departs most from the rest of its frame.
        progress: Receives how many frames are measured, where all of them are.
        comparison: What is allowed where the two differ.
        options: Attributes of `Comparison` by name, such as `shortest=True`; they replace those of
            `comparison`.

    Raises:
        InputError: A file or an array cannot be measured, or the model cannot be loaded, carries
            no calibration, or does not pool by the mean.
    """
    settings = ScoreSettings(
        backend=backend,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        teachers=teachers,
        cache=cache,
        extra_metrics=extra_metrics,
        provider=provider,
        interval=interval,
        within=within,
        pool=pool,
        display=display,
        distance=distance,
        explain=explain,
        worst_region=worst_region,
        comparison=dataclasses.replace(comparison, **options),
    )
    with arrays_as_files(reference, distorted, bits) as files:
        scores = score_pair(files[0], files[1], model, settings, progress=progress)
    if files[0] is reference and files[1] is distorted:
        return scores
    return dataclasses.replace(scores, pair=None)  # the files of arrays are removed by now


def score_pair(
    reference: VideoLike,
    distorted: VideoLike,
    model: ModelLike = DEFAULT_MODEL,
    settings: ScoreSettings = DEFAULT_SETTINGS,
    *,
    progress: Progress = NO_PROGRESS,
) -> Scores:
    """Scores a pair of video files.

    Args:
        model: As for `score`.
        progress: Receives how many frames are measured, where all of them are.

    Raises:
        InputError: As `score`.
    """
    pair = settings.as_pair(reference, distorted)
    has_format = settings.width or settings.height or settings.pix_fmt
    if has_format and not any(video.is_raw for video in pair):
        raise InputError("width, height and pix_fmt are for raw .yuv files; drop them.")
    if settings.distance is not None:
        choice = choose_at_distance(model, settings.distance)
        near = dataclasses.replace(settings, distance=None)
        scores = score_pair(reference, distorted, choice.model, near, progress=progress)
        return dataclasses.replace(scores, choice=choice.reason)
    if settings.backend == "onnx":
        return _score_by_pixels_model(
            choose_model(model, pair[0], settings.display), pair, settings
        )
    if settings.within is not None:
        choice = choose_model(model, pair[0], settings.display)
        return _score_sample(choice, pair, settings, settings.within)
    return _score_every_frame(model, pair, settings, progress)


def _score_by_pixels_model(choice: ModelChoice, pair: VideoPair, settings: ScoreSettings) -> Scores:
    from vmaf_jax.scoring.pixels import score_pixels

    if isinstance(choice.model, Model):
        raise InputError("--backend onnx: takes a model by name or file, not a loaded one.")
    scores = score_pixels(
        pair,
        str(choice.model),
        settings.comparison,
        provider=settings.provider,
        teachers=settings.teachers,
    )
    scores = dataclasses.replace(scores, choice=choice.reason, pair=settings.video_pair(pair))
    return scores if settings.pool is None else pool_scores(scores, settings.pool)


def _score_every_frame(
    model: ModelLike, pair: VideoPair, settings: ScoreSettings, progress: Progress
) -> Scores:
    """Measures all frames, while the model is loaded, and scores them."""
    # Both models of `auto` read the same features, so what is decoded decides; a probe takes longer
    # than all else that a measured pair needs.
    is_open = model == AUTO and settings.display is None
    choice = ModelChoice(HD) if is_open else choose_model(model, pair[0], settings.display)
    if settings.interval is not None:  # a model without intervals is refused before the long work
        calibrated = load_scorer(choice.model)
        settings.check_calibration(calibrated)
        choice = ModelChoice(calibrated, choice.reason)
    feature_set = feature_set_of(choice.model)

    def count_frames() -> int | None:
        """Returns how many frames will be measured, as far as a header tells."""
        count, limit = estimate_frames(find_ffmpeg(), pair[1]), settings.comparison.frames
        return limit if count is None else min(count, limit or count)

    request = settings.request(feature_set, progress.steps("frames", count_frames))

    def measure() -> tuple[FeatureTable, float]:
        started = time.perf_counter()
        table = extract_one(pair, request, backend=settings.backend)
        return table, time.perf_counter() - started

    # A thread is enough: ffmpeg and libvmaf measure in a process of their own.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        extraction = pool.submit(measure)
        loaded = load_scorer(choice.model)
        if loaded.compiles:
            loaded(np.zeros((_BATCH, len(feature_set))))
        table, extraction_s = extraction.result()
    if is_open:
        reference = table.provenance["comparison"]["reference"]
        choice = choose_by_size(reference["width"], reference["height"])
        if choice.model != HD:
            loaded = load_scorer(choice.model)
    scores = predict_scores(loaded, choice.reason, table, pair, settings, extraction_s=extraction_s)
    if not settings.worst_region:
        return scores
    return add_worst_region(scores, loaded, progress.steps("frames looked at", lambda: len(table)))


def add_worst_region(
    scores: Scores, model: Model, progress: Callable[[int], None] | None = None
) -> Scores:
    """Returns scores with the region that departs most from the rest of its frame.

    Args:
        model: That scored.
        progress: Called with how many more frames were looked at.

    Raises:
        InputError: The videos cannot be read again.
    """
    from vmaf_jax.scoring.measured_pair import find_worst_region

    region = find_worst_region(scores, lambda features: predict_frames(model, features), progress)
    return dataclasses.replace(scores, worst_region=region)


def predict_scores(
    model: Model,
    reason: str | None,
    table: FeatureTable,
    pair: VideoPair,
    settings: ScoreSettings,
    *,
    extraction_s: float,
) -> Scores:
    """Scores the frames of one measured clip.

    Args:
        reason: Why the model was chosen, where it was.
        table: Of the clip alone.
        settings: `check_interval` has passed its level.
        extraction_s: Seconds that measuring took.
    """
    started = time.perf_counter()
    per_frame = predict_frames(model, table.features)
    titles = model.titles
    said = None if titles is None else titles.predict(table.features)
    pooled = model.clip_score(table.features, per_frame) if said is None else said.votes
    inference_s = time.perf_counter() - started
    level, pool = settings.interval, settings.other_pool(model)
    if titles is None or said is None:
        interval = score_interval(model, pooled, level)
        inside = is_in_training_region(model, table.features.mean(axis=0))
    else:
        from vmaf_jax.scoring.title_model import LEVEL

        interval, inside = titles.interval(said, level or LEVEL), said.title is not None
    explanation = None
    if settings.explain:
        from vmaf_jax.evaluation.explanation import explain_scores

        explanation = explain_scores(
            lambda rows: predict_frames(model, rows), model.feature_set, table.features
        )
    scores = Scores(
        model=model.name,
        kind=model.kind,
        per_frame=per_frame,
        table=table,
        seconds={"extraction": extraction_s, "inference": inference_s},
        pooled=pooled,
        pooling=model.pooling,
        label_scale=model.label_scale if model.label == "mos" else None,
        label=model.label,
        top=model.top,
        interval=interval,
        inside_training_region=inside,
        explanation=explanation,
        choice=reason,
        pair=settings.video_pair(pair),
    )
    return scores if pool is None else pool_scores(scores, pool, model, level)


def pool_scores(
    scores: Scores, pool: str, model: Model | None = None, level: float | None = None
) -> Scores:
    """Returns the scores with the clip's by a pooling of `evaluation.clip_pooling.POOLS`.

    Args:
        model: Of the scores, and the level of the interval; None for no interval.

    Raises:
        InputError: As `Scores.pool` and `pool_profile`.
    """
    if pool == WORST_SHOT:
        from vmaf_jax.scoring.measured_pair import find_shots

        scores = dataclasses.replace(scores, cuts=find_shots(scores))
    pooled, interval = scores.pool(pool).score, None
    if model is not None and level is not None:
        profile = pool_profile(model, lambda s: pool_clip(s, pool, rate=scores.rate).score)
        interval = profile.interval(pooled, level)
    # Votes are of a clip as a whole, which no other pooling of its frames is.
    return dataclasses.replace(
        scores, pooled=pooled, pooling=pool, interval=interval, label_scale=None
    )


def _score_sample(
    choice: ModelChoice, pair: VideoPair, settings: ScoreSettings, within: float
) -> Scores:
    """Measures as many frames as it takes to know their mean `within` points, and scores them."""
    from vmaf_jax.scoring.frame_budget import check_within, measure_sample

    loaded = load_scorer(choice.model)
    if settings.interval is not None:
        check_interval(loaded, settings.interval, within=True)
    check_within(within, loaded, settings.comparison)
    started = time.perf_counter()
    sample = measure_sample(
        pair,
        within,
        lambda features: predict_frames(loaded, features),
        loaded.feature_set,
        settings.comparison,
    )
    pooled = min(max(sample.estimate.mean, 0.0), loaded.top)  # a regression may leave the scale
    return Scores(
        model=loaded.name,
        kind=loaded.kind,
        per_frame=sample.per_frame,
        table=sample.table,
        seconds={"extraction": time.perf_counter() - started, "inference": 0.0},
        pooled=pooled,
        label_scale=loaded.label_scale if loaded.label == "mos" else None,
        label=loaded.label,
        top=loaded.top,
        interval=score_interval(loaded, pooled, settings.interval, sample.estimate),
        inside_training_region=is_in_training_region(loaded, sample.mean_features),
        frames=sample.n_frames,
        choice=choice.reason,
        pair=settings.video_pair(pair),
    )


def predict_frames(model: Model, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns a model's scores `[n]` of features `[n, d]`, VMAF points."""
    # Students compute in float32; statistics and pooling are float64 from here on.
    if not model.compiles:
        return model(features).astype(np.float64)
    from vmaf_jax.models.student import in_batches

    return in_batches(model, features, _BATCH).astype(np.float64)
