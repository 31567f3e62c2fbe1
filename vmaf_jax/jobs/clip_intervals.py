"""A model's intervals of a table's clips, held against their labels."""

import dataclasses

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.export.calibration import Calibration
from vmaf_jax.features.clips import rows_of_clips
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.jobs.how_sure import check_interval
from vmaf_jax.jobs.model import Model
from vmaf_jax.models.pooled import OVER_FRAMES, pool


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
