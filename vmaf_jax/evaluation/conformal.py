"""Conformal prediction intervals across sources, and a model's region of training features.

What a model gets wrong is shared by the clips of a source, so the sources are the sample: residuals
come from predictions of sources that were left out of the training, and every source weighs the
same, whatever its number of clips. With prediction p, label y and difficulty d(p),

    r_i = |y_i - p_i| / d(p_i; sources but i's)      interval  p -+ q d(p; all sources)

q is the weighted quantile of the r_i at `level (1 + 1/n)`, rounded up to a fifth of a percent. The
difficulty is the mean absolute residual near p, by a Gaussian kernel over p, drawn towards the
overall mean where clips are few:

    d(p) = (sum_i w_i k(p - p_i) |e_i| + m e) / (sum_i w_i k(p - p_i) + m)
    k(u) = exp(-u^2 / 2 h^2)

with w_i = 1 / (clips of i's source), e the weighted mean of |e_i| and m a `_PRIOR` share of all
weight. Coverage of a new source's clips is `level` on average over sources, and nears it as sources
become many; it is not promised for every source, nor for content unlike all of them.
Sources: Lei et al., "Distribution-free predictive inference for regression" (2018), 5.2, residuals
by their local size; Dunn, Wasserman, Ramdas, "Distribution-free prediction sets for two-layer
hierarchical models" (2022), groups of equal weight ("pooling CDFs").

The distance is Mahalanobis's from the training clips: `d^2 = (x - m)' C^-1 (x - m)`, with the mean
m and the covariance C of the clips' mean features, each source weighing the same, C with `_RIDGE`
of each variance added to its diagonal. The limit is the `LEVEL` quantile of the distances of each
source's clips from a fit without that source: about one clip in a hundred of a new source like the
others is called outside.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.models.pooling import OVER_FRAMES, pool
from vmaf_jax.tables.categories import Codes, combine, encode

Floats = npt.NDArray[np.float64]
KIND = "conformal across sources"
BANDWIDTH = 15.0  # h, points of 0-100
N_SHARES = 500  # shares at which a profile has the quantile: 1/500, 2/500, ..., 1
GRID = np.linspace(0.0, 100.0, 41)  # predictions at which it has the difficulty, points
_PRIOR = 0.1
_MOST_PAIRS = 1 << 24  # of clips whose distances are held at once
_SMALLEST = 1e-6  # points: no residual is taken for smaller, and features have six decimals


@dataclasses.dataclass(frozen=True)
class Interval:
    """Where a clip's score lies.

    Attributes:
        level: the share of clips of new sources whose label it is to hold, in (0, 1).
        low, high: points, within 0-100.
        kind: how it was made.
    """

    level: float
    low: float
    high: float
    kind: str = KIND


@dataclasses.dataclass(frozen=True)
class Profile:
    """What intervals are made of, with no clip left in it.

    Attributes:
        n_clips, n_sources: that it is of.
        quantile: of the residuals over their difficulty, `[500]`, at shares 1/500 to 1; no unit.
        difficulty: points, `[41]`, at predictions of 0, 2.5, ..., 100, and linear between them.
    """

    n_clips: int
    n_sources: int
    quantile: Floats
    difficulty: Floats

    def interval(self, predicted: float, level: float) -> Interval:
        """The interval around a new clip's prediction, points.

        Args:
            level: in (0, 1).
        """
        low, high = self.bounds(np.array([predicted]), level)
        return Interval(level, float(low[0]), float(high[0]))

    def bounds(self, predicted: Floats, level: float) -> tuple[Floats, Floats]:
        """The ends of the intervals around predictions `[k]`, each `[k]`, within 0-100."""
        half = self.half_width(predicted, level)
        return np.clip(predicted - half, 0, 100), np.clip(predicted + half, 0, 100)

    def half_width(self, predicted: Floats, level: float) -> Floats:
        """How far intervals reach to both sides of predictions `[k]`, points, `[k]`."""
        share = level * (1 + 1 / self.n_clips)
        rank = min(math.ceil(share * N_SHARES - 1e-9), N_SHARES)
        return self.quantile[rank - 1] * np.interp(predicted, GRID, self.difficulty)


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Held-out predictions of clips, the stuff of intervals.

    Attributes:
        source: the source of each clip, `[n]`, numbered from 0 without gaps.
        predicted: points, `[n]`, by a student that never saw the clip's source.
        label: points, `[n]`.
    """

    source: npt.NDArray[np.int64]
    predicted: Floats
    label: Floats

    @property
    def n_sources(self) -> int:
        """How many sources the clips are of."""
        return int(self.source.max()) + 1

    @functools.cached_property
    def weight(self) -> Floats:
        """Of each clip, `[n]`: 1 over the clips of its source."""
        return 1.0 / np.bincount(self.source)[self.source]

    def without(self, source: int) -> "Residuals":
        """All but one source's."""
        rows = self.source != source
        _, renumbered = np.unique(self.source[rows], return_inverse=True)
        return Residuals(renumbered, self.predicted[rows], self.label[rows])

    @functools.cached_property
    def profile(self) -> Profile:
        """What intervals are made of."""
        shares = np.arange(1, N_SHARES + 1) / N_SHARES
        return Profile(
            n_clips=len(self.label),
            n_sources=self.n_sources,
            quantile=weighted_quantiles(self._normalised, self.weight, shares),
            difficulty=self._difficulty(GRID),
        )

    @functools.cached_property
    def _normalised(self) -> Floats:
        """Absolute residuals over the difficulty that the other sources tell, `[n]`."""
        n = len(self.label)
        difficulty = np.empty(n)
        for start in range(0, n, size := max(1, _MOST_PAIRS // n)):
            part = slice(start, start + size)
            same = self.source[part, None] == self.source
            others = np.where(same, 0.0, self.weight)
            difficulty[part] = self._difficulty(self.predicted[part], others)
        return np.abs(self.label - self.predicted) / difficulty

    def _difficulty(self, at: Floats, weight: Floats | None = None) -> Floats:
        """Mean absolute residual near predictions `at` `[k]`; weights `[n]` or `[k, n]`."""
        error = np.maximum(np.abs(self.label - self.predicted), _SMALLEST)
        w = np.broadcast_to(self.weight if weight is None else weight, (len(at), len(error)))
        near = w * np.exp(-np.square((at[:, None] - self.predicted) / BANDWIDTH) / 2)
        total = w.sum(axis=1)
        return (near @ error + _PRIOR * (w @ error)) / (near.sum(axis=1) + _PRIOR * total)


def weighted_quantiles(values: Floats, weight: Floats, shares: Floats) -> Floats:
    """The smallest values with at least these shares of all weight at or below them, `[k]`."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    ranks = np.minimum(np.searchsorted(reached, shares - 1e-12), len(values) - 1)
    return np.asarray(values[order][ranks])


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How often intervals held the label when each source was left out of the calibration.

    Attributes:
        level: as asked for.
        covered: the share of clips.
        covered_by_source: the mean over sources of that share.
        width: mean over clips, points.
        naive_covered, naive_width: of `prediction -+ z s`, s the RMSE of the other sources.
    """

    level: float
    covered: float
    covered_by_source: float
    width: float
    naive_covered: float
    naive_width: float


def coverage(residuals: Residuals, level: float) -> Coverage:
    """Leave-one-source-out coverage: every clip by intervals calibrated without its source.

    Raises:
        ValueError: fewer than three sources: two must remain.
    """
    from scipy.special import ndtri

    if residuals.n_sources < 3:
        raise ValueError("coverage takes three sources or more")
    low, high, naive = (np.empty(len(residuals.label)) for _ in range(3))
    for source in range(residuals.n_sources):
        rows = residuals.source == source
        others = residuals.without(source)
        low[rows], high[rows] = others.profile.bounds(residuals.predicted[rows], level)
        rmse = np.sqrt(np.mean(np.square(others.label - others.predicted)))
        naive[rows] = ndtri((1 + level) / 2) * rmse
    p, y = residuals.predicted, residuals.label
    inside = (low <= y) & (y <= high)
    width = np.clip(p + naive, 0, 100) - np.clip(p - naive, 0, 100)
    return Coverage(
        level,
        float(inside.mean()),
        float(np.average(inside, weights=residuals.weight)),
        float(np.mean(high - low)),
        float(np.mean(np.abs(y - p) <= naive)),
        float(width.mean()),
    )


def residuals_of(
    held_out: HeldOut, external: Mapping[str, HeldOut], pooling: str
) -> Residuals | None:
    """Residuals of clips that were predicted without their source.

    Args:
        held_out: every fold's predictions, rows of frames or of clips.
        external: predictions of the final student on corpora that it did not learn from; their
            sources come after those of `held_out`.
        pooling: of frames to a clip, by its full name.

    Returns:
        None where the rows are frames, and the model takes a clip's frames together.
    """
    parts = {"": held_out, **external}
    of_clips = [is_of_clips(rows) for rows in parts.values()]
    if pooling == OVER_FRAMES and not all(of_clips):
        return None
    numbers: dict[tuple[str, str], int] = {}
    source, predicted, label = [], [], []
    for name, rows in parts.items():
        group = _clip_of(rows)
        order = np.argsort(group, kind="stable")  # rows of a clip keep their order
        for own in np.split(order, np.cumsum(np.bincount(group))[:-1]):
            how = pooling if len(own) > 1 else "mean"
            source.append(numbers.setdefault((name, rows.source[own[0]]), len(numbers)))
            predicted.append(pool(rows.predicted[own], how))
            label.append(pool(rows.label[own], how))
    labels = np.clip(np.array(label), 0, 100)
    return Residuals(np.array(source, np.int64), np.array(predicted), labels)


def is_of_clips(rows: HeldOut) -> bool:
    """Whether no clip has two rows of a seed."""
    return count_clips(rows) == len(rows.label)


def count_clips(rows: HeldOut) -> int:
    """How many clips the rows are of, each counted once a seed."""
    return int(_clip_of(rows).max(initial=-1)) + 1


def _clip_of(rows: HeldOut) -> Codes:
    """The number of each row's clip and seed, by first appearance, `[n]`."""
    return combine(encode(rows.source)[1], encode(rows.clip)[1], rows.seed)


LEVELS = (0.8, 0.9, 0.95)
LEAST_SOURCES = 3  # two remain to calibrate by
MOST_CLIPS = 2000  # whose distances from each other are looked at, source by source


@dataclasses.dataclass(frozen=True)
class HeldOutIntervals:
    """How sure a model's scores are.

    Attributes:
        profile: of all clips: what the model's own intervals are made of.
        coverages: one a level of `LEVELS`, each source by the profile of the others.
    """

    profile: Profile
    coverages: tuple[Coverage, ...]


def held_out_intervals(
    held_out: HeldOut, external: Mapping[str, HeldOut], pooling: str
) -> HeldOutIntervals | str:
    """The intervals of a run's saved predictions, or in a sentence why it has none.

    Args:
        held_out, external, pooling: as for `residuals_of`.
    """
    n_clips = sum(count_clips(rows) for rows in (held_out, *external.values()))
    if n_clips > MOST_CLIPS:
        return f"More than {MOST_CLIPS:,} clips: what their intervals held was not computed."
    residuals = residuals_of(held_out, external, pooling)
    if residuals is None:
        return "Held out were frames; intervals are of clips, and there are none of these."
    if residuals.n_sources < LEAST_SOURCES:
        return f"Fewer than {LEAST_SOURCES} sources: none can be judged by intervals of the others."
    return HeldOutIntervals(
        residuals.profile, tuple(coverage(residuals, level) for level in LEVELS)
    )


LEVEL = 0.99
_RIDGE = 1e-3


@dataclasses.dataclass(frozen=True)
class Region:
    """Where a model's training clips lie.

    Attributes:
        mean: of the features, `[d]`.
        covariance: of the features, `[d, d]`, positive definite.
        limit: the distance up to which a clip is inside, > 0.
    """

    mean: Floats
    covariance: Floats
    limit: float

    def distance(self, features: Floats) -> Floats:
        """Mahalanobis distance of clips' mean features `[n, d]`, `[n]`."""
        off = np.atleast_2d(features) - self.mean
        return np.sqrt(np.einsum("nd,nd->n", off, np.linalg.solve(self.covariance, off.T).T))

    def holds(self, features: Floats) -> bool:
        """Whether one clip's mean features `[d]` are inside."""
        return bool(self.distance(features)[0] <= self.limit)


def fit_region(features: Floats, source: npt.NDArray[np.int64]) -> Region:
    """The region of training clips.

    Args:
        features: means over the frames of each clip, `[n, d]`.
        source: of each clip, `[n]`, numbered from 0 without gaps; two or more.
    """
    weight = 1.0 / np.bincount(source)[source]
    distance = np.empty(len(features))
    for held_out in range(int(source.max()) + 1):
        rows = source == held_out
        mean, covariance = _moments(features[~rows], weight[~rows])
        distance[rows] = Region(mean, covariance, 1.0).distance(features[rows])
    mean, covariance = _moments(features, weight)
    return Region(
        mean, covariance, float(weighted_quantiles(distance, weight, np.array([LEVEL]))[0])
    )


def _moments(features: Floats, weight: Floats) -> tuple[Floats, Floats]:
    mean = np.average(features, axis=0, weights=weight)
    covariance = np.cov(features.T, aweights=weight, bias=True)
    # A feature that never varies still gets a width: six decimals are all that is measured.
    spread = np.maximum(np.diag(covariance), 1e-6)
    return mean, covariance + _RIDGE * np.diag(spread) + 1e-12 * np.eye(len(spread))
