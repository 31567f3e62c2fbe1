"""Scores of a sample of a clip's frames, as many as its mean needs (`score --within POINTS`).

A first look measures all frames cheaply, and one of six by libvmaf; while the interval of the mean
is too wide, more frames are measured, at last all of them, and then there is no interval left.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.sampling import (
    CELL,
    LOOKS,
    Estimate,
    FrameSample,
    draw_offsets,
    estimate_mean,
    split_blocks,
    stratified_mean,
)
from vmaf_jax.extraction.cache import name_rows
from vmaf_jax.extraction.frame_subset import (
    FirstLook,
    FramePattern,
    check_frames_separable,
    first_look,
    measure_all,
    measure_chosen,
)
from vmaf_jax.extraction.libvmaf import other_build
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.scoring.model import Model
from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.inputs import VideoPair, check_video
from vmaf_jax.video.report import check_frame_counts

_SEED = 0  # fixed: a clip is scored from the same frames every time

Floats = npt.NDArray[np.float64]
Predict = Callable[[Floats], Floats]


@dataclasses.dataclass(frozen=True)
class SampledScores:
    """Scores of the frames of a clip that were measured.

    Attributes:
        table: Of these frames, by number.
        per_frame: Their scores `[n]`, VMAF points.
        estimate: The mean over all frames, and its half-width at `LEVEL`.
        n_frames: Frames of the clip.
        mean_features: Estimated means over all frames, `[d]`.
    """

    table: FeatureTable
    per_frame: Floats
    estimate: Estimate
    n_frames: int
    mean_features: Floats


def check_within(within: float, model: Model, comparison: Comparison) -> None:
    """Checks that a sample of frames can tell a clip's score by `model` within this many points.

    Raises:
        InputError: The points are not in (0, 100), the model does not pool by the mean, or damage
            is to be looked for, which needs every frame.
    """
    if not 0 < within < 100:
        raise InputError(f"--within {within:g}: expected points above 0 and below 100, as 0.5.")
    if model.titles is not None:
        raise InputError(f"--within: {model.name} takes the features of all frames; drop it.")
    if model.pooling != "mean":
        raise InputError(
            f"--within: estimates a mean over frames, {model.name} pools them by {model.pooling}; "
            f"drop it."
        )
    if comparison.allow_damaged:
        raise InputError("--within: cannot look for damage in frames left out; drop one flag.")
    if comparison.align:
        raise InputError("--within: takes pairs that are in step; drop it, or --align.")


def measure_sample(
    pair: VideoPair,
    within: float,
    predict: Predict,
    feature_set: FeatureSet,
    comparison: Comparison,
    *,
    threshold: float | None = None,
    cell: int = CELL,
    pilot: FirstLook | None = None,
) -> SampledScores:
    """Measures frames of a pair by libvmaf until the interval of its mean is narrow enough.

    Args:
        within: Half-width of that interval, VMAF points.
        predict: A model, from features `[n, d]` to scores `[n]`.
        threshold: VMAF points; the interval is narrow enough, too, where it does not hold them.
        cell: Frames, of which the first look measures one.
        pilot: The first look, by `draw_pattern`, where it was made before.

    Raises:
        InputError: The pair cannot be measured, or the clip is shorter than a block.
    """
    reference, distorted = pair
    counts = [check_video(video) for video in pair]
    if None not in (reference.fps, distorted.fps) or comparison.fps is None:
        check_frame_counts(reference, distorted, counts, shortest=comparison.defers_length_check)
    check_frames_separable(feature_set)
    ffmpeg, threads = find_ffmpeg(), os.cpu_count() or 1
    pilot = pilot or _look_at(pair, cell, feature_set, comparison)
    features = _known_features(pilot, feature_set)
    n_frames = len(features)
    block = split_blocks(n_frames, pilot.cuts, list(pilot.features), cell)
    draw = FrameSample(block, list(pilot.features), _SEED)
    scores = np.full(n_frames, np.nan)
    # Each look that may stop early spends its share of the interval's error (`estimate`), so their
    # number is fixed beforehand; the last one is of every frame and has no error.
    for look in range(LOOKS + 1):
        _measure_drawn(features, draw, ffmpeg, pilot, feature_set, threads)
        measured = np.sort(np.concatenate(draw.sample))
        scores[measured] = predict(features[measured])
        result = estimate_mean(draw.sample, block, scores, pilot.covariate)
        enough = within if threshold is None else max(within, abs(result.mean - threshold))
        if result.half_width <= enough:
            break
        if look + 1 < LOOKS:
            draw.grow(result.half_width, enough)
        else:
            draw.take_all()
    table = _make_table(pair, features, np.flatnonzero(~np.isnan(scores)), pilot, feature_set)
    means = stratified_mean(draw.sample, block, features)
    return SampledScores(table, scores[table.index], result, n_frames, means)


def measure_some(
    pair: VideoPair,
    cell: int,
    feature_set: FeatureSet,
    comparison: Comparison,
    *,
    pilot: FirstLook | None = None,
) -> FeatureTable:
    """Measures one frame of each cell of frames by libvmaf, and not the first of all.

    Args:
        cell: Frames, two or more, of which one is drawn at random.
        pilot: The first look, by `draw_pattern`, where it was made before.

    Raises:
        InputError: The pair cannot be measured, or is shorter than a few cells.
    """
    pilot = pilot or _look_at(pair, cell, feature_set, comparison)
    features = _known_features(pilot, feature_set)
    # Without motion the first frame stands for no other.
    return _make_table(pair, features, np.array(list(pilot.features)[1:]), pilot, feature_set)


def draw_pattern(cell: int) -> FramePattern:
    """Draws the frames that a first look measures, one of each cell of frames."""
    return FramePattern(cell, draw_offsets(_SEED, cell))


def _look_at(
    pair: VideoPair, cell: int, feature_set: FeatureSet, comparison: Comparison
) -> FirstLook:
    threads = os.cpu_count() or 1
    pattern = draw_pattern(cell)
    return first_look(find_ffmpeg(), pair, comparison, feature_set, pattern, threads=threads)


def _known_features(look: FirstLook, feature_set: FeatureSet) -> Floats:
    """Returns features `[frames, d]`, NaN where they were not measured."""
    features = np.full((len(look.covariate), len(feature_set)), np.nan)
    features[list(look.features)] = list(look.features.values())
    return features


def _measure_drawn(
    features: Floats,
    draw: FrameSample,
    ffmpeg: Ffmpeg,
    pilot: FirstLook,
    feature_set: FeatureSet,
    threads: int,
) -> None:
    """Fills `features` `[n_frames, d]` in where frames are drawn and not measured yet."""
    if draw.n == draw.n_frames:
        features[:] = measure_all(ffmpeg, pilot, feature_set, threads=threads)
        return
    new = [int(k) for frames in draw.sample for k in frames if np.isnan(features[k, 0])]
    if new:
        features[new] = measure_chosen(
            ffmpeg, pilot.videos, pilot.plan, feature_set, new, threads=threads
        )


def _make_table(
    pair: VideoPair,
    features: Floats,
    measured: npt.NDArray[np.intp],
    pilot: FirstLook,
    feature_set: FeatureSet,
) -> FeatureTable:
    """Returns the table of the measured frames; logs the comparison's warnings."""
    note = other_build(pilot.version)
    warnings = list(filter(None, [*pilot.description["warnings"], note]))
    comparison = {**pilot.description, "frames": len(features), "warnings": warnings}
    blank = constant_text("", len(measured))
    table = FeatureTable(
        feature_set=feature_set,
        corpus=blank,
        source=blank,
        clip=blank,
        index=measured.astype(np.int32),
        features=features[measured],
        labels={},
        provenance={
            "backend": "libvmaf",
            "backend_version": pilot.version,
            "ffmpeg_version": find_ffmpeg().version,
            "comparison": comparison,
        },
    )
    return name_rows(table, pair)
