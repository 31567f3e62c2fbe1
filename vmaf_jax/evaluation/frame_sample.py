"""Estimates of a clip's mean score from a stratified sample of its frames, with regression.

Frames of a clip are alike within a shot and differ between shots, so a naive standard error is
wrong. A fixed step is wrong too: encoders repeat a pattern every few frames, and a step may meet it
at the same place each time. Here one frame is drawn at random in each cell of a few frames, before
anything is known of the clip. Frame 0, which has no motion, is always taken and is a block of its
own. Once the shots are known, they are cut between cells into blocks that hold at least two drawn
frames, and more frames are drawn at random within blocks where those do not suffice. A cheap
covariate x that is known of all frames (PSNR of luma, say) explains most of the variance within a
block:

    mean = sum_h W_h (y_h + b (X_h - x_h))        W_h = N_h / N
    variance = sum_h W_h^2 (1 - n_h / N_h) s_h^2 / n_h

y_h, x_h are means of the frames drawn in block h, X_h that of all its frames, b the pooled slope
within blocks, s_h^2 the variance of y - b x in the block (divisor n_h - 1), widened by the degrees
of freedom that b takes. The interval is Student's t with Satterthwaite's degrees of freedom. That
cells were drawn from, not whole blocks, makes the variance smaller than that, if anything.
Source: Cochran, "Sampling techniques" (1977), 5.4 (stratified means, degrees of freedom), 5A.9
(strata known after the draw) and 7.11 (combined regression estimate).
"""

import dataclasses
from collections.abc import Sequence

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
