"""Held-out predictions of rows to residuals of clips, that intervals are made of."""

from collections.abc import Mapping

import numpy as np

from vmaf_jax.evaluation.conformal import Residuals
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.features.texts import Codes, combine, encode
from vmaf_jax.models.pooled import OVER_FRAMES, pool


def residuals_of(
    held_out: HeldOut, external: Mapping[str, HeldOut], pooling: str
) -> Residuals | None:
    """Residuals of clips that were predicted without their source.

    Args:
        held_out: every fold's predictions, rows of frames or of clips.
        external: predictions of the final student on corpora that it did not learn from; their
            sources come after those of `held_out`.
        pooling: of frames to a clip, by its full name.

    Returns:
        None where the rows are frames, and the model takes a clip's frames together.
    """
    parts = {"": held_out, **external}
    of_clips = [is_of_clips(rows) for rows in parts.values()]
    if pooling == OVER_FRAMES and not all(of_clips):
        return None
    numbers: dict[tuple[str, str], int] = {}
    source, predicted, label = [], [], []
    for name, rows in parts.items():
        group = _clip_of(rows)
        order = np.argsort(group, kind="stable")  # rows of a clip keep their order
        for own in np.split(order, np.cumsum(np.bincount(group))[:-1]):
            how = pooling if len(own) > 1 else "mean"
            source.append(numbers.setdefault((name, rows.source[own[0]]), len(numbers)))
            predicted.append(pool(rows.predicted[own], how))
            label.append(pool(rows.label[own], how))
    labels = np.clip(np.array(label), 0, 100)
    return Residuals(np.array(source, np.int64), np.array(predicted), labels)


def is_of_clips(rows: HeldOut) -> bool:
    """Whether no clip has two rows of a seed."""
    return count_clips(rows) == len(rows.label)


def count_clips(rows: HeldOut) -> int:
    """How many clips the rows are of, each counted once a seed."""
    return int(_clip_of(rows).max(initial=-1)) + 1


def _clip_of(rows: HeldOut) -> Codes:
    """The number of each row's clip and seed, by first appearance, `[n]`."""
    return combine(encode(rows.source)[1], encode(rows.clip)[1], rows.seed)
