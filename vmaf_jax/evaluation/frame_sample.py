"""The mean score over a clip's frames, from some of them: stratified, with regression on all.

Frames of a clip are alike within a shot and differ between shots, so that neither a naive standard
error nor every k-th frame will do: encoders repeat a pattern every few frames, which a fixed step
may hit at the same place each time. Here shots are cut into blocks of at most `BLOCK` frames, and
frames are drawn at random within every block. A cheap covariate x that is known of all frames
(luma's PSNR) takes up most of what varies within a block:

    mean = sum_h W_h (y_h + b (X_h - x_h))        W_h = N_h / N
    variance = sum_h W_h^2 (1 - n_h / N_h) s_h^2 / n_h

y_h, x_h are means of the frames drawn in block h, X_h that of all its frames, b the pooled slope
within blocks, s_h^2 the variance of y - b x in the block (divisor n_h - 1), widened by the degrees
of freedom that b takes. The interval is Student's t with Satterthwaite's degrees of freedom.
Source: Cochran, "Sampling techniques" (1977), 5.4 (stratified means, degrees of freedom) and 7.11
(combined regression estimate).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BLOCK = 16  # frames
FIRST = 2  # frames of each block in the first look: as few as have a variance
LEVEL = 0.95
LOOKS = 3  # that may stop early; after them every frame is measured
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


def blocks(n_frames: int, cuts: Sequence[int]) -> list[Ints]:
    """The frames of each block, in order.

    Args:
        n_frames: of the clip.
        cuts: first frames of new shots.
    """
    starts = [0]
    for cut in sorted(set(cuts)):
        if cut - starts[-1] >= _SHORTEST_SHOT and n_frames - cut >= _SHORTEST_SHOT:
            starts.append(cut)
    edges = []
    for start, end in zip(starts, [*starts[1:], n_frames], strict=True):
        count = -(-(end - start) // BLOCK)
        edges += np.linspace(start, end, count + 1).round().astype(np.int64)[:-1].tolist()
    return [np.arange(start, end) for start, end in zip(edges, [*edges[1:], n_frames], strict=True)]


class Draw:
    """Frames drawn at random in every block, of which more can be taken later."""

    def __init__(self, block: Sequence[Ints], seed: int) -> None:
        """Orders each block's frames at random; `FIRST` of each are taken."""
        rng = np.random.default_rng(seed)
        self._order = [rng.permutation(frames) for frames in block]
        self._count = [min(FIRST, len(frames)) for frames in block]

    @property
    def taken(self) -> list[Ints]:
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
    taken: Sequence[Ints], block: Sequence[Ints], score: Floats, covariate: Floats
) -> Estimate:
    """The mean over all frames and the half-width of its interval at `LEVEL`.

    Each of the `LOOKS` looks has its share of the error, so that stopping at the first that is
    narrow enough costs no coverage.

    Args:
        taken: the frames measured in each block.
        block: all frames of each block.
        score: of frames, `[n]`; only those taken are read.
        covariate: of all frames, `[n, q]`.
    """
    n = sum(map(len, block))
    if all(len(t) == len(b) for t, b in zip(taken, block, strict=True)):
        return Estimate(float(np.mean(score[np.concatenate(list(block))])), 0.0)
    slope, widening = _slope(taken, score, covariate)
    mean, parts, freedom = 0.0, [], []
    for chosen, frames in zip(taken, block, strict=True):
        weight = len(frames) / n
        rest = score[chosen] - covariate[chosen] @ slope
        mean += weight * float(rest.mean() + covariate[frames].mean(axis=0) @ slope)
        if len(chosen) < len(frames):
            unmeasured = 1 - len(chosen) / len(frames)
            spread = float(np.var(rest, ddof=1)) * widening
            parts.append(weight**2 * unmeasured * spread / len(chosen))
            freedom.append(len(chosen) - 1.0)
    return Estimate(mean, _half_width(np.array(parts), np.array(freedom)))


def _slope(taken: Sequence[Ints], score: Floats, covariate: Floats) -> tuple[Floats, float]:
    """The pooled slope within blocks `[q]`, and the widening of variances that it costs.

    No slope (zeros) where there are too few frames to tell one.
    """
    y = np.concatenate([score[t] - score[t].mean() for t in taken])
    x = np.concatenate([covariate[t] - covariate[t].mean(axis=0) for t in taken])
    freedom, q = len(y) - len(taken), covariate.shape[1]
    if freedom < _FREEDOM_PER_SLOPE * q or q == 0:
        return np.zeros(q), 1.0
    return np.linalg.lstsq(x, y, rcond=None)[0], freedom / (freedom - q)


def _half_width(parts: Floats, freedom: Floats) -> float:
    from scipy.special import stdtrit

    total = float(parts.sum())
    if total == 0:
        return 0.0
    effective = total**2 / float(np.sum(np.square(parts) / freedom))
    level = 1 - (1 - LEVEL) / LOOKS
    return float(stdtrit(effective, (1 + level) / 2)) * float(np.sqrt(total))
