"""`score --within POINTS`: as many frames as a clip's mean needs, and no more.

first look (all frames cheaply, one of six by libvmaf) -> the mean's interval -> more frames where
it is too wide -> at last all frames, and then there is no interval left
"""

import dataclasses
import logging
import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.frame_sample import (
    CELL,
    LOOKS,
    Draw,
    Estimate,
    blocks,
    estimate,
    offsets,
    stratified_mean,
)
from vmaf_jax.extraction.cache import readable_name
from vmaf_jax.extraction.frame_subset import (
    Pattern,
    check_branches,
    first_look,
    measure_chosen,
    measure_every,
)
from vmaf_jax.extraction.libvmaf import other_build
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video, check_video
from vmaf_jax.video.report import check_frame_counts

log = logging.getLogger("vmaf_jax")

_SEED = 0

Predict = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


@dataclasses.dataclass(frozen=True)
class EnoughFrames:
    """What the frames measured say.

    Attributes:
        table: of the frames measured, by number.
        per_frame: their scores, points.
        estimate: the mean over all frames, and its half-width at `LEVEL`.
        n_frames: of the clip.
        features: estimated means over all frames, `[d]`.
    """

    table: FeatureTable
    per_frame: npt.NDArray[np.float64]
    estimate: Estimate
    n_frames: int
    features: npt.NDArray[np.float64]


def check_within(within: float, pooling: str, how: Comparison, model: str) -> None:
    """Raises InputError where so many points cannot be asked for, or not of this model."""
    if not 0 < within < 100:
        raise InputError(f"--within {within:g}: expected points above 0 and below 100, as 0.5.")
    if pooling != "mean":
        raise InputError(
            f"--within: estimates a mean over frames, {model} pools them by {pooling}; drop it."
        )
    if how.allow_damaged:
        raise InputError("--within: cannot look for damage in frames left out; drop one flag.")


def measure_enough(
    videos: tuple[Video, Video],
    within: float,
    predict: Predict,
    feature_set: FeatureSet,
    how: Comparison,
) -> EnoughFrames:
    """Measures frames of a pair by libvmaf until the interval of its mean is narrow enough.

    Args:
        videos: the reference and the distorted one.
        within: half-width of that interval, points.
        predict: a model, from features `[n, d]` to scores `[n]`.

    Raises:
        InputError: as a measurement does, or the clip is shorter than a block.
    """
    reference, distorted = videos
    counts = [check_video(video) for video in videos]
    if None not in (reference.fps, distorted.fps) or how.fps is None:
        check_frame_counts(reference, distorted, counts, shortest=how.defers_length_check)
    check_branches(feature_set)
    ffmpeg, threads = find_ffmpeg(), os.cpu_count() or 1
    pattern = Pattern(CELL, offsets(_SEED))
    pilot = first_look(ffmpeg, videos, how, feature_set, pattern, threads=threads)
    n = len(pilot.covariate)
    features = np.full((n, len(feature_set)), np.nan)
    features[list(pilot.features)] = list(pilot.features.values())
    block = blocks(n, pilot.cuts, list(pilot.features))
    draw = Draw(block, list(pilot.features), _SEED)
    score = np.full(n, np.nan)
    for look in range(LOOKS + 1):
        sample = draw.sample
        new = [int(k) for frames in sample for k in frames if np.isnan(features[k, 0])]
        if draw.n == n:
            features = measure_every(ffmpeg, pilot, feature_set, threads=threads)
        elif new:
            features[new] = measure_chosen(
                ffmpeg, pilot.videos, pilot.plan, feature_set, new, threads=threads
            )
        measured = np.sort(np.concatenate(sample))
        score[measured] = predict(features[measured])
        result = estimate(sample, block, score, pilot.covariate)
        if result.half_width <= within:
            break
        if look + 1 < LOOKS:
            draw.grow(result.half_width, within)
        else:
            draw.take_all()
    note = other_build(pilot.version)
    warnings = [*pilot.description["warnings"], *([note] if note else [])]
    for text in warnings:
        log.warning("%s: %s", distorted.path, text)
    provenance = {
        "backend": "libvmaf",
        "backend_version": pilot.version,
        "ffmpeg_version": ffmpeg.version,
        "comparison": {**pilot.description, "frames": n, "warnings": warnings},
    }
    index = np.flatnonzero(~np.isnan(score)).astype(np.int32)
    table = FeatureTable(
        feature_set=feature_set,
        corpus=constant_text("", len(index)),
        source=constant_text(readable_name(reference), len(index)),
        clip=constant_text(readable_name(distorted), len(index)),
        index=index,
        features=features[index],
        labels={},
        provenance=provenance,
    )
    means = stratified_mean(sample, block, features)
    return EnoughFrames(table, score[index], result, n, means)
