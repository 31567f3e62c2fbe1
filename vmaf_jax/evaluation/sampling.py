"""Stratified samples of a video, of frames or of segments, and what they tell of the whole.

Frames. The mean score of a clip is estimated by regression. Frames of a clip are alike within a
shot and differ between shots, so a naive standard error is wrong. A fixed step is wrong too:
encoders repeat a pattern every few frames, and a step may meet it at the same place each time. Here
one frame is drawn at random in each cell of a few frames, before anything is known of the clip.
Frame 0, which has no motion, is always taken and is a block of its own. Once the shots are known,
they are cut between cells into blocks that hold at least two drawn frames, and more frames are
drawn at random within blocks where those do not suffice. A cheap covariate x that is known of all
frames (PSNR of luma, say) explains most of the variance within a block:

    mean = sum_h W_h (y_h + b (X_h - x_h))        W_h = N_h / N
    variance = sum_h W_h^2 (1 - n_h / N_h) s_h^2 / n_h

y_h, x_h are means of the frames drawn in block h, X_h that of all its frames, b the pooled slope
within blocks, s_h^2 the variance of y - b x in the block (divisor n_h - 1), widened by the degrees
of freedom that b takes. The interval is Student's t with Satterthwaite's degrees of freedom. That
cells were drawn from, not whole blocks, makes the variance smaller than that, if anything.
Source: Cochran, "Sampling techniques" (1977), 5.4 (stratified means, degrees of freedom), 5A.9
(strata known after the draw) and 7.11 (combined regression estimate).

Segments. A video is cut into segments of about half a second. They are ordered by how hard they are
to encode, and drawn systematically along that order, one from each stratum of equal size: hard and
easy parts are in the sample as they are in the video. A statistic is estimated from the drawn
frames, and its error from pseudo-values of the delete-one jackknife, in that order,

    p_i = n T - (n - 1) T_(-i)        variance = (1 - f) / n * sum (p_(i+1) - p_i)^2 / (2 (n - 1))

f is the share of segments drawn. Of a mean p_i are the means of segments, and this is the variance
of a systematic sample by successive differences.
Sources: Cochran, 8 (systematic sampling); Wolter, "Introduction to variance estimation" (2007), 4
(jackknife), 8.2 (successive differences).
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CELL = 6  # frames, of which one is drawn
N_CELLS = 256  # after which the draw repeats itself: 768 frames or more, a period of no encoder
LEVEL = 0.95
LOOKS = 2  # interim estimates that may stop early; after them every frame is measured
_SHORTEST_SHOT = 4  # frames; a shorter one joins its neighbour
_SAFETY = 1.1  # on the variance that the second look plans with
_ALL_ABOVE = 0.6  # share of frames above which measuring all is as quick
_FREEDOM_PER_SLOPE = 4  # degrees of freedom that each covariate needs
_SECONDS = 0.6  # of a segment, and of a shot: a shorter one joins its neighbour
_LEAST_SEGMENTS, _MOST_SEGMENTS = 8, 60  # drawn
_SHARE = 0.08  # of the segments that are drawn, within those limits
_LEAST_GAIN = 4  # segments for each drawn one, below which the whole video is encoded as soon


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimate of a clip's mean score.

    Attributes:
        mean: points.
        half_width: of its interval at `LEVEL`, points; 0 when every frame was measured.
    """

    mean: float
    half_width: float


def draw_offsets(seed: int, cell: int = CELL) -> Ints:
    """Draws the frame of each cell, 0 to `cell - 1`, `[N_CELLS]`."""
    return np.random.default_rng(seed).integers(0, cell, N_CELLS)


def split_blocks(
    n_frames: int, cuts: Sequence[int], drawn: Sequence[int], cell: int = CELL
) -> list[Ints]:
    """Splits a clip into blocks of frames: frame 0 alone, then parts of shots, in order.

    Args:
        n_frames: of the clip, more than two cells.
        cuts: first frames of new shots.
        drawn: frames drawn before the first estimate, increasing, 0 the first.
        cell: frames, of which one is drawn.
    """
    cell_frames = np.asarray(drawn)[1:]

    def holds_two(start: int, end: int) -> bool:
        return bool(np.diff(np.searchsorted(cell_frames, (start, end)))[0] >= 2)

    starts = [1]
    for cut in sorted(set(cuts)):
        if cut - starts[-1] >= _SHORTEST_SHOT and n_frames - cut >= _SHORTEST_SHOT:
            starts += [cut] if holds_two(starts[-1], cut) else []
    if len(starts) > 1 and not holds_two(starts[-1], n_frames):
        starts.pop()
    edges = []
    for start, end in zip(starts, [*starts[1:], n_frames], strict=True):
        edges.append(start)
        for edge in range(start + cell - (start - 1) % cell, end, cell):
            if holds_two(edges[-1], edge) and holds_two(edge, end):
                edges.append(edge)
    ends = [*edges[1:], n_frames]
    parts = [np.arange(start, end) for start, end in zip(edges, ends, strict=True)]
    return [np.zeros(1, np.int64), *parts]


class FrameSample:
    """Frames taken of every block, and the random order in which more are taken."""

    def __init__(self, blocks: Sequence[Ints], drawn: Sequence[int], seed: int) -> None:
        """Starts with `drawn`: two frames or more of each block but that of frame 0."""
        rng = np.random.default_rng(seed)
        first = [np.intersect1d(frames, drawn) for frames in blocks]
        self._count = [len(frames) for frames in first]
        self._order = [
            np.concatenate([taken, rng.permutation(np.setdiff1d(frames, taken))])
            for taken, frames in zip(first, blocks, strict=True)
        ]

    @property
    def sample(self) -> list[Ints]:
        """Frames taken of each block, sorted."""
        return [np.sort(o[:n]) for o, n in zip(self._order, self._count, strict=True)]

    @property
    def n(self) -> int:
        """Number of frames taken."""
        return sum(self._count)

    @property
    def n_frames(self) -> int:
        """Number of frames of the clip."""
        return sum(map(len, self._order))

    def grow(self, half_width: float, within: float) -> None:
        """Takes as many more frames as should narrow the interval from `half_width` to `within`."""
        # The variance is proportional to 1/n - 1/N, with the finite population of N frames.
        here = 1 / self.n - 1 / self.n_frames
        needed = 1 / (here * (within / half_width) ** 2 / _SAFETY + 1 / self.n_frames)
        share = needed / self.n_frames
        if share > _ALL_ABOVE:
            return self.take_all()
        for k, frames in enumerate(self._order):
            wanted = max(self._count[k], int(np.ceil(share * len(frames))))
            self._count[k] = min(len(frames), wanted)
        return None

    def take_all(self) -> None:
        """Takes every frame."""
        self._count = [len(frames) for frames in self._order]


def estimate_mean(
    sample: Sequence[Ints], blocks: Sequence[Ints], score: Floats, covariate: Floats
) -> Estimate:
    """Estimates the mean over all frames and the half-width of its interval at `LEVEL`.

    Each of the `LOOKS` interim estimates has its share of the error, so that stopping at the first
    that is narrow enough costs no coverage.

    Args:
        sample: the frames measured in each block.
        blocks: all frames of each block.
        score: of frames, `[n]`; only those of the sample are read.
        covariate: of all frames, `[n, q]`, the most predictive column first.
    """
    n = sum(map(len, blocks))
    if all(len(t) == len(b) for t, b in zip(sample, blocks, strict=True)):
        return Estimate(float(np.mean(score[np.concatenate(list(blocks))])), 0.0)
    slope, widening = _slope(sample, score, covariate)
    mean, parts, freedom = 0.0, [], []
    for chosen, frames in zip(sample, blocks, strict=True):
        weight = len(frames) / n
        rest = score[chosen] - covariate[chosen] @ slope
        mean += weight * float(rest.mean() + covariate[frames].mean(axis=0) @ slope)
        if len(chosen) < len(frames):
            unmeasured = 1 - len(chosen) / len(frames)
            spread = float(np.var(rest, ddof=1)) * widening
            parts.append(weight**2 * unmeasured * spread / len(chosen))
            freedom.append(len(chosen) - 1.0)
    return Estimate(mean, _half_width(np.array(parts), np.array(freedom)))


def stratified_mean(sample: Sequence[Ints], blocks: Sequence[Ints], values: Floats) -> Floats:
    """Estimates means over all frames `[d]` without regression; `values` `[n, d]` of the sample."""
    weight = np.array([len(frames) for frames in blocks]) / sum(map(len, blocks))
    return np.asarray(weight @ np.stack([values[chosen].mean(axis=0) for chosen in sample]))


def _slope(sample: Sequence[Ints], score: Floats, covariate: Floats) -> tuple[Floats, float]:
    """Fits the pooled slope within blocks `[q]`, and the factor by which it widens variances.

    Slopes of the last columns are zero where there are too few frames to fit all of them.
    """
    y = np.concatenate([score[t] - score[t].mean() for t in sample])
    x = np.concatenate([covariate[t] - covariate[t].mean(axis=0) for t in sample])
    freedom = len(y) - len(sample)
    q = min(covariate.shape[1], freedom // _FREEDOM_PER_SLOPE)
    slope = np.zeros(covariate.shape[1])
    if q > 0:
        slope[:q] = np.linalg.lstsq(x[:, :q], y, rcond=None)[0]
    return slope, freedom / (freedom - q) if q > 0 else 1.0


def _half_width(parts: Floats, freedom: Floats) -> float:
    """Computes the half-width from variances of the blocks, by Satterthwaite's freedom."""
    from scipy.special import stdtrit

    total = float(parts.sum())
    if total == 0:
        return 0.0
    effective = total**2 / float(np.sum(np.square(parts) / freedom))
    level = 1 - (1 - LEVEL) / LOOKS
    return float(stdtrit(effective, (1 + level) / 2)) * float(np.sqrt(total))


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
