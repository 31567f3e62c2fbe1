"""Held-out predictions of rows to residuals of clips, that intervals are made of."""

from collections.abc import Mapping

import numpy as np

from vmaf_jax.evaluation.conformal import Residuals
from vmaf_jax.evaluation.cross_validation import HeldOut
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
    clips: dict[tuple[str, str, str, int], list[int]] = {}
    for name, rows in parts.items():
        for k, key in enumerate(zip(rows.source, rows.clip, rows.seed.tolist(), strict=True)):
            clips.setdefault((name, *key), []).append(k)
    numbers = {key: k for k, key in enumerate(dict.fromkeys(key[:2] for key in clips))}
    predicted, label = (
        np.array(
            [
                pool(getattr(parts[key[0]], field)[rows], pooling if len(rows) > 1 else "mean")
                for key, rows in clips.items()
            ]
        )
        for field in ("predicted", "label")
    )
    source = np.array([numbers[key[:2]] for key in clips], dtype=np.int64)
    return Residuals(source, predicted, np.clip(label, 0, 100))


def is_of_clips(rows: HeldOut) -> bool:
    """Whether no clip has two rows of a seed."""
    return count_clips(rows) == len(rows.label)


def count_clips(rows: HeldOut) -> int:
    """How many clips the rows are of, each counted once a seed."""
    return len(set(zip(rows.source, rows.clip, rows.seed.tolist(), strict=True)))
