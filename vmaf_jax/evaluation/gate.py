"""Limits on scores, and drops from an earlier score that exceed noise.

A drop is between two encodes of one source, frame by frame. Its interval is a circular block
bootstrap: blocks of one second are drawn with replacement, the same ones from both encodes, and
each draw is pooled. If some seconds lose what others gain, the interval includes 0. The worst
second and the worst shot are one moment each, so their drops have no interval.
Source: Politis and Romano, "A circular block-resampling procedure for stationary data" (1992).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import PERCENTILES, check_pool, pool_clip

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
_DRAWS = 400  # ten of them beyond each end of the interval
_LEAST_BLOCKS = 4  # of a clip; shorter ones are cut into blocks of less than a second
_ROUNDING = 1e-3  # points, by which builds of libvmaf differ on the same pair
_RATE = 25.0  # frames per second, where files have none


class Limit(NamedTuple):
    """A number of points, of the clip's score or of one of its poolings.

    Attributes:
        pool: One of `POOLS`; None is the clip's score, pooled as it is.
        points: VMAF points.
    """

    pool: str | None
    points: float


class Drop(NamedTuple):
    """How far a clip's score fell, VMAF points; below 0 where it rose.

    Attributes:
        points: Earlier score less the later one.
        low, high: Ends of its interval at `LEVEL`; both `points` where it has none.
    """

    points: float
    low: float
    high: float

    @classmethod
    def exactly(cls, points: float) -> "Drop":
        """Returns a drop without an interval."""
        return cls(points, points, points)

    def is_beyond(self, most: float) -> bool:
        """Tells whether it is more than `most` points, and certain to be a drop."""
        return self.points > most and self.low > _ROUNDING

    def widen(self, half_width: float) -> "Drop":
        """Returns the drop with an interval that is wider by `half_width` points at both ends."""
        return Drop(self.points, self.low - half_width, self.high + half_width)


def parse_limits(text: str, flag: str) -> tuple[Limit, ...]:
    """Parses limits such as `90` or `p5=75,worst-second=60`; a lone number is of the clip's score.

    Raises:
        InputError: A limit is no number from 0 to 100, is of an unknown pooling, or is there twice;
            the message begins with `flag`.
    """
    limits = []
    for part in text.split(","):
        name, equals, number = part.strip().rpartition("=")
        if equals:
            check_pool(name, flag)
        try:
            points = float(number)
        except ValueError:
            points = math.nan
        if not 0 <= points <= 100:
            raise InputError(
                f"{flag} {text}: {part.strip()!r} is no limit; write points from 0 to 100, as 90, "
                f"or with a pooling, as p5=75,worst-second=60."
            )
        limits.append(Limit(name if equals else None, points))
    if len({limit.pool for limit in limits}) < len(limits):
        raise InputError(f"{flag} {text}: has two limits of one pooling; drop one of them.")
    return tuple(limits)


def paired_drop(earlier: Floats, later: Floats, pool: str, rate: float | None) -> Drop:
    """Computes how far the score of the same frames fell, with an interval.

    Args:
        earlier, later: Scores of the clip's frames, `[frames]` each, VMAF points.
        pool: One of `POOLS`, but not a moment.
        rate: Frames per second; None where it is unknown.
    """
    n = len(earlier)
    points = pool_clip(earlier, pool).score - pool_clip(later, pool).score
    length = max(1, min(round(rate or _RATE), n // _LEAST_BLOCKS))
    rng = np.random.default_rng(0)
    drops = np.empty(_DRAWS)
    for k in range(_DRAWS):
        starts = rng.integers(n, size=math.ceil(n / length))
        drawn = ((starts[:, None] + np.arange(length)) % n).ravel()[:n]
        drops[k] = pool_clip(earlier[drawn], pool).score - pool_clip(later[drawn], pool).score
    low, high = np.quantile(drops, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Drop(points, float(low), float(high))


def has_interval(pool: str) -> bool:
    """Tells whether drops by a pooling have an interval: those of moments have none."""
    return pool in ("mean", "harmonic", *PERCENTILES)
