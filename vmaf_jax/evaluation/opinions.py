"""Opinion scores: agreement with them (ITU-T P.1401), and how votes become them (P.913).

    RMSE   sqrt(sum e^2 / n)                           e = predicted - mos
    RMSE*  sqrt(sum max(0, |e| - ci95)^2 / (n - d))    errors within the viewers' doubt are none
    outlier ratio: the share of clips with |e| > ci95

d is the map's number of parameters times the experiments that it was fitted to, 1 without a map.
RMSE is divided by n, as everywhere in this package; P.1401 divides it by n - d too.
Source: ITU-T P.1401 (01/2020), 7.5 and 7.7.

The viewers of each experiment use the scale differently: a map fitted to an experiment removes its
offset, gain and bend before errors are counted. All maps are least squares, and none decreases
anywhere in the range of the predictions it was fitted to: a map that did would hide a model that
ranks wrongly.

    linear     a + b x, b >= 0
    cubic      a + b x + c x^2 + d x^3, its derivative >= 0 on the range
    logistic   low + rise / (1 + exp(-(x - centre) / width)), rise >= 0, width > 0

Outside the range a cubic continues as a constant, for its derivative may be negative there.
Source: ITU-T P.1401 (01/2020), 7.3 and Appendix I; the logistic is VQEG's.

Opinion scores come from raw votes, with the bias and inconsistency of each subject. A vote of
subject i on clip j is `u_ij = psi_j + Delta_i + upsilon_i X`, X standard normal: the clip's
quality, the subject's bias (mean zero over subjects) and the subject's inconsistency. Consistent
subjects weigh more, and no subject is rejected. Scores are on the voters' scale; sums in float64.
A clip's interval comes from its own votes, as in P.910's Annex E: their residuals' deviation over
the root of their number. Annex E divides squares by n and takes 1.96 of that, which with few votes
is too narrow; here n - 1 and Student's t give intervals that cover as often as they claim.
Source: Li, Bampis, Krasula, Janowski, Katsavounidis, "A simple model for subject behavior in
subjective experiments", Electronic Imaging (HVEI) 2020, alternating projections; ITU-T P.913
(06/2021) clause 12.6 and ITU-T P.910 (11/2021) Annex E recommend it.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.optimize
import scipy.sparse
import scipy.sparse.csgraph
import scipy.special

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.metrics import krocc, plcc, rmse, srocc

Floats = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
MapKind = Literal["linear", "cubic", "logistic"]

MAP_KINDS: tuple[MapKind, ...] = ("linear", "cubic", "logistic")
FREEDOM: dict[str, int] = {"none": 1, "linear": 2, "cubic": 4, "logistic": 4}  # d of P.1401
_LEVEL = 0.95  # of the intervals of clips
_MAX_STEPS = 20_000  # few votes on many clips converge slowly, at a linear rate
_TOLERANCE = 1e-10  # change of quality at convergence, as a share of the range of votes
_LEAST = 1e-7  # least inconsistency, as a share of the range of votes, so that weights are finite
_DOMINANT = 0.6  # share of a clip's weight of one subject, where three or more voted


@dataclasses.dataclass(frozen=True)
class Opinions:
    """Opinion scores of clips, one row a clip.

    Attributes:
        mos: mean opinion scores mapped to 0-100, `[n]`.
        source: pristine content of the clip, text, `[n]`.
        experiment: subjective test of the clip, text, `[n]`.
        ci95: half-widths of the 95 % intervals of `mos`, on the same scale, `[n]`, or None.

    Raises:
        InputError: no clips, a score or an interval that is not a number, or an interval below 0.
        ValueError: columns of different lengths.
    """

    mos: Floats
    source: Text
    experiment: Text
    ci95: Floats | None = None

    @staticmethod
    def of(
        mos: npt.ArrayLike,
        source: npt.ArrayLike,
        experiment: npt.ArrayLike | None = None,
        ci95: npt.ArrayLike | None = None,
    ) -> "Opinions":
        """Builds opinions from columns of any kind; without `experiment` all clips are of one."""
        scores = np.asarray(mos, np.float64)
        tests = np.full(scores.shape, "all") if experiment is None else experiment
        return Opinions(
            scores,
            np.asarray(source).astype(str).astype(np.object_),
            np.asarray(tests).astype(str).astype(np.object_),
            None if ci95 is None else np.asarray(ci95, np.float64),
        )

    def __post_init__(self) -> None:
        columns = (self.mos, self.source, self.experiment, self.ci95)
        shapes = {column.shape for column in columns if column is not None}
        if len(shapes) != 1 or self.mos.ndim != 1:
            raise ValueError(f"opinions need columns of one length, not {sorted(shapes)}.")
        if not self.mos.size:
            raise InputError("there are no clips with opinion scores; label some.")
        _require(np.isfinite(self.mos), "mos", "is not a number")
        if self.ci95 is not None:
            _require(np.isfinite(self.ci95), "mos_ci95", "is not a number")
            _require(self.ci95 >= 0, "mos_ci95", "is below 0")

    def where(self, rows: npt.NDArray[np.bool_]) -> "Opinions":
        """Returns the chosen clips."""
        ci95 = None if self.ci95 is None else self.ci95[rows]
        return Opinions(self.mos[rows], self.source[rows], self.experiment[rows], ci95)

    def experiments(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Returns which clips are of each experiment, `[n]`, by its name in order."""
        names = sorted(set(self.experiment.tolist()))
        return {name: np.asarray(self.experiment == name, np.bool_) for name in names}

    def check(self, predicted: npt.ArrayLike) -> Floats:
        """Returns a model's scores of these clips as an array `[n]`, checked.

        Raises:
            InputError: a score that is not a number.
            ValueError: not one score a clip.
        """
        scores = np.asarray(predicted, np.float64)
        if scores.shape != self.mos.shape:
            raise ValueError(f"{scores.shape} predictions for {self.mos.shape} opinion scores.")
        _require(np.isfinite(scores), "predictions", "is not a number")
        return scores


def _require(sound: npt.NDArray[np.bool_], column: str, problem: str) -> None:
    if not sound.all():
        row = int(np.argmin(sound))
        raise InputError(f"{column}: clip {row} {problem}; correct it or leave the clip out.")


@dataclasses.dataclass(frozen=True)
class OpinionMetrics:
    """Agreement with the opinions of `n` clips; NaN where a figure is undefined.

    Attributes:
        freedom: d of P.1401, subtracted from n in RMSE*.
        rmse, rmse_star: points of 0-100.
        rmse_star, outlier_ratio: None without intervals of the opinion scores.
    """

    n: int
    freedom: int
    plcc: float
    srocc: float
    krocc: float
    rmse: float
    rmse_star: float | None
    outlier_ratio: float | None


@dataclasses.dataclass(frozen=True)
class RmseMapped:
    """RMSE in points of 0-100, before and after a line fitted to each experiment.

    Attributes:
        unmapped: clips of experiments too small for a line, counted unmapped in both.
    """

    as_it_comes: float
    mapped: float
    unmapped: int


def rmse_star(predicted: Floats, mos: Floats, ci95: Floats, freedom: int = 1) -> float:
    """Computes the epsilon-insensitive RMSE, points; NaN with no more clips than `freedom`."""
    if len(mos) <= freedom:
        return math.nan
    beyond = np.maximum(np.abs(predicted - mos) - ci95, 0.0)
    return math.sqrt(float(np.sum(np.square(beyond))) / (len(mos) - freedom))


def outlier_ratio(predicted: Floats, mos: Floats, ci95: Floats) -> float:
    """Computes the share of clips whose error exceeds the half-width of their interval."""
    return float(np.mean(np.abs(predicted - mos) > ci95))


def opinion_metrics(predicted: Floats, opinions: Opinions, freedom: int = 1) -> OpinionMetrics:
    """Computes every figure of predictions `[n]` as they are.

    Args:
        freedom: parameters of the map that the predictions went through, 1 without.
    """
    p, mos, ci95 = opinions.check(predicted), opinions.mos, opinions.ci95
    return OpinionMetrics(
        n=len(mos),
        freedom=freedom,
        plcc=plcc(p, mos),
        srocc=srocc(p, mos),
        krocc=krocc(p, mos),
        rmse=rmse(p, mos),
        rmse_star=None if ci95 is None else rmse_star(p, mos, ci95, freedom),
        outlier_ratio=None if ci95 is None else outlier_ratio(p, mos, ci95),
    )


def mapped_metrics(predicted: Floats, opinions: Opinions, kind: MapKind) -> OpinionMetrics:
    """Computes every figure after a map fitted to each experiment."""
    p = opinions.check(predicted)
    mapped, done = map_by_experiment(kind, p, opinions.mos, opinions.experiment)
    fitted = len(set(opinions.experiment[done].tolist()))
    return opinion_metrics(mapped, opinions, max(fitted * FREEDOM[kind], 1))


def all_maps(predicted: Floats, opinions: Opinions) -> dict[str, OpinionMetrics]:
    """Computes the figures unmapped (`none`) and after each kind of map."""
    return {"none": opinion_metrics(predicted, opinions)} | {
        kind: mapped_metrics(predicted, opinions, kind) for kind in MAP_KINDS
    }


def rmse_mapped(
    predicted: npt.ArrayLike, mos: npt.ArrayLike, experiment: npt.ArrayLike
) -> RmseMapped:
    """Computes the RMSE of predictions `[n]` unmapped and after a line for each experiment."""
    p, truth = np.asarray(predicted, np.float64), np.asarray(mos, np.float64)
    mapped, done = map_by_experiment("linear", p, truth, experiment)
    return RmseMapped(rmse(p, truth), rmse(mapped, truth), int((~done).sum()))


def calibrate_held_out(
    predicted: npt.ArrayLike,
    mos: npt.ArrayLike,
    fold: npt.ArrayLike,
    experiment: npt.ArrayLike | None = None,
    *,
    kind: MapKind = "logistic",
) -> Floats:
    """Maps a model's scores `[n]` to the opinion scale by maps fitted on all other folds.

    Args:
        predicted: scores of a model that saw none of these opinions, such as VMAF pooled over
            frames.
        mos: opinion scores `[n]`.
        fold: clips that are held out together, `[n]`: the source.
        experiment: of each clip, `[n]`, for a map of each; None for one map. Where the other folds
            have too few clips of an experiment, its map is of all their clips.

    Raises:
        InputError: fewer than two folds.
    """
    x, y, folds = np.asarray(predicted, np.float64), np.asarray(mos, np.float64), np.asarray(fold)
    tests = np.zeros(len(x)) if experiment is None else np.asarray(experiment)
    names = np.unique(folds)
    if len(names) < 2:
        raise InputError(f"{len(names)} source leaves none to fit on; add clips of another.")
    calibrated = np.empty_like(x)
    for name in names:
        for test in np.unique(tests[folds == name]):
            others = (folds != name) & (tests == test)
            if others.sum() <= FREEDOM[kind]:
                others = folds != name
            held_out = (folds == name) & (tests == test)
            calibrated[held_out] = fit_map(kind, x[others], y[others])(x[held_out])
    return calibrated


_N_RAYS = 200  # intervals of the range at which a cubic's derivative may touch 0
# A logistic's centre and width, in standard deviations of the predictions.
_MAX_CENTRE = 8.0  # beyond it only the tail of the curve is over the predictions
_WIDTHS = (0.02, 20.0)  # past the ends the curve is a step or a line
_N_CENTRES, _N_WIDTHS = 33, 13  # of the grid that a logistic's descents start from
_N_STEPS = 64  # predictions, and midpoints of two, that are tried as centres beside the grid's
_N_STARTS = 8  # of descents, from the lowest points of the grid
_FLAT = 1e-9  # mean square below which a curve is a constant over the predictions


@dataclasses.dataclass(frozen=True)
class OpinionMap:
    """Fitted map from predictions to opinion scores.

    Attributes:
        kind: of `MAP_KINDS`.
        parameters: a, b (linear); a, b, c, d (cubic); low, rise, centre, width (logistic); all of
            the standardised prediction (x - shift) / scale.
        shift, scale: in the prediction's unit.
        low, high: the range of the predictions that it was fitted to.
    """

    kind: MapKind
    parameters: tuple[float, ...]
    shift: float
    scale: float
    low: float
    high: float

    def __call__(self, predicted: npt.ArrayLike) -> Floats:
        """Maps predictions to opinion scores, both `[n]`."""
        x = np.asarray(predicted, np.float64)
        if self.kind == "cubic":
            x = np.clip(x, self.low, self.high)
        t = (x - self.shift) / self.scale
        if self.kind == "logistic":
            return _logistic(np.array(self.parameters), t)
        return np.asarray(np.polynomial.polynomial.polyval(t, self.parameters), np.float64)


def fit_map(kind: MapKind, predicted: npt.ArrayLike, mos: npt.ArrayLike) -> OpinionMap:
    """Fits the map of least squared error from predictions to opinion scores, both `[n]`.

    Constant predictions, or a single one, give the mean opinion score everywhere.

    Raises:
        InputError: no rows, or a prediction or score that is not a number.
        ValueError: another kind, or arrays of two lengths.
    """
    if kind not in MAP_KINDS:
        raise ValueError(f"no map {kind!r}; there are {', '.join(MAP_KINDS)}.")
    x, y = np.asarray(predicted, np.float64), np.asarray(mos, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"{x.shape} predictions for {y.shape} opinion scores.")
    if not x.size or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("a map needs predictions and opinion scores that are numbers; check both.")
    low, high = float(x.min()), float(x.max())
    if not high - low > 1e-9 * max(abs(low), abs(high), 1.0):
        constant = (float(y.mean()), 0.0, 0.0, 1.0)
        return OpinionMap(kind, constant[: 2 if kind == "linear" else 4], low, 1.0, low, high)
    if kind == "cubic":  # the range becomes [-1, 1]
        shift, scale = (low + high) / 2, (high - low) / 2
    else:
        shift, scale = float(x.mean()), float(x.std())
    parameters = _FITS[kind]((x - shift) / scale, y)
    return OpinionMap(kind, tuple(float(p) for p in parameters), shift, scale, low, high)


def map_by_experiment(
    kind: MapKind, predicted: npt.ArrayLike, mos: npt.ArrayLike, experiment: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Maps predictions `[n]` by a map fitted to each experiment, and tells which were mapped.

    A map with as many parameters as an experiment has clips would fit any model exactly, so the
    predictions of such small experiments stay as they are.
    """
    x, y = np.asarray(predicted, np.float64), np.asarray(mos, np.float64)
    tests = np.asarray(experiment)
    mapped, done = x.copy(), np.zeros(x.shape, np.bool_)
    for name in np.unique(tests):
        rows = tests == name
        if rows.sum() > FREEDOM[kind]:
            mapped[rows] = fit_map(kind, x[rows], y[rows])(x[rows])
            done[rows] = True
    return mapped, done


def _linear(t: Floats, y: Floats) -> Floats:
    slope = max(float(t @ (y - y.mean())) / float(t @ t), 0.0)  # t has mean 0
    return np.array([y.mean() - slope * t.mean(), slope])


def _cubic(t: Floats, y: Floats) -> Floats:
    """Fits an increasing cubic over `t` in [-1, 1] by non-negative least squares.

    A quadratic that is nowhere negative on [-1, 1] is a sum, with weights >= 0, of (t - s)^2 with s
    in [-1, 1] and of 1 - t^2. The integrals of these have increasing sums, and their weights are a
    non-negative least squares problem.
    """
    s = np.linspace(-1, 1, _N_RAYS + 1)
    squares = np.stack([np.zeros_like(s), s**2, -s, np.full_like(s, 1 / 3)], axis=1)
    rays = np.vstack([squares, [0, 1, 0, -1 / 3]])  # coefficients of integrals, without constants
    columns = np.vander(t, 4, increasing=True) @ rays.T
    weights, _ = scipy.optimize.nnls(columns - columns.mean(axis=0), y - y.mean())
    coefficients = np.asarray(weights @ rays, np.float64)
    coefficients[0] = float(np.mean(y - columns @ weights))
    return coefficients


def _logistic(parameters: Floats, t: Floats) -> Floats:
    low, rise, centre, width = parameters
    return np.asarray(low + rise * scipy.special.expit((t - centre) / width), np.float64)


def _fit_logistic(t: Floats, y: Floats) -> Floats:
    """Fits a logistic by least squares over centre and width; `low` and `rise` follow as a line.

    Few clips give many local minima, such as a step between any two of them, so descents start from
    the lowest ones of a grid.
    """

    def both(shape: Floats) -> Floats:
        curve = scipy.special.expit((t - shape[0]) / shape[1])
        rise = float(_line(curve, y)[1])
        return np.array([y.mean() - rise * curve.mean(), rise, *shape])

    def residual(shape: Floats) -> Floats:
        return _logistic(both(shape), t) - y

    bounds = ([-_MAX_CENTRE, _WIDTHS[0]], [_MAX_CENTRE, _WIDTHS[1]])
    fits = [
        scipy.optimize.least_squares(residual, start, bounds=bounds, xtol=1e-10, ftol=1e-12)
        for start in _logistic_starts(t, y)
    ]
    return both(min(fits, key=lambda fit: float(fit.cost)).x)


def _line(curve: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Computes by how much the best line of `curve` `[..., n]` lowers the squared error of `y`.

    Returns:
        That reduction and the slope of the line, both `[...]`.
    """
    inner = curve - curve.mean(axis=-1, keepdims=True)
    square = np.square(inner).sum(axis=-1)
    product = np.maximum(inner @ (y - y.mean()), 0.0)
    rises = square > _FLAT * len(y)
    slope = np.where(rises, product / np.where(rises, square, 1.0), 0.0)
    return np.asarray(slope * product), np.asarray(slope)


def _logistic_starts(t: Floats, y: Floats) -> Floats:
    """Finds centres and widths `[k, 2]` of the lowest local minima of the error on a grid."""
    ordered = np.unique(t)
    # A narrow curve steps between two predictions, or has one of them on its slope.
    steps = np.sort(np.concatenate([ordered, (ordered[1:] + ordered[:-1]) / 2]))
    steps = steps[np.linspace(0, len(steps) - 1, min(len(steps), _N_STEPS)).astype(int)]
    even = np.linspace(-_MAX_CENTRE, _MAX_CENTRE, _N_CENTRES)
    centres = np.unique(np.clip(np.concatenate([even, steps]), -_MAX_CENTRE, _MAX_CENTRE))
    widths = np.geomspace(*_WIDTHS, _N_WIDTHS)
    gain = np.stack(
        [_line(scipy.special.expit((t - centre) / widths[:, None]), y)[0] for centre in centres]
    )
    is_peak = gain == scipy.ndimage.maximum_filter(gain, size=3, mode="nearest")
    peaks = np.argwhere(is_peak & (gain > 0))
    if not len(peaks):
        return np.array([[0.0, 1.0]])
    # Curves that are one step between the same two predictions are a plateau: the first is enough.
    _, first = np.unique(-gain[tuple(peaks.T)], return_index=True)
    highest = peaks[first[:_N_STARTS]]
    return np.stack([centres[highest[:, 0]], widths[highest[:, 1]]], axis=1)


_FITS: dict[MapKind, Callable[[Floats, Floats], Floats]] = {
    "linear": _linear,
    "cubic": _cubic,
    "logistic": _fit_logistic,
}


class SubjectModel(NamedTuple):
    """Maximum-likelihood estimates from the votes of one test, on the voters' scale.

    Attributes:
        quality: of each clip, `[clips]`.
        half_width: of the 95 % interval of `quality`, `[clips]`; for a clip with one vote it
            follows from the inconsistency of its subject.
        bias: of each subject, `[subjects]`; its mean is 0.
        inconsistency: standard deviation of each subject's votes, `[subjects]`.
        equal: whether all subjects were given one inconsistency.
    """

    quality: npt.NDArray[np.float64]
    half_width: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    inconsistency: npt.NDArray[np.float64]
    equal: bool


def separate_groups(clip: npt.NDArray[np.int64], subject: npt.NDArray[np.int64]) -> int:
    """Counts groups of subjects that share no clip; biases of two groups cannot be told apart.

    Args:
        clip, subject: of each vote, `[n]`, numbered from 0 without gaps.
    """
    n_clips, n_subjects = clip.max() + 1, subject.max() + 1
    pairs = (np.ones(len(clip)), (clip, n_clips + subject))
    graph = scipy.sparse.coo_array(pairs, shape=(n_clips + n_subjects,) * 2)
    return int(scipy.sparse.csgraph.connected_components(graph, directed=False)[0])


def recover_quality(
    clip: npt.NDArray[np.int64], subject: npt.NDArray[np.int64], score: npt.NDArray[np.float64]
) -> SubjectModel:
    """Estimates quality, bias and inconsistency from votes by alternating projections.

        upsilon_i = std over i's votes of (u_ij - psi_j - Delta_i)
        psi_j     = mean over j's votes of (u_ij - Delta_i), weighted by 1 / upsilon_i^2
        Delta_i   = mean over i's votes of (u_ij - psi_j)

    until `psi` converges. With `s_j` the standard deviation of the residuals `u_ij - psi_j -
    Delta_i` of clip j's n votes, the interval is `psi_j +- t(0.975, n - 1) s_j / sqrt(n)`. With few
    subjects the likelihood is unbounded: the votes of one subject, or of two who voted alike,
    become the clips' quality. Where one subject has most of a clip's weight, or the least
    inconsistency that there can be, all subjects are given one inconsistency instead: least squares
    with biases (as P.913 clause 12.4 removes them).

    Args:
        clip, subject: of each vote, `[n]`, numbered from 0 without gaps; a pair may recur.
        score: the votes, `[n]`.

    Raises:
        ValueError: votes that are all the same, separate groups of subjects, no more votes than
            unknowns, or no convergence.
    """
    if np.ptp(score) == 0:
        raise ValueError("all votes are the same")
    if separate_groups(clip, subject) > 1:
        raise ValueError("some subjects share no clip with the others")
    if len(score) < clip.max() + subject.max() + 2:
        raise ValueError("there are no more votes than clips and subjects")
    model = _alternate(clip, subject, score, equal=False)
    weight = model.inconsistency[subject] ** -2.0
    share = weight / np.bincount(clip, weight)[clip]
    collapsed = model.inconsistency.min() <= _LEAST * np.ptp(score)
    if collapsed or share[np.bincount(clip)[clip] >= 3].max(initial=0.0) > _DOMINANT:
        model = _alternate(clip, subject, score, equal=True)
    return model


def _alternate(
    clip: npt.NDArray[np.int64],
    subject: npt.NDArray[np.int64],
    score: npt.NDArray[np.float64],
    *,
    equal: bool,
) -> SubjectModel:
    """Alternates the projections until they converge."""
    per_clip, per_subject = np.bincount(clip), np.bincount(subject)
    tolerance = _TOLERANCE * np.ptp(score)
    freedom = max(len(score) - len(per_clip) - len(per_subject) + 1, 1)
    quality = np.bincount(clip, score) / per_clip
    bias = np.bincount(subject, score - quality[clip]) / per_subject
    for _ in range(_MAX_STEPS):
        residual = score - quality[clip] - bias[subject]
        if equal:
            common = np.sqrt(np.sum(residual**2) / freedom)
            inconsistency = np.full(len(per_subject), common)
        else:
            mean = np.bincount(subject, residual) / per_subject
            squares = np.bincount(subject, (residual - mean[subject]) ** 2)
            inconsistency = np.sqrt(squares / per_subject)
        inconsistency = np.maximum(inconsistency, _LEAST * np.ptp(score))
        weight = inconsistency[subject] ** -2.0
        before = quality
        quality = np.bincount(clip, weight * (score - bias[subject])) / np.bincount(clip, weight)
        bias = np.bincount(subject, score - quality[clip]) / per_subject
        if np.abs(quality - before).max() <= tolerance:
            break
    else:
        raise ValueError(f"no rest after {_MAX_STEPS} steps")
    half_width = _half_width(clip, score - quality[clip] - bias[subject], weight)
    return SubjectModel(quality + bias.mean(), half_width, bias - bias.mean(), inconsistency, equal)


def _half_width(
    clip: npt.NDArray[np.int64], residual: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Computes the half-width of each clip's interval from the residuals of its own votes.

    Args:
        clip, residual, weight: of each vote, `[n]`.
    """
    count = np.bincount(clip)
    mean = np.bincount(clip, residual) / count
    squares = np.bincount(clip, np.square(residual - mean[clip]))
    freedom = np.maximum(count - 1, 1)
    own = scipy.special.stdtrit(freedom, (1 + _LEVEL) / 2) * np.sqrt(squares / freedom / count)
    of_subject = scipy.special.ndtri((1 + _LEVEL) / 2) / np.sqrt(np.bincount(clip, weight))
    return np.asarray(np.where(count > 1, own, of_subject), np.float64)
