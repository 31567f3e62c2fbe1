"""Poolings: from the scores of a clip's frames to the clip's, as a user or a model chooses.

`--pool` has means, percentiles, the worst second and the worst shot. A model's own pooling goes by
the name that its sidecar gives, such as `percentile 90`.

Scores are of frames in order, `[frames]`, VMAF points. Percentiles are NumPy's, linear between
ranks. The harmonic mean is libvmaf's, `1 / mean(1 / (s + 1)) - 1`, which bears zeros. The worst
second is the window of one second with the lowest mean, wherever it starts; the worst shot is the
shot with the lowest mean.

Loads no JAX for the poolings of shipped models, which score where it is not installed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, did_you_mean

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer]
PERCENTILES = {"p1": 1.0, "p5": 5.0, "p10": 10.0, "median": 50.0}
WORST_SECOND, WORST_SHOT = "worst-second", "worst-shot"
POOLS = ("mean", "harmonic", *PERCENTILES, WORST_SECOND, WORST_SHOT)


class PooledScore(NamedTuple):
    """A clip's score by one pooling.

    Attributes:
        score: VMAF points.
        first, last: the scores that it is of, both included, counted from 0: a part of the clip for
            the worst second and shot, else the whole.
    """

    score: float
    first: int
    last: int


def pool_clip(
    per_frame: Floats,
    pool: str,
    *,
    rate: float | None = None,
    cuts: Sequence[int] = (),
    numbers: Numbers | None = None,
) -> PooledScore:
    """Pools the scores of a clip's frames `[frames]`.

    Args:
        pool: One of `POOLS`.
        rate: Frames per second, for the worst second. A clip that is shorter is pooled whole.
        cuts: First scores of new shots, rising, for the worst shot.
        numbers: Of the frames `[frames]`, rising, where some have no score; a second is so many
            numbers, not so many scores.

    Raises:
        InputError: The pooling is unknown, or is the worst second and there is no rate.
    """
    check_pool(pool)
    if pool == WORST_SECOND:
        if rate is None:
            raise InputError(
                f"--pool {WORST_SECOND}: the reference has no frame rate, so a second has no "
                f"number of frames; choose another pooling, or a file with time stamps."
            )
        length = max(1, round(rate))
        if numbers is None or int(numbers[-1] - numbers[0]) == len(numbers) - 1:
            return _worst_window(per_frame, length)
        return _worst_window_of_some(per_frame, numbers - numbers[0], length)
    if pool == WORST_SHOT:
        return _worst_part(per_frame, [0, *cuts])
    if pool in PERCENTILES:
        value = float(np.percentile(per_frame, PERCENTILES[pool]))
    elif pool == "harmonic":
        value = float(1 / np.mean(1 / (per_frame + 1)) - 1)
    else:
        value = float(np.mean(per_frame))
    return PooledScore(value, 0, len(per_frame) - 1)


def check_pool(pool: str, flag: str = "--pool") -> None:
    """Raises InputError where a pooling, which `flag` named, is none of `POOLS`."""
    if pool not in POOLS:
        raise InputError(
            f"{flag} {pool}: no such pooling; expected one of {', '.join(POOLS)}."
            f"{did_you_mean(pool, POOLS)}"
        )


def _worst_window(per_frame: Floats, length: int) -> PooledScore:
    """Finds the first of the windows of `length` frames whose mean is lowest."""
    length = min(length, len(per_frame))
    # Windows one by one, not differences of running sums, whose rounding grows with the clip.
    means = np.lib.stride_tricks.sliding_window_view(per_frame, length).mean(axis=1)
    first = int(np.argmin(means))
    return PooledScore(float(means[first]), first, first + length - 1)


def _worst_window_of_some(per_frame: Floats, numbers: Numbers, length: int) -> PooledScore:
    """Finds the worst window of `length` numbers, of those with at least half of the most scores.

    A window of which nearly all frames were dropped is no second: its mean is that of a few.
    """
    scores, known = np.zeros((2, int(numbers[-1]) + 1))
    scores[numbers], known[numbers] = per_frame, 1
    length = min(length, len(scores))
    sums, counts = (
        np.lib.stride_tricks.sliding_window_view(values, length).sum(axis=1)
        for values in (scores, known)
    )
    means = np.where(2 * counts >= counts.max(), sums / np.maximum(counts, 1), np.inf)
    start = int(np.argmin(means))
    first, end = np.searchsorted(numbers, [start, start + length]).tolist()
    return PooledScore(float(means[start]), first, end - 1)


def _worst_part(per_frame: Floats, starts: Sequence[int]) -> PooledScore:
    """Finds the first of the parts that begin at `starts` whose mean is lowest."""
    sums = np.add.reduceat(per_frame, starts)
    ends = [*starts[1:], len(per_frame)]
    means = sums / (np.array(ends) - np.array(starts))
    worst = int(np.argmin(means))
    return PooledScore(float(means[worst]), int(starts[worst]), int(ends[worst]) - 1)


_LEVELLED = ("percentile", "soft_percentile")
_NAMES = ("mean", "harmonic_mean", "minkowski", *_LEVELLED)
OVER_FRAMES = "attention"  # a network's own pooling, inside its graph


def check_pooling(name: object, where: str) -> str:
    """Returns `name`, the full name of a pooling, with its level where it has one.

    Raises:
        InputError: It is none; the message begins with `where`.
    """
    words = name.split() if isinstance(name, str) else []
    if words and words[0] in _LEVELLED and len(words) == 2 and _is_level(words[1]):
        return str(name)
    if name in _NAMES[:3] or name == OVER_FRAMES:
        return str(name)
    raise InputError(
        f"{where}: pooling {name!r}: expected {', '.join(_NAMES)} (percentiles with their level, "
        f"as 'percentile 90') or {OVER_FRAMES}; export the model again."
    )


def _is_level(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and 0 <= float(text) <= 100


def apply_pooling(scores: npt.NDArray[np.float64], name: str) -> float:
    """Returns the score of a clip from its frames' `[t]`, VMAF points, by a pooling's full name."""
    kind, *level = name.split()
    # Those of the shipped models, by NumPy: a light install scores with them too.
    if kind == "mean":
        return float(np.mean(scores))
    if kind == "percentile":
        return float(np.percentile(scores, float(level[0])))
    import jax.numpy as jnp

    from vmaf_jax.models.frame_pooling import POOLINGS

    row = jnp.asarray(scores, jnp.float32)[None]
    pooled = POOLINGS[kind](row, jnp.ones_like(row), float(level[0]) if level else 0.0)
    return float(pooled[0])
