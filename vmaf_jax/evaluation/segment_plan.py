"""A stratified sample of a video's segments, and scores of the whole estimated from it.

A video is cut into segments of about half a second. They are ordered by how hard they are to
encode, and drawn systematically along that order, one from each stratum of equal size: hard and
easy parts are in the sample as they are in the video. A statistic is estimated from the drawn
frames, and its error from pseudo-values of the delete-one jackknife, in that order,

    p_i = n T - (n - 1) T_(-i)        variance = (1 - f) / n * sum (p_(i+1) - p_i)^2 / (2 (n - 1))

f is the share of segments drawn. Of a mean p_i are the means of segments, and this is the variance
of a systematic sample by successive differences.
Sources: Cochran, "Sampling techniques" (1977), 8 (systematic sampling); Wolter, "Introduction to
variance estimation" (2007), 4 (jackknife), 8.2 (successive differences).
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_SECONDS = 0.6  # of a segment, and of a shot: a shorter one joins its neighbour
_LEAST_SEGMENTS, _MOST_SEGMENTS = 8, 60  # drawn
_SHARE = 0.08  # of the segments that are drawn, within those limits
_LEAST_GAIN = 4  # segments for each drawn one, below which the whole video is encoded as soon


@dataclasses.dataclass(frozen=True)
class SegmentPlan:
    """Segments of a video that stand for the whole.

    Attributes:
        segments: First frame and number of frames of each, in the order of the video.
        order: Their places in `segments`, from easy to hard to encode, `[n]`.
        share: Of all segments, those drawn.
    """

    segments: tuple[tuple[int, int], ...]
    order: tuple[int, ...]
    share: float

    @property
    def n_frames(self) -> int:
        """Frames of all segments."""
        return sum(length for _, length in self.segments)

    def rows(self) -> list[slice]:
        """Returns the frames of each segment within the segments joined, in `order`."""
        ends = np.cumsum([length for _, length in self.segments])
        rows = [slice(int(e) - n, int(e)) for e, (_, n) in zip(ends, self.segments, strict=True)]
        return [rows[k] for k in self.order]


def plan_segments(difficulty: Floats, rate: float, *, seed: int = 0) -> SegmentPlan | None:
    """Draws segments of a video.

    Args:
        difficulty: Of each frame: the more, the harder it is to encode, `[n]`.
        rate: Frames per second.

    Returns:
        The plan; None for a video so short that the whole is encoded as soon.
    """
    count = max(1, round(len(difficulty) / _segment_frames(rate)))
    edges = np.linspace(0, len(difficulty), count + 1).round().astype(int)
    n = int(np.clip(round(_SHARE * count), _LEAST_SEGMENTS, _MOST_SEGMENTS))
    if count < _LEAST_GAIN * n:
        return None
    hard = np.add.reduceat(difficulty, edges[:-1]) / np.diff(edges)
    ranked = np.argsort(hard, kind="stable")
    start = np.random.default_rng(seed).uniform(0, count / n)
    drawn = ranked[(start + np.arange(n) * count / n).astype(int)]
    in_order = np.sort(drawn)
    return SegmentPlan(
        segments=tuple((int(edges[k]), int(edges[k + 1] - edges[k])) for k in in_order),
        order=tuple(int(k) for k in np.searchsorted(in_order, drawn)),
        share=n / count,
    )


def merge_shots(n_frames: int, cuts: Sequence[int], rate: float) -> list[int]:
    """Returns the first frames of shots, those below a segment's length joined to a neighbour."""
    least = _segment_frames(rate)
    starts = [0]
    for cut in cuts:
        if cut - starts[-1] >= least:
            starts.append(cut)
    if len(starts) > 1 and n_frames - starts[-1] < least:
        starts.pop()
    return starts


def plan_whole(n_frames: int) -> SegmentPlan:
    """Returns the plan whose only segment is the whole video."""
    return SegmentPlan(((0, n_frames),), (0,), 1.0)


def estimate_statistic(
    statistic: Callable[[Sequence[int]], float], n: int, share: float
) -> tuple[float, float]:
    """Estimates a statistic of a whole video and its standard error.

    Args:
        statistic: Of some segments, given by their places along the order of difficulty.
        n: Number of segments, at least 3 where some were not drawn.
        share: Of all segments, those drawn.
    """
    every = list(range(n))
    total = statistic(every)
    if share == 1:
        return total, 0.0
    left_out = np.array([statistic([j for j in every if j != k]) for k in every])
    pseudo = n * total - (n - 1) * left_out
    variance = (1 - share) / n * float(np.sum(np.diff(pseudo) ** 2)) / (2 * (n - 1))
    return total, float(np.sqrt(variance))


def _segment_frames(rate: float) -> int:
    """Returns the usual length of a segment, frames."""
    return max(8, round(_SECONDS * rate))
