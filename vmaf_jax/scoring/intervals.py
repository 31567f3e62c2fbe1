"""Intervals of a clip's score, and how often a model's intervals hold on labelled clips."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import conformal
from vmaf_jax.evaluation.clip_pooling import OVER_FRAMES, apply_pooling
from vmaf_jax.evaluation.conformal import (
    Calibration,
    ConformalProfile,
    ScoreInterval,
    check_level,
)
from vmaf_jax.evaluation.sampling import LEVEL, Estimate
from vmaf_jax.scoring.model import Model
from vmaf_jax.tables.table import FeatureTable, LabelScale, from_hundred, rows_by_clip

Floats = npt.NDArray[np.float64]
SAMPLING = "sampling of frames"
BOTH = f"{conformal.KIND}, and {SAMPLING}"


def check_interval(model: Model, level: float, *, within: bool) -> None:
    """Checks that a model can give intervals at `level`.

    Args:
        within: Whether only some frames will be measured.

    Raises:
        InputError: The level is outside (0, 1), or so near to 1 that the frames left out leave no
            error to spend; the model's files carry no calibration, or one of a single source.
    """
    check_level(level, "--interval")
    if within and level >= LEVEL:
        raise InputError(
            f"--interval {level:g}: with --within below {LEVEL:g}, since the frames left out take "
            f"{1 - LEVEL:.2f} of the error; lower it, or drop --within."
        )
    if model.titles is not None:
        return
    _calibration_of(model, level)


def _calibration_of(model: Model, level: float) -> Calibration:
    if model.kind == "libvmaf":
        raise InputError(
            f"--interval: {model.name} is VMAF's own model: it imitates nothing, and its error "
            f"against viewers is not in its file, so there is no interval; name a student "
            f"(--model tiny), or drop it."
        )
    if model.calibration is None:
        raise InputError(
            f"{model.name}: carries no calibration (its sidecar has none), so it has no "
            f"intervals; train or export it again, or take a shipped model."
        )
    model.calibration.interval(50.0, level, model.name)  # refuses a calibration of one source
    return model.calibration


def score_interval(
    model: Model, score: float, level: float | None, estimate: Estimate | None = None
) -> ScoreInterval | None:
    """Returns the interval of a clip's score, VMAF points.

    With a level and an estimate the errors are added: the conformal interval at
    `level + 1 - LEVEL`, widened by the sampling's half-width at `LEVEL`. By the union bound it
    misses no more often than `1 - level`.

    Args:
        score: Of the clip.
        level: Of the interval for the clip's label; None without one.
        estimate: Of the mean over frames, where only some were measured.
    """
    half = 0.0 if estimate is None else estimate.half_width
    if level is None:
        if estimate is None:
            return None
        return ScoreInterval(LEVEL, max(0.0, score - half), min(model.top, score + half), SAMPLING)
    assert model.calibration is not None, "check_interval comes first"  # noqa: S101
    if half == 0:
        return model.calibration.interval(score, level, model.name)
    wide = model.calibration.interval(score, level + 1 - LEVEL, model.name)
    return ScoreInterval(level, max(0.0, wide.low - half), min(model.top, wide.high + half), BOTH)


def pool_profile(model: Model, pool: Callable[[Floats], float]) -> ConformalProfile:
    """Returns the intervals of a clip's score by a pooling that is not the model's own.

    They are calibrated on the clips of whose frames the model's folder holds held-out predictions:
    what these pool to, against what the labels of the frames do.

    Args:
        pool: From scores `[t]` of a clip's frames to the clip's.

    Raises:
        InputError: The model learnt votes, of which frames have none, or there are no frames of
            `MIN_SOURCES` sources.
    """
    from vmaf_jax.evaluation.cross_validation import read_held_out  # loads pyarrow

    if model.label == "mos":
        raise InputError(
            f"{model.name}: people voted on whole clips, so --pool has no interval; drop one."
        )
    files = [] if model.folder is None else sorted(model.folder.glob("external_*.parquet"))
    if model.folder is not None and (folds := model.folder / "folds.parquet").is_file():
        files = [folds, *files]
    predictions = conformal.pool_clips([read_held_out(path) for path in files], pool, least=2)
    if predictions is None or predictions.n_sources < conformal.MIN_SOURCES:
        raise InputError(
            f"{model.name}: frames of fewer than {conformal.MIN_SOURCES} sources were held out, so "
            f"--pool has no interval; drop --interval, or take tiny, nano or rbf."
        )
    return predictions.profile


def is_in_training_region(model: Model, features: npt.NDArray[np.float64]) -> bool | None:
    """Returns whether a clip's mean features `[d]` are like those trained on; None if unknown."""
    return None if model.calibration is None else model.calibration.region.contains(features)


def format_interval(interval: ScoreInterval | None, inside: bool | None) -> str:
    """Returns text for a table cell: "71.20 to 74.05, outside training".

    Empty without an interval and inside the training region, or where that is unknown.
    """
    bounds = "" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"
    return ", ".join(filter(None, [bounds, "outside training" if inside is False else ""]))


def describe_interval(
    interval: ScoreInterval, label_scale: LabelScale | None, label: str | None
) -> str:
    """Returns a line about an interval: level, bounds, and what it is an interval of.

    Args:
        label_scale: The worst and the best vote, for a model of votes.
        label: What the model was trained on, where that is known.
    """
    text = f"{100 * interval.level:g} % interval {interval.low:.2f} to {interval.high:.2f}"
    if label_scale is not None:
        low, high = from_hundred(np.array([interval.low, interval.high]), label_scale)
        text += f" (votes of {low:.2f} to {high:.2f})"
    text = f"{text}, {interval.kind}"
    if label_scale is None and interval.kind != SAMPLING:
        text += f": of the model against {label or 'its teacher'}, not against viewers"
    return text


@dataclasses.dataclass(frozen=True)
class ClipInterval:
    """A clip's score and its interval, beside its label; VMAF points."""

    source: str
    clip: str
    label: float
    score: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ClipIntervals:
    """The intervals of a table's clips.

    Attributes:
        level: Of the intervals, in (0, 1).
        held: Share of the clips whose label lies in their interval.
        mean_width: VMAF points.
        clips: In the table's order.
    """

    level: float
    held: float
    mean_width: float
    clips: list[ClipInterval]


def check_intervals(model: Model, label: str, level: float) -> Calibration:
    """Returns the calibration of a model whose intervals are of `label`.

    Raises:
        InputError: As `check_interval`; or the model is calibrated on another label.
    """
    check_level(level, "--interval")
    calibration = _calibration_of(model, level)
    if model.label != label:
        raise InputError(
            f"{model.name}: its intervals are of {model.label}, and cannot be compared with "
            f"{label}; name that label, or drop --interval."
        )
    return calibration


def clip_intervals(model: Model, table: FeatureTable, label: str, level: float) -> ClipIntervals:
    """Computes the intervals of a table's clips, and how often they hold the label.

    A clip's label is that of its frames by the model's own pooling, as in the calibration, within
    0-100 as its score is.

    Raises:
        InputError: As `check_intervals`; or the table has no such label.
    """
    calibration = check_intervals(model, label, level)
    rows, labels = rows_by_clip(table), table.label(label)
    if model.pooling == OVER_FRAMES:
        scores = np.array([model.clip_score(table.features[r]) for r in rows])
    else:
        per_frame = model(table.features)
        scores = np.array([model.clip_score(table.features[r], per_frame[r]) for r in rows])
    pooling = "mean" if model.pooling == OVER_FRAMES else model.pooling
    # A clip of one row is a table's mean over frames already, which no pooling changes.
    true = np.clip(
        [apply_pooling(labels[r], pooling if len(r) > 1 else "mean") for r in rows], 0, 100
    )
    low, high = calibration.profile.bounds(scores, level)
    return ClipIntervals(
        level=level,
        held=float(np.mean((low <= true) & (true <= high))),
        mean_width=float(np.mean(high - low)),
        clips=[
            ClipInterval(
                source=str(table.source[r[0]]),
                clip=str(table.clip[r[0]]),
                label=float(true[k]),
                score=float(scores[k]),
                low=float(low[k]),
                high=float(high[k]),
            )
            for k, r in enumerate(rows)
        ],
    )
