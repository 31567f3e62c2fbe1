"""Rate-quality curves of encodes: their convex hull, and Bjøntegaard's mean difference of rate.

A curve is `log10(rate)` as a function of the score, interpolated between its points. With `l_a`,
`l_b` of two codecs and [lo, hi] the scores that both reach,

    BD-rate = 10^d - 1,    d = 1 / (hi - lo) * integral from lo to hi of (l_b - l_a) ds

as a fraction of the first one's rate: below 0, the second needs less. Nothing outside [lo, hi] is
read, so nothing is extrapolated.
Sources: Bjøntegaard, VCEG-M33 (2001), the mean difference; JCTVC-L1100 (2013), PCHIP; Herglotz et
al., arXiv:2304.12852, Akima.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MIN_POINTS = 3  # of a curve: two would be a straight line, whatever the codec does between them
METHODS = ("pchip", "akima")
_SAMPLES = 2001  # of the overlap, where curves are looked at for crossings
_LEAST_RISE = 1e-6  # points; below, slopes of the rate over the score overflow
_LEAST_OVERLAP = 1e-3  # points; the mean over less is a rounding of two areas
_TOUCH = 1e-9  # log10 of a rate: curves this near touch, and do not cross


class NotComparableError(ValueError):
    """A curve of too few points, or two that share no score: sound encodes that tell nothing."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Points of a rate-quality curve, both rising strictly.

    Attributes:
        rate: `[n]`, kbit/s.
        score: `[n]`, 0-100.
    """

    rate: Floats
    score: Floats

    def __post_init__(self) -> None:
        """Raises ValueError where it is no curve; the message says why, without a name.

        Where points are too few it is a `NotComparableError`.
        """
        if len(self.rate) < MIN_POINTS:
            points = "1 point" if len(self.rate) == 1 else f"{len(self.rate)} points"
            raise NotComparableError(f"has {points}; a curve needs {MIN_POINTS}, add encodes")
        if not (self.rate > 0).all():
            raise ValueError("has a rate that is not above 0; correct it")
        if not (np.diff(self.rate) > 0).all():
            raise ValueError("has two encodes at one rate; remove one of them")
        falls = np.flatnonzero(np.diff(self.score) <= _LEAST_RISE)
        if falls.size:
            k = int(falls[0])
            raise ValueError(
                f"does not rise: score {self.score[k]:g} at {self.rate[k]:g} kbit/s, "
                f"{self.score[k + 1]:g} at {self.rate[k + 1]:g}; remove encodes that cost more "
                f"for no better score, or pass --hull"
            )

    def log_rate(self, method: str) -> Callable[[Floats], Floats]:
        """`log10(rate)` over the score; NaN outside its points."""
        return _interpolator(self.score, np.log10(self.rate), method)


@dataclasses.dataclass(frozen=True)
class Difference:
    """What one codec needs beside another.

    Attributes:
        bd_rate: by method, a fraction of the first one's rate.
        low, high: the scores between which both curves lie.
        overlap: that, as a share of all scores that either reaches.
        crossings: scores at which the curves cross, by either method.
    """

    bd_rate: dict[str, float]
    low: float
    high: float
    overlap: float
    crossings: tuple[float, ...]


def upper_hull(rate: Floats, score: Floats) -> npt.NDArray[np.int64]:
    """The points on the upper convex hull, by rising rate, up to the best score; `[k]`.

    In the plane of rate (not of its logarithm) and score: a mixture of two encodes lies on the
    line between them, and no mixture of the encodes is better than the hull at its rate.
    """
    order = np.lexsort((-score, rate))
    hull: list[int] = []
    for point in order:
        if hull and score[point] <= score[hull[-1]]:
            continue  # costs more and is no better, or the same rate
        while len(hull) > 1 and _under(rate, score, hull[-2], hull[-1], int(point)):
            hull.pop()
        hull.append(int(point))
    return np.array(hull, dtype=np.int64)


def _under(rate: Floats, score: Floats, a: int, b: int, c: int) -> bool:
    """Whether `b` lies on or under the line from `a` to `c`."""
    rise = (score[b] - score[a]) * (rate[c] - rate[a])
    return bool(rise <= (score[c] - score[a]) * (rate[b] - rate[a]))


def curve_of(rate: Floats, score: Floats, *, hull: bool) -> Curve:
    """The curve through encodes, or through those on their hull.

    Raises:
        ValueError: as `Curve`.
    """
    chosen = upper_hull(rate, score) if hull else np.argsort(rate, kind="stable")
    return Curve(rate[chosen], score[chosen])


def compare(anchor: Curve, test: Curve) -> Difference:
    """BD-rate of `test` against `anchor`.

    Raises:
        NotComparableError: no score that both reach; the message says why, without a name.
    """
    low = max(anchor.score[0], test.score[0])
    high = min(anchor.score[-1], test.score[-1])
    if high - low < _LEAST_OVERLAP:
        raise NotComparableError(
            f"reach {test.score[0]:g} to {test.score[-1]:g} and {anchor.score[0]:g} to "
            f"{anchor.score[-1]:g}, no score in common; add encodes"
        )
    reach = max(anchor.score[-1], test.score[-1]) - min(anchor.score[0], test.score[0])
    bd_rate, crossings = {}, []
    for method in METHODS:
        curves = [curve.log_rate(method) for curve in (anchor, test)]
        areas = [curve.integrate(low, high) for curve in curves]  # type: ignore[attr-defined]
        bd_rate[method] = float(10 ** ((areas[1] - areas[0]) / (high - low)) - 1)
        crossings += _crossings(curves, low, high)
    return Difference(
        bd_rate, float(low), float(high), float((high - low) / reach), tuple(sorted(crossings))
    )


def _crossings(
    curves: Sequence[Callable[[Floats], Floats]], low: float, high: float
) -> list[float]:
    """Scores where the difference of two curves changes sign, to the grid's step."""
    grid = np.linspace(low, high, _SAMPLES)
    difference = curves[1](grid) - curves[0](grid)
    clear = np.abs(difference) > _TOUCH
    scores, signs = grid[clear], np.sign(difference[clear])
    change = np.flatnonzero(signs[1:] != signs[:-1])
    return [float((scores[k] + scores[k + 1]) / 2) for k in change]


def _interpolator(x: Floats, y: Floats, method: str) -> Callable[[Floats], Floats]:
    from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

    kind = {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}[method]
    curve: Callable[[Floats], Floats] = kind(x, y, extrapolate=False)
    return curve
