"""Rate-quality curves of encodes, their convex hull, and Bjøntegaard's difference of rate.

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

from vmaf_jax.printable import format_count

Floats = npt.NDArray[np.float64]
MIN_POINTS = 3  # of a curve: two would be a straight line, whatever the codec does between them
METHODS = ("pchip", "akima")
_SAMPLES = 2001  # scores of the overlap at which curves are tested for crossings
_LEAST_RISE = 1e-6  # points; below, slopes of the rate over the score overflow
_LEAST_OVERLAP = 1e-3  # points; the mean over less is a rounding of two areas
_TOUCH = 1e-9  # log10 of a rate: curves this near touch, and do not cross


class NotComparableError(ValueError):
    """Curves that are sound but give no BD-rate: too few points, or no score in common."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Points of a rate-quality curve; rate and score both increase strictly.

    Attributes:
        rate: `[n]`, kbit/s.
        score: `[n]`, 0-100.
    """

    rate: Floats
    score: Floats

    def __post_init__(self) -> None:
        """Checks the points; messages say what is wrong and leave the curve's name to the caller.

        Raises:
            NotComparableError: too few points.
            ValueError: rates or scores that do not increase.
        """
        if len(self.rate) < MIN_POINTS:
            points = format_count(len(self.rate), "point")
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
                f"for no better score, or pass --hull (docs/traps.md)"
            )

    def log_rate(self, method: str) -> Callable[[Floats], Floats]:
        """Returns `log10(rate)` as a function of the score; NaN outside the curve's points."""
        return _interpolator(self.score, np.log10(self.rate), method)


@dataclasses.dataclass(frozen=True)
class RateDifference:
    """Rate that one codec needs beyond another at the same scores.

    Attributes:
        bd_rate: by method, as a fraction of the anchor's rate.
        low, high: the scores between which both curves lie.
        overlap: their distance, as a share of all scores that either curve reaches.
        crossings: scores at which the curves cross, by either method.
    """

    bd_rate: dict[str, float]
    low: float
    high: float
    overlap: float
    crossings: tuple[float, ...]


def upper_hull(rate: Floats, score: Floats) -> npt.NDArray[np.int64]:
    """Finds the points on the upper convex hull, by increasing rate, up to the best score, `[k]`.

    The hull is taken over rate, not over its logarithm: a mixture of two encodes lies on the
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
    """Returns whether point `b` lies on or under the line from `a` to `c`."""
    rise = (score[b] - score[a]) * (rate[c] - rate[a])
    return bool(rise <= (score[c] - score[a]) * (rate[b] - rate[a]))


def make_curve(rate: Floats, score: Floats, *, hull: bool) -> Curve:
    """Builds the curve through encodes, or through those on their hull.

    Raises:
        ValueError: points that are no `Curve`.
    """
    chosen = upper_hull(rate, score) if hull else np.argsort(rate, kind="stable")
    return Curve(rate[chosen], score[chosen])


def rate_difference(anchor: Curve, test: Curve) -> RateDifference:
    """Computes the BD-rate of `test` against `anchor`.

    Raises:
        NotComparableError: no score that both reach.
    """
    low = max(anchor.score[0], test.score[0])
    high = min(anchor.score[-1], test.score[-1])
    if high - low < _LEAST_OVERLAP:
        raise NotComparableError(
            f"reach {test.score[0]:g} to {test.score[-1]:g} and {anchor.score[0]:g} to "
            f"{anchor.score[-1]:g}, no score in common; add encodes"
        )
    reach = max(anchor.score[-1], test.score[-1]) - min(anchor.score[0], test.score[0])
    rates, crossings = {}, []
    for method in METHODS:
        curves = [curve.log_rate(method) for curve in (anchor, test)]
        areas = [curve.integrate(low, high) for curve in curves]  # type: ignore[attr-defined]
        rates[method] = float(10 ** ((areas[1] - areas[0]) / (high - low)) - 1)
        crossings += _crossings(curves, low, high)
    return RateDifference(
        bd_rate=rates,
        low=float(low),
        high=float(high),
        overlap=float((high - low) / reach),
        crossings=tuple(sorted(crossings)),
    )


def _crossings(
    curves: Sequence[Callable[[Floats], Floats]], low: float, high: float
) -> list[float]:
    """Finds scores where the difference of two curves changes sign, to the grid's step."""
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
