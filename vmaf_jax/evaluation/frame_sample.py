"""The mean score over a clip's frames, from some of them: stratified, with regression on all.

Frames of a clip are alike within a shot and differ between shots, so that neither a naive standard
error nor every k-th frame will do: encoders repeat a pattern every few frames, which a fixed step
may hit at the same place each time. Here one frame is drawn at random in each cell of `CELL`
frames, before anything is known of the clip. Frame 0, which has no motion, is always taken and
stands for itself. Once the shots are known, they are cut between cells into blocks that hold two
frames drawn or more, and more frames are drawn at random within blocks where those do not do. A
cheap covariate x that is known of all frames (luma's PSNR, say) takes up most of what varies within
a block:

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
N_CELLS = 256  # after which the draw repeats itself: 1,536 frames, in no step that a video has
LEVEL = 0.95
LOOKS = 2  # that may stop early; after them every frame is measured
_SHORTEST_SHOT = 4  # frames; a shorter one joins its neighbour
_SAFETY = 1.1  # on the variance that the second look plans with
_ALL_ABOVE = 0.6  # share of frames from which measuring all is as quick
_FREEDOM_PER_SLOPE = 4  # degrees of freedom that each covariate must find


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A clip's mean, and how sure it is.

    Attributes:
        mean: points.
        half_width: of its interval, points; 0 when every frame was measured.
    """

    mean: float
    half_width: float


def offsets(seed: int) -> Ints:
    """Of the frame drawn in each cell, 0 to `CELL - 1`, `[N_CELLS]`."""
    return np.random.default_rng(seed).integers(0, CELL, N_CELLS)


def blocks(n_frames: int, cuts: Sequence[int], drawn: Sequence[int]) -> list[Ints]:
    """The frames of each block, in order: frame 0 alone, then parts of shots.

    Args:
        n_frames: of the clip, more than two cells.
        cuts: first frames of new shots.
        drawn: frames of the first look, rising, 0 the first.
    """
    of_cells = np.asarray(drawn)[1:]

    def holds_two(start: int, end: int) -> bool:
        return bool(np.diff(np.searchsorted(of_cells, (start, end)))[0] >= 2)

    starts = [1]
    for cut in sorted(set(cuts)):
        if cut - starts[-1] >= _SHORTEST_SHOT and n_frames - cut >= _SHORTEST_SHOT:
            starts += [cut] if holds_two(starts[-1], cut) else []
    if len(starts) > 1 and not holds_two(starts[-1], n_frames):
        starts.pop()
    edges = []
    for start, end in zip(starts, [*starts[1:], n_frames], strict=True):
        edges.append(start)
        for edge in range(start + CELL - (start - 1) % CELL, end, CELL):
            if holds_two(edges[-1], edge) and holds_two(edge, end):
                edges.append(edge)
    parts = [np.arange(*ends) for ends in zip(edges, [*edges[1:], n_frames], strict=True)]
    return [np.zeros(1, np.int64), *parts]


class Draw:
    """The frames measured of every block, and the order in which more are to be."""

    def __init__(self, block: Sequence[Ints], drawn: Sequence[int], seed: int) -> None:
        """Starts with `drawn`, two frames or more of each block but that of frame 0."""
        rng = np.random.default_rng(seed)
        first = [np.intersect1d(frames, drawn) for frames in block]
        self._count = [len(frames) for frames in first]
        self._order = [
            np.concatenate([own, rng.permutation(np.setdiff1d(frames, own))])
            for own, frames in zip(first, block, strict=True)
        ]

    @property
    def sample(self) -> list[Ints]:
        """The frames taken of each block, sorted."""
        return [np.sort(o[:n]) for o, n in zip(self._order, self._count, strict=True)]

    @property
    def n(self) -> int:
        """How many frames are taken."""
        return sum(self._count)

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return sum(map(len, self._order))

    def grow(self, half_width: float, within: float) -> None:
        """Takes as many more as should bring the interval from `half_width` to `within`."""
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


def estimate(
    sample: Sequence[Ints], block: Sequence[Ints], score: Floats, covariate: Floats
) -> Estimate:
    """The mean over all frames and the half-width of its interval at `LEVEL`.

    Each of the `LOOKS` looks has its share of the error, so that stopping at the first that is
    narrow enough costs no coverage.

    Args:
        taken: the frames measured in each block.
        block: all frames of each block.
        score: of frames, `[n]`; only those taken are read.
        covariate: of all frames, `[n, q]`, the most telling column first.
    """
    n = sum(map(len, block))
    if all(len(t) == len(b) for t, b in zip(sample, block, strict=True)):
        return Estimate(float(np.mean(score[np.concatenate(list(block))])), 0.0)
    slope, widening = _slope(sample, score, covariate)
    mean, parts, freedom = 0.0, [], []
    for chosen, frames in zip(sample, block, strict=True):
        weight = len(frames) / n
        rest = score[chosen] - covariate[chosen] @ slope
        mean += weight * float(rest.mean() + covariate[frames].mean(axis=0) @ slope)
        if len(chosen) < len(frames):
            unmeasured = 1 - len(chosen) / len(frames)
            spread = float(np.var(rest, ddof=1)) * widening
            parts.append(weight**2 * unmeasured * spread / len(chosen))
            freedom.append(len(chosen) - 1.0)
    return Estimate(mean, _half_width(np.array(parts), np.array(freedom)))


def stratified_mean(sample: Sequence[Ints], block: Sequence[Ints], values: Floats) -> Floats:
    """Means over all frames `[d]` of what is known of those taken, `[n, d]`, without regression."""
    weight = np.array([len(frames) for frames in block]) / sum(map(len, block))
    return np.asarray(weight @ np.stack([values[chosen].mean(axis=0) for chosen in sample]))


def _slope(sample: Sequence[Ints], score: Floats, covariate: Floats) -> tuple[Floats, float]:
    """The pooled slope within blocks `[q]`, and the widening of variances that it costs.

    Zero for the last columns where there are too few frames to tell the slopes of all.
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
    from scipy.special import stdtrit

    total = float(parts.sum())
    if total == 0:
        return 0.0
    effective = total**2 / float(np.sum(np.square(parts) / freedom))
    level = 1 - (1 - LEVEL) / LOOKS
    return float(stdtrit(effective, (1 + level) / 2)) * float(np.sqrt(total))
