"""Intervals of a clip's score, and how often a model's intervals hold on labelled clips."""

import dataclasses

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import conformal
from vmaf_jax.evaluation.conformal import Interval
from vmaf_jax.evaluation.frame_sample import LEVEL, Estimate
from vmaf_jax.export.sidecar import Calibration, check_level
from vmaf_jax.models.pooling import OVER_FRAMES, pool
from vmaf_jax.scoring.model import Model
from vmaf_jax.tables.clips import rows_of_clips
from vmaf_jax.tables.opinions import LabelScale, from_hundred
from vmaf_jax.tables.table import FeatureTable

SAMPLING = "sampling of frames"
BOTH = f"{conformal.KIND}, and {SAMPLING}"


def check_interval(model: Model, level: float, *, within: bool) -> Calibration:
    """The calibration of a model's intervals, before a measurement that is to have one at `level`.

    Args:
        within: whether only some frames will be measured.

    Raises:
        InputError: a level outside (0, 1), or so near to 1 that the frames left out leave no error
            to spend; a model whose files carry no calibration, or one of a single source.
    """
    check_level(level, "--interval")
    if within and level >= LEVEL:
        raise InputError(
            f"--interval {level:g}: with --within below {LEVEL:g}, since the frames left out take "
            f"{1 - LEVEL:.2f} of the error; lower it, or drop --within."
        )
    if model.kind == "libvmaf":
        raise InputError(
            f"--interval: {model.name} is VMAF's own model: it imitates nothing, and its error "
            f"against viewers is not in its file, so there is no interval; drop it."
        )
    if model.calibration is None:
        raise InputError(
            f"{model.name}: carries no calibration (its sidecar has none), so it cannot tell how "
            f"sure it is; train or export it again, or take a shipped model."
        )
    model.calibration.interval(50.0, level, model.name)
    return model.calibration


def interval_of(
    model: Model, score: float, level: float | None, estimate: Estimate | None
) -> Interval | None:
    """The interval of a clip's score.

    Args:
        score: of the clip, points.
        level: of its label, or None where only the frames left out are in doubt.
        estimate: of the mean over frames, where only some were measured.

    Returns:
        With both, the union of the two errors: conformal at `level + 1 - LEVEL`, widened by the
        sampling's half-width at `LEVEL`, so that it misses no more often than `1 - level`.
    """
    half = 0.0 if estimate is None else estimate.half_width
    if level is None:
        if estimate is None:
            return None
        return Interval(LEVEL, max(0.0, score - half), min(100.0, score + half), SAMPLING)
    assert model.calibration is not None, "check_interval comes first"  # noqa: S101
    if half == 0:
        return model.calibration.interval(score, level, model.name)
    wide = model.calibration.interval(score, level + 1 - LEVEL, model.name)
    return Interval(level, max(0.0, wide.low - half), min(100.0, wide.high + half), BOTH)


def is_inside(model: Model, features: npt.NDArray[np.float64]) -> bool | None:
    """Whether a clip's mean features `[d]` are in the training region; None where unknown."""
    return None if model.calibration is None else model.calibration.region.holds(features)


def in_short(interval: Interval | None, inside: bool | None) -> str:
    """The same for a cell of a table; empty where nothing was asked for and nothing is amiss."""
    bounds = "" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"
    return ", ".join(filter(None, [bounds, "outside training" if inside is False else ""]))


def in_words(
    score: float,
    measured: tuple[int, int] | None,
    interval: Interval | None,
    inside: bool | None,
    label_scale: LabelScale | None,
    label: str | None = None,
) -> list[str]:
    """How sure a score is, a line a fact.

    Args:
        measured: frames measured and frames of the clip, where they differ in principle.
        inside: the training region; None where unknown.
        label_scale: the worst and the best vote, for a model of votes.
        label: what the model learnt, where that is known.
    """
    lines = []
    if measured is not None and measured[0] == measured[1]:
        lines.append(f"{score:.2f}: the mean of {measured[1]} frames, of which none was left out")
    elif measured is not None:
        lines.append(
            f"{score:.2f}: the mean of {measured[1]} frames, from {measured[0]} of them (the table "
            f"is of these)"
        )
    if interval is not None and interval.low < interval.high:
        text = f"{100 * interval.level:g} % interval {interval.low:.2f} to {interval.high:.2f}"
        if label_scale is not None:
            low, high = from_hundred(np.array([interval.low, interval.high]), label_scale)
            text += f" ({low:.2f} to {high:.2f} as people vote)"
        line = f"{text}, {interval.kind}"
        if label_scale is None and interval.kind != SAMPLING:
            line += f": how near the model imitates {label or 'its teacher'}, not what viewers say"
        lines.append(line)
    if inside is False:
        lines.append("outside the training region: unlike the clips that the model learnt from")
    return lines


@dataclasses.dataclass(frozen=True)
class ClipInterval:
    """A clip's score and its interval, beside its label; points."""

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
        level: as asked for.
        held: the share of clips whose label their interval holds.
        mean_width: points.
        clips: in the table's order.
    """

    level: float
    held: float
    mean_width: float
    clips: list[ClipInterval]


def check_intervals(model: Model, label: str, level: float) -> Calibration:
    """The calibration of a model whose intervals are to be of `label`, before any row is scored.

    Raises:
        InputError: as `check_interval`; or the model is calibrated on another label.
    """
    calibration = check_interval(model, level, within=False)
    if model.label != label:
        raise InputError(
            f"{model.name}: its intervals are of {model.label}, and cannot be held against "
            f"{label}; name that label, or drop --interval."
        )
    return calibration


def clip_intervals(model: Model, table: FeatureTable, label: str, level: float) -> ClipIntervals:
    """The intervals of a table's clips, and how often they hold the label.

    A clip's label is that of its frames by the model's own pooling, as in the calibration, within
    0-100 as its score is.

    Raises:
        InputError: as `check_intervals`, or the table has no such label.
    """
    calibration = check_intervals(model, label, level)
    rows, labels = rows_of_clips(table), table.label(label)
    if model.pooling == OVER_FRAMES:
        scores = np.array([model.clip_score(table.features[r]) for r in rows])
    else:
        per_frame = model(table.features)
        scores = np.array([model.clip_score(table.features[r], per_frame[r]) for r in rows])
    pooling = "mean" if model.pooling == OVER_FRAMES else model.pooling
    true = np.clip([pool(labels[r], pooling if len(r) > 1 else "mean") for r in rows], 0, 100)
    low, high = calibration.profile.bounds(scores, level)
    ends = zip(true.tolist(), scores.tolist(), low.tolist(), high.tolist(), strict=True)
    return ClipIntervals(
        level=level,
        held=float(np.mean((low <= true) & (true <= high))),
        mean_width=float(np.mean(high - low)),
        clips=[
            ClipInterval(str(table.source[r[0]]), str(table.clip[r[0]]), *entry)
            for r, entry in zip(rows, ends, strict=True)
        ],
    )
