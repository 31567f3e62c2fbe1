"""Conformal prediction intervals across sources, and the region of a model's training features.

*Intervals.* Clips of a source share what a model gets wrong, so the sources are the sample:
residuals come from predictions of sources that were left out of the training, and every source
weighs the same, whatever its number of clips. With prediction p, label y and difficulty d(p),

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

*Region.* A clip's distance from the training clips is Mahalanobis's, `d^2 = (x - m)' C^-1 (x - m)`,
with the mean m and the covariance C of the clips' mean features, each source weighing the same, C
with `_RIDGE` of each variance added to its diagonal. The limit is the `REGION_SHARE` quantile of
the distances of each source's clips from a fit without that source: about one clip in a hundred of
a new source like the others is called outside.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import OVER_FRAMES, apply_pooling
from vmaf_jax.tables.table import Codes, combine

if TYPE_CHECKING:
    from vmaf_jax.evaluation.cross_validation import HeldOut  # loads pyarrow

Floats = npt.NDArray[np.float64]
KIND = "conformal across sources"
LEVELS = (0.8, 0.9, 0.95)  # whose coverage pages and cards give
BANDWIDTH = 15.0  # h, points of 0-100
N_SHARES = 500  # shares at which a profile has the quantile: 1/500, 2/500, ..., 1
GRID = np.linspace(0.0, 100.0, 41)  # predictions at which it has the difficulty, points
MIN_SOURCES = 3  # coverage leaves one out and two must remain to calibrate by
MAX_CLIPS = 2000  # coverage compares every pair of clips once for each source
REGION_SHARE = 0.99  # a rarer alarm would need more clips than corpora have
_PRIOR = 0.1  # of all weight; without it a prediction far from all others has no difficulty
_MAX_PAIRS = 1 << 24  # of clips whose distances are held in memory at once
_DECIMALS = 6  # of a calibration
_MIN_ERROR = 1e-6  # points: features have six decimals, so no smaller residual is real
_RIDGE = 1e-3  # features of few clips can lie in a plane, whose covariance has no inverse


@dataclasses.dataclass(frozen=True)
class ScoreInterval:
    """Interval of a clip's score.

    Attributes:
        level: the share of clips of new sources whose label it is to hold, in (0, 1).
        low, high: points, within 0-100.
        kind: the method that made it.
    """

    level: float
    low: float
    high: float
    kind: str = KIND


@dataclasses.dataclass(frozen=True)
class ConformalProfile:
    """Normalised conformal intervals as stored in a sidecar; holds no per-clip data.

    Attributes:
        n_clips, n_sources: size of the calibration sample.
        quantile: of the residuals over their difficulty, `[500]`, at shares 1/500 to 1; no unit.
        difficulty: points, `[41]`, at predictions of 0, 2.5, ..., 100, and linear between them.
    """

    n_clips: int
    n_sources: int
    quantile: Floats
    difficulty: Floats

    def interval(self, predicted: float, level: float) -> ScoreInterval:
        """Computes the interval around a new clip's prediction, points; `level` is in (0, 1)."""
        low, high = self.bounds(np.array([predicted]), level)
        return ScoreInterval(level, float(low[0]), float(high[0]))

    def bounds(self, predicted: Floats, level: float) -> tuple[Floats, Floats]:
        """Computes the ends of the intervals around predictions `[k]`, each `[k]`, within 0-100."""
        half = self.half_width(predicted, level)
        return np.clip(predicted - half, 0, 100), np.clip(predicted + half, 0, 100)

    def half_width(self, predicted: Floats, level: float) -> Floats:
        """Computes how far intervals reach to both sides of predictions `[k]`, points, `[k]`."""
        share = level * (1 + 1 / self.n_clips)
        # 1e-9: a share such as 0.9 * 500 must not be rounded up by its last bit.
        rank = min(math.ceil(share * N_SHARES - 1e-9), N_SHARES)
        return self.quantile[rank - 1] * np.interp(predicted, GRID, self.difficulty)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Share of labels inside intervals when each source is left out of the calibration.

    Attributes:
        level: the level of the intervals.
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


@dataclasses.dataclass(frozen=True)
class HeldOutIntervals:
    """Conformal intervals of a run and their measured coverage.

    Attributes:
        profile: of all clips; the model's own intervals are made of it.
        coverages: one for each of `LEVELS`, each source by the profile of the others.
    """

    profile: ConformalProfile
    coverages: tuple[Coverage, ...]


def held_out_intervals(
    held_out: "HeldOut", external: "Mapping[str, HeldOut]", pooling: str
) -> HeldOutIntervals | str:
    """Computes the intervals of a run's saved predictions, or a sentence that says why it has none.

    Args:
        held_out, external, pooling: passed to `pool_held_out`.
    """
    n_clips = sum(int(_number_clips(r).max(initial=-1)) + 1 for r in (held_out, *external.values()))
    if n_clips > MAX_CLIPS:
        return f"More than {MAX_CLIPS:,} clips: what their intervals held was not computed."
    predictions = pool_held_out(held_out, external, pooling)
    if predictions is None:
        return "Held out were frames; intervals are of clips, and there are none of these."
    if predictions.n_sources < MIN_SOURCES:
        return f"Fewer than {MIN_SOURCES} sources: none can be judged by intervals of the others."
    coverages = tuple(coverage(predictions, level) for level in LEVELS)
    return HeldOutIntervals(predictions.profile, coverages)


@dataclasses.dataclass(frozen=True)
class HeldOutPredictions:
    """Leave-one-source-out predictions of clips and their labels, VMAF points.

    Attributes:
        source: the source of each clip, `[n]`, numbered from 0 without gaps.
        predicted: `[n]`, by a student that never saw the clip's source.
        label: `[n]`.
    """

    source: npt.NDArray[np.int64]
    predicted: Floats
    label: Floats

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return int(self.source.max()) + 1

    @functools.cached_property
    def weight(self) -> Floats:
        """Weight of each clip, `[n]`: 1 over the number of clips of its source."""
        return 1.0 / np.bincount(self.source)[self.source]

    def without(self, source: int) -> "HeldOutPredictions":
        """Returns the predictions of all sources but one."""
        rows = self.source != source
        _, renumbered = np.unique(self.source[rows], return_inverse=True)
        return HeldOutPredictions(renumbered, self.predicted[rows], self.label[rows])

    @functools.cached_property
    def profile(self) -> ConformalProfile:
        """The intervals that these predictions calibrate."""
        shares = np.arange(1, N_SHARES + 1) / N_SHARES
        weight = np.broadcast_to(self.weight, (len(GRID), len(self.label)))
        quantile = weighted_quantiles(self.scaled_residuals(), self.weight, shares)
        return ConformalProfile(
            n_clips=len(self.label),
            n_sources=self.n_sources,
            # Rounded as a sidecar stores them, so that a card prints what the shipped model gives.
            quantile=np.round(quantile, _DECIMALS),
            difficulty=np.round(self._difficulty(GRID, weight), _DECIMALS),
        )

    def scaled_residuals(self) -> Floats:
        """Computes absolute residuals over the difficulty by the other sources, `[n]`."""
        n = len(self.label)
        difficulty = np.empty(n)
        for start in range(0, n, size := max(1, _MAX_PAIRS // n)):
            part = slice(start, start + size)
            same_source = self.source[part, None] == self.source
            weight = np.where(same_source, 0.0, self.weight)
            difficulty[part] = self._difficulty(self.predicted[part], weight)
        return np.abs(self.label - self.predicted) / difficulty

    def _difficulty(self, at: Floats, weight: Floats) -> Floats:
        """Computes the mean absolute residual near predictions `at` `[k]`; weights `[k, n]`."""
        error = np.maximum(np.abs(self.label - self.predicted), _MIN_ERROR)
        near = weight * np.exp(-np.square((at[:, None] - self.predicted) / BANDWIDTH) / 2)
        total = weight.sum(axis=1)
        return (near @ error + _PRIOR * (weight @ error)) / (near.sum(axis=1) + _PRIOR * total)


def pool_held_out(
    held_out: "HeldOut", external: "Mapping[str, HeldOut]", pooling: str
) -> HeldOutPredictions | None:
    """Pools the rows of clips that were predicted without their source.

    Args:
        held_out: every fold's predictions, rows of frames or of clips.
        external: predictions of the final student on corpora that it did not learn from; their
            sources come after those of `held_out`.
        pooling: of frames to a clip, by its full name.

    Returns:
        None where the rows are frames and the model takes a clip's frames together.
    """
    parts = (held_out, *external.values())
    if pooling == OVER_FRAMES and not all(_has_clip_rows(rows) for rows in parts):
        return None

    def pool_rows(scores: Floats) -> float:  # one row is pooled already
        return apply_pooling(scores, pooling if len(scores) > 1 else "mean")

    pooled = pool_clips(parts, pool_rows)
    return pooled and dataclasses.replace(pooled, label=np.clip(pooled.label, 0, 100))


def pool_clips(
    parts: "Sequence[HeldOut]", pool_rows: Callable[[Floats], float], *, least: int = 1
) -> HeldOutPredictions | None:
    """Pools the rows of held-out clips.

    Args:
        pool_rows: from scores of a clip's rows `[t]` to its score, VMAF points.
        least: rows that a clip must have. Those of one row are pooled already, by the model's own
            pooling.

    Returns:
        None where no clip has as many rows.
    """
    numbers: dict[tuple[int, str], int] = {}
    source, predicted, label = [], [], []
    for part, rows in enumerate(parts):
        group = _number_clips(rows)
        order = np.argsort(group, kind="stable")  # rows of a clip keep their order
        for clip in np.split(order, np.cumsum(np.bincount(group))[:-1]):
            if len(clip) >= least:
                source.append(numbers.setdefault((part, rows.source[clip[0]]), len(numbers)))
                predicted.append(pool_rows(rows.predicted[clip]))
                label.append(pool_rows(rows.label[clip]))
    if not source:
        return None
    return HeldOutPredictions(np.array(source, np.int64), np.array(predicted), np.array(label))


def _has_clip_rows(rows: "HeldOut") -> bool:
    """Returns whether every row is a clip: no clip has two rows of one seed."""
    return int(_number_clips(rows).max(initial=-1)) + 1 == len(rows.label)


def _number_clips(rows: "HeldOut") -> Codes:
    """Numbers each row's clip and seed by first appearance, `[n]`."""
    return combine(rows.source, rows.clip, rows.seed)[1]


def coverage(predictions: HeldOutPredictions, level: float) -> Coverage:
    """Measures how often intervals hold the label, each calibrated without the clip's source.

    Raises:
        ValueError: fewer than `MIN_SOURCES` sources.
    """
    from scipy.special import ndtri

    if predictions.n_sources < MIN_SOURCES:
        raise ValueError("coverage takes three sources or more")
    low, high, naive = (np.empty(len(predictions.label)) for _ in range(3))
    for source in range(predictions.n_sources):
        rows = predictions.source == source
        others = predictions.without(source)
        low[rows], high[rows] = others.profile.bounds(predictions.predicted[rows], level)
        rmse = np.sqrt(np.mean(np.square(others.label - others.predicted)))
        naive[rows] = ndtri((1 + level) / 2) * rmse
    p, y = predictions.predicted, predictions.label
    inside = (low <= y) & (y <= high)
    naive_width = np.clip(p + naive, 0, 100) - np.clip(p - naive, 0, 100)
    return Coverage(
        level=level,
        covered=float(inside.mean()),
        covered_by_source=float(np.average(inside, weights=predictions.weight)),
        width=float(np.mean(high - low)),
        naive_covered=float(np.mean(np.abs(y - p) <= naive)),
        naive_width=float(naive_width.mean()),
    )


def weighted_quantiles(values: Floats, weight: Floats, shares: Floats) -> Floats:
    """Finds the smallest values with at least these shares of the weight up to them, `[k]`."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    # 1e-12: a share that is reached exactly must not be missed by rounding of the sum.
    ranks = np.minimum(np.searchsorted(reached, shares - 1e-12), len(values) - 1)
    return np.asarray(values[order][ranks])


@dataclasses.dataclass(frozen=True)
class TrainingRegion:
    """Region of feature space in which a model's training clips lie.

    Attributes:
        mean: of the features, `[d]`.
        covariance: of the features, `[d, d]`, positive definite.
        limit: the Mahalanobis distance up to which a clip is inside, > 0.
    """

    mean: Floats
    covariance: Floats
    limit: float

    def distance(self, features: Floats) -> Floats:
        """Computes the Mahalanobis distance of clips' mean features `[n, d]`, `[n]`."""
        off = np.atleast_2d(features) - self.mean
        return np.sqrt(np.einsum("nd,nd->n", off, np.linalg.solve(self.covariance, off.T).T))

    def contains(self, features: Floats) -> bool:
        """Returns whether one clip's mean features `[d]` are inside."""
        return bool(self.distance(features)[0] <= self.limit)


def fit_region(features: Floats, source: npt.NDArray[np.int64]) -> TrainingRegion:
    """Fits the region of training clips, with the limit by leaving each source out.

    Args:
        features: means over the frames of each clip, `[n, d]`.
        source: of each clip, `[n]`, numbered from 0 without gaps; two or more.
    """
    weight = 1.0 / np.bincount(source)[source]
    distance = np.empty(len(features))
    for held_out in range(int(source.max()) + 1):
        rows = source == held_out
        mean, covariance = _weighted_moments(features[~rows], weight[~rows])
        distance[rows] = TrainingRegion(mean, covariance, 1.0).distance(features[rows])
    mean, covariance = _weighted_moments(features, weight)
    limit = float(weighted_quantiles(distance, weight, np.array([REGION_SHARE]))[0])
    return TrainingRegion(mean, covariance, limit)


def _weighted_moments(features: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Computes the weighted mean and the regularised covariance of features `[n, d]`."""
    mean = np.average(features, axis=0, weights=weight)
    covariance = np.cov(features.T, aweights=weight, bias=True)
    # A feature that never varies still gets a width: six decimals are all that is measured.
    spread = np.maximum(np.diag(covariance), 1e-6)
    return mean, covariance + _RIDGE * np.diag(spread) + 1e-12 * np.eye(len(spread))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The errors of a model on clips whose source it never saw, and where it was trained.

    Attributes:
        profile: of the held-out residuals of clips.
        region: of the training clips' mean features.
    """

    profile: ConformalProfile
    region: TrainingRegion

    def interval(self, predicted: float, level: float, model: str) -> ScoreInterval:
        """Returns the interval around a clip's prediction, VMAF points.

        Args:
            model: its name, for messages.

        Raises:
            InputError: a level outside (0, 1), or a single source.
        """
        check_level(level, "--interval")
        if self.profile.n_sources < 2:
            raise InputError(
                f"{model}: is calibrated on one source, which says nothing of another; train it "
                f"on clips of several sources."
            )
        return self.profile.interval(predicted, level)


def check_level(level: float, name: str) -> None:
    """Raises InputError, naming the option `name`, unless `level` is in (0, 1)."""
    if not 0 < level < 1:
        raise InputError(f"{name} {level:g}: expected more than 0 and less than 1, such as 0.9.")
