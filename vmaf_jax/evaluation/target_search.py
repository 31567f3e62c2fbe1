"""Search for the weakest encoder setting whose finished file keeps a target score.

A setting is a quality level such as CRF: scores fall as it rises. On the scale
t = ln((s + 1) / (101 - s)), on which scores s fall nearly evenly with CRF (111 in place of 101 for
a model whose scores reach 110), the finished file has

    t(q) = g(q) + d(q)

g is a curve through probes, encodes of some segments: isotonic regression, then PCHIP; beyond the
probes it goes on with the slope of the last two, or the encoder's usual one. d is how much the
whole file differs from its segments: unknown before the first whole encode, with the variance, in
points,

    V(q) = e^2 + (drift * s'(q))^2

where e is the sampling error of the segments and drift, in settings, is what rate control does
otherwise in segments. Once whole files are measured, d is known there: it is linear between them
and constant beyond, and its error grows with the distance in points. Without probes g goes through
whole files and d is 0. A setting is expected to hold where mean - z * sd reaches the target; z is
of the confidence.
Where z * sd is more than half the tolerance, the middle of what is tolerated is aimed at instead: a
file that is too good costs another encode, as a miss does.
Sources: Barlow et al., "Statistical inference under order restrictions" (1972); Fritsch and
Carlson, "Monotone piecewise cubic interpolation" (1980).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.video.encoders import SettingRange

Floats = npt.NDArray[np.float64]
# Errors of g, as a share of the distance in t to the nearest point: between two points, beyond
# them by their own slope, and by the usual slope.
_INTERPOLATION, _EXTRAPOLATION, _GUESS = 0.1, 0.15, 0.3
_SLOPES = (1.6, 0.4)  # of the usual slope: the steepest and the flattest that two points tell
_CARRY = 0.15  # error of d, as a share of the distance in points from the whole file
_MAY = 2.0  # standard deviations below the target that a forecast may be
# A smaller error of g is left to the next whole encode: this share of the tolerance, or as much as
# that of d, which no probe takes away. By a normal distribution such an error makes up to 14 files
# of 100 more miss the tolerance. Each costs another whole encode, a probe a fifth of one.
_SETTLED = 0.2


@dataclasses.dataclass(frozen=True)
class Observation:
    """A measured encode of the segments, or of the whole file.

    Attributes:
        setting: Of the encoder.
        score: Points, from 0 to the model's highest.
        error: Standard error of the score, points.
        carried: The part of its error that an encode of segments at its setting takes away, points.
        holds: Of a whole file: whether it keeps the target at the requested confidence.
    """

    setting: float
    score: float
    error: float = 0.0
    carried: float = 0.0
    holds: bool = False


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Expected scores of whole files over a grid of settings.

    Attributes:
        setting: `[n]`, rising.
        mean: Points, `[n]`.
        error: Standard deviation, points, `[n]`.
        curve_error: The part of it that more probes would take away, `[n]`.
    """

    setting: Floats
    mean: Floats
    error: Floats
    curve_error: Floats

    def weakest(self, target: float, z: float = 0.0, margin: float = np.inf) -> float | None:
        """Returns the highest setting that is expected to hold; None without one.

        Args:
            z: Standard deviations that the mean is above the target, unless that is more than
                `margin` points.
        """
        holding = np.flatnonzero(self.mean - np.minimum(z * self.error, margin) >= target)
        return float(self.setting[holding[-1]]) if len(holding) else None


def forecast(
    settings: SettingRange,
    probes: Sequence[Observation],
    whole: Sequence[Observation],
    top: float = 100.0,
) -> Forecast:
    """Computes the expected score of a whole file at every setting, and its error.

    Args:
        probes: Encodes of segments; none where whole files are encoded from the start.
        whole: Encodes of the whole file.
        top: The model's highest score, points.
    """
    grid = settings.grid()
    points = list(probes) or list(whole)
    if not points:
        t = to_t(np.array(93.0), top) + settings.slope * (grid - settings.typical)
        unknown = np.full(len(grid), 100.0)
        return Forecast(grid, from_t(t, top), unknown, unknown)
    t, gap = _curve(settings, points, grid, top)
    mean = from_t(t, top)
    points_per_t = (mean + 1) * (top + 1 - mean) / (top + 2)
    curve_error = gap * points_per_t
    error = np.zeros(len(grid))
    if probes:
        by_setting = sorted(probes, key=lambda probe: probe.setting)
        places = [probe.setting for probe in by_setting]
        sampling = np.interp(grid, places, [probe.error for probe in by_setting])
        error = np.hypot(sampling, settings.drift * settings.slope * points_per_t)
        carried = np.interp(grid, places, [probe.carried for probe in by_setting])
        curve_error = np.hypot(curve_error, carried)
    if probes and whole:
        files = sorted(whole, key=lambda file: file.setting)
        at = [file.setting for file in files]
        scores = np.array([file.score for file in files])
        shift = to_t(scores, top) - np.interp(at, grid, t)
        mean = np.minimum.accumulate(from_t(t + np.interp(grid, at, shift), top))
        far = np.abs(mean[:, None] - scores).min(axis=1)
        known = np.hypot(_CARRY * far, np.interp(grid, at, [file.error for file in files]))
        error = np.minimum(error, known)
        curve_error = np.minimum(curve_error, known)
    elif whole:
        error = np.full(len(grid), max(file.error for file in whole))
    return Forecast(grid, np.clip(mean, 0, top), np.hypot(error, curve_error), curve_error)


def next_probe(
    settings: SettingRange,
    probes: Sequence[Observation],
    whole: Sequence[Observation],
    target: float,
    z: float,
    tolerance: float,
    top: float = 100.0,
) -> float | None:
    """Returns the setting whose segments are worth encoding next; None where enough is known.

    It is the one that would be taken for the whole file if the curve were known: there the decision
    is made, so there the curve has to be right. Whole files tell of it too, near their settings.
    """
    view = forecast(settings, probes, whole if probes else [], top)
    if not probes:
        return view.weakest(target) or settings.best
    known = np.sqrt(np.maximum(view.error**2 - view.curve_error**2, 0))
    sure = dataclasses.replace(view, error=known)
    chosen = sure.weakest(target, z, tolerance / 2)
    chosen = settings.best if chosen is None else chosen
    place = int(np.argmin(np.abs(view.setting - chosen)))
    is_probed = any(abs(probe.setting - chosen) < settings.step / 2 for probe in probes)
    enough = max(_SETTLED * tolerance, known[place])
    return None if is_probed or view.curve_error[place] <= enough else chosen


def next_encode(
    settings: SettingRange,
    probes: Sequence[Observation],
    whole: Sequence[Observation],
    target: float,
    z: float,
    tolerance: float,
    top: float = 100.0,
) -> float | None:
    """Returns the setting at which the whole file is to be encoded next; None to stop.

    The search stops at a file that holds and is at most `tolerance` points above the target, or
    beside whose setting no better one is expected; and where no setting can hold.

    Args:
        target: Points.
        z: Standard normal quantile of the confidence.
        tolerance: Points.
        top: The model's highest score, points.
    """
    held = max((file for file in whole if file.holds), key=lambda f: f.setting, default=None)
    if held is not None and held.score - target <= tolerance:
        return None
    low = settings.best - settings.step if held is None else held.setting
    missed = [file.setting for file in whole if not file.holds and file.setting > low]
    high = min(missed, default=settings.worst + settings.step)
    view = forecast(settings, probes, whole, top)
    between = (view.setting > low + settings.step / 2) & (view.setting < high - settings.step / 2)
    if not between.any():
        return None
    inner = Forecast(
        view.setting[between], view.mean[between], view.error[between], view.curve_error[between]
    )
    if not (probes or whole):
        return inner.weakest(target) or settings.best
    # Where whole files are as cheap as probes, a miss costs no more than a file that is too good.
    if (chosen := inner.weakest(target, z if probes else 0.0, tolerance / 2)) is not None:
        return chosen
    if probes and held is not None:  # too good a file: a setting that may as well hold is tried
        return inner.weakest(target)
    # Nothing more is expected to hold: the next setting is tried all the same if it may.
    may_hold = inner.mean[0] + max(z, _MAY) * inner.error[0] >= target
    return float(inner.setting[0]) if may_hold else None


def _curve(
    settings: SettingRange, points: Sequence[Observation], grid: Floats, top: float
) -> tuple[Floats, Floats]:
    """Returns t of the curve through points, and its error in t, `[n]` each."""
    from scipy.interpolate import PchipInterpolator
    from scipy.optimize import isotonic_regression

    by_setting: dict[float, list[float]] = {}
    for point in points:
        by_setting.setdefault(point.setting, []).append(point.score)
    x = np.array(sorted(by_setting))
    y = to_t(np.array([np.mean(by_setting[setting]) for setting in x]), top)
    y = np.asarray(isotonic_regression(y, increasing=False).x)
    inside = np.clip(grid, x[0], x[-1])
    t, first, last = np.full(len(grid), y[0]), settings.slope, settings.slope
    if len(x) > 1:
        t = PchipInterpolator(x, y)(inside)
        steep, flat = settings.slope * np.array(_SLOPES)
        slopes = np.clip(np.diff(y) / np.diff(x), steep, flat)
        first, last = float(slopes[0]), float(slopes[-1])
    t = t + np.where(grid < inside, first, last) * (grid - inside)
    distance = np.abs(t[:, None] - y[None]).min(axis=1)
    beyond = _EXTRAPOLATION if len(x) > 1 else _GUESS
    share = np.where(grid == inside, _INTERPOLATION, beyond)
    return t, share * distance


def to_t(score: Floats | float, top: float = 100.0) -> Floats:
    """Returns t of scores, points, up to `top`."""
    score = np.asarray(score, np.float64)
    return np.asarray(np.log((score + 1) / (top + 1 - score)))


def from_t(t: Floats | float, top: float = 100.0) -> Floats:
    """Returns the scores of t, points, 0 to `top`."""
    return np.asarray(np.clip(top + 1 - (top + 2) / (1 + np.exp(t)), 0, top))
