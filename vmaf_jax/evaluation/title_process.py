"""A Gaussian process over the clips of a subjective test: by how much its votes leave a model.

    vote_i = m(q_i) + f_i + e_i             m(q) = 100 / (1 + exp(-(q - centre) / width))
    cov(f_i, f_j) = shared^2 k(d / shared_length) + own^2 k(d / own_length) [same title]
                    + codec^2 [same codec]
    d = |x_i - x_j|     k(r) = (1 + sqrt(3) r) exp(-sqrt(3) r), Matern 3/2

q is what a model predicts of clip i, x what was measured of it. Votes of a title move all clips of
that title, the more the more alike two clips are; a part of it (`shared`) holds for other titles of
the experiment too, and where votes show it (`fit_codec`), clips of one codec share an offset.
Experiments are independent. `e_i` is what the votes of one clip alone say
(`noise`) and the doubt of the mean over viewers. All values are points of 0-100 unless said.
Some experiments scatter more than others, by a factor with an inverse-gamma prior: where n rated
clips leave the votes r off what was expected, with covariance K, variances are multiplied by
(scatter + r' K^-1 r) / (scatter + n). So upscalers, which no feature sees, have wider intervals.
SciPy is imported where it is used: a sidecar's reader needs the hyperparameters alone.
Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), 2.2 and 4.2.1;
scatter: Shah, Wilson, Ghahramani, "Student-t processes as alternatives to Gaussian processes"
(AISTATS 2014); choice by variance: Krause, Singh, Guestrin, "Near-optimal sensor placements" (JMLR
2008).

For hosts that know no more of a clip than its scores, `VoteCurve` is a rising curve from scores of
frames to votes, linear between `KNOTS`, so that its mean over a clip's frames is `weights @ votes`;
the weights are the means over frames of each knot's hat function. The fit is least squares to
predicted votes with rises >= 0, drawn towards the shape of the logistic where no clip is.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.features.feature_set import FEATURES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# What k compares, with a unit of each that counts as much as one of the others.
_CODECS_DIFFER = 12.0  # points, half a vote; with less, few codecs are among the chosen clips
_CODEC_PRIOR = {0.0: 0.9, 6.0: 0.04, 12.0: 0.03, 18.0: 0.03}  # by deviation, points
COMPARED = {"adm2": 0.25, "vif_scale0": 0.25, "vif_scale3": 0.25, "motion2": 5.0}


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Standard deviations of the terms of the process, points of 0-100.

    Attributes:
        shared, own: Of the part that titles of a test share, and of the title's own.
        shared_length, own_length: Distances over which two clips are alike for each; no unit.
        noise: Of what the votes of one clip alone say.
        votes: Of a mean over viewers, where nothing is known of them.
        scatter: How many rated clips the prior of an experiment's scatter weighs as much as.
        freedom, widening: Of the errors over their predicted deviation: Student's t of so many
            degrees, times that.
        codec: Of the part that clips of one codec share in an experiment.
    """

    shared: float
    own: float
    shared_length: float
    own_length: float
    noise: float
    votes: float
    scatter: float
    freedom: float
    widening: float
    codec: float = 0.0


@dataclasses.dataclass(frozen=True)
class Logistic:
    """The map m(q) from predicted quality to votes, both points; `centre` and `width` are too."""

    centre: float
    width: float

    def __call__(self, quality: Floats) -> Floats:
        """Maps predicted quality to votes, any shape."""
        from scipy.special import expit

        return np.asarray(100 * expit((quality - self.centre) / self.width))


@dataclasses.dataclass(frozen=True)
class TitleProcess:
    """The process as fitted to public tests; no row of them is in it.

    Attributes:
        hyperparameters: Of the kernel, the noise and the intervals.
        logistic: By the VMAF model that is predicted.
        judged_on: What it was judged on, in sentences.
    """

    hyperparameters: Hyperparameters
    logistic: dict[str, Logistic]
    judged_on: str


@dataclasses.dataclass(frozen=True)
class ExperimentClips:
    """Clips of subjective tests, `[n]`, before anybody voted.

    Attributes:
        experiment, title: Numbers; a title is of one experiment.
        expected: Votes that a model predicts, m(q), points.
        compared: What the kernel compares, in its units, `[n, d]`.
        codec: Numbers from 0, or -1 of a clip whose codec is not known; None where none is.
    """

    experiment: Integers
    title: Integers
    expected: Floats
    compared: Floats
    codec: Integers | None = None

    def __getitem__(self, rows: Integers) -> "ExperimentClips":
        return ExperimentClips(
            self.experiment[rows],
            self.title[rows],
            self.expected[rows],
            self.compared[rows],
            None if self.codec is None else self.codec[rows],
        )

    def __len__(self) -> int:
        return len(self.expected)


def compare(features: Floats) -> Floats:
    """Returns what the kernel compares, `[n, d]`, of clips' mean features `[n, 6]`."""
    columns = [features[:, FEATURES.names.index(f)] / unit for f, unit in COMPARED.items()]
    return np.column_stack(columns)


@dataclasses.dataclass(frozen=True)
class Ratings:
    """Mean votes on some of the clips, `[k]`.

    Attributes:
        row: Of the clip.
        mos: Points.
        variance: Of that mean over viewers, points squared.
    """

    row: Integers
    mos: Floats
    variance: Floats

    def __len__(self) -> int:
        return len(self.row)


NO_RATINGS = Ratings(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


@dataclasses.dataclass(frozen=True)
class Posterior:
    """What ratings say of the votes that all viewers would give: mean `[m]`, covariance `[m, m]`.

    Points, and points squared.
    """

    mean: Floats
    covariance: Floats


def covariance(a: ExperimentClips, b: ExperimentClips, hyper: Hyperparameters) -> Floats:
    """Computes the prior covariance of clips `a` `[n]` with clips `b` `[m]`, `[n, m]`."""
    distance = np.sqrt(3 * np.square(a.compared[:, None] - b.compared[None]).sum(-1))
    same_title = a.title[:, None] == b.title
    shared = hyper.shared**2 * _matern(distance / hyper.shared_length)
    own = hyper.own**2 * _matern(distance / hyper.own_length) * same_title
    same_experiment = a.experiment[:, None] == b.experiment
    total = shared + own
    if hyper.codec and a.codec is not None and b.codec is not None:
        same_codec = (a.codec[:, None] == b.codec) & (b.codec >= 0)
        total += hyper.codec**2 * same_codec
    return np.asarray(same_experiment * total, np.float64)


def _matern(distance: Floats) -> Floats:
    return np.asarray((1 + distance) * np.exp(-distance), np.float64)


def posterior(
    clips: ExperimentClips, ratings: Ratings, rows: Integers, hyper: Hyperparameters
) -> Posterior:
    """Computes what the ratings say of the clips at `rows` `[m]`, rated ones among them or not."""
    from scipy.linalg import cho_factor, cho_solve

    wanted = clips[rows]
    own = hyper.noise**2
    prior = covariance(wanted, wanted, hyper) + own * np.eye(len(rows))
    if not len(ratings):
        return Posterior(wanted.expected, prior)
    rated = clips[ratings.row]
    noise = np.diag(own + ratings.variance)
    factor = cho_factor(covariance(rated, rated, hyper) + noise)
    cross = covariance(rated, wanted, hyper) + own * (ratings.row[:, None] == rows)
    gain = cho_solve(factor, cross)
    off = ratings.mos - rated.expected
    mean = wanted.expected + off @ gain
    same = rated.experiment[:, None] == wanted.experiment
    misfit = (off * cho_solve(factor, off)) @ same  # of experiments, since K is 0 between them
    factors = np.sqrt((hyper.scatter + misfit) / (hyper.scatter + same.sum(0)))
    left = (prior - cross.T @ gain) * np.outer(factors, factors)
    return Posterior(np.asarray(mean), np.asarray(left))


def fit_codec(clips: ExperimentClips, ratings: Ratings, hyper: Hyperparameters) -> Hyperparameters:
    """Returns hyperparameters with the most probable deviation that clips of a codec share.

    By the marginal likelihood of the ratings and a prior by which codecs rarely differ. It is not
    fitted to public tests: they would average tests of codecs with tests of upscalers.
    """
    from scipy.stats import multivariate_normal

    if clips.codec is None or not len(ratings):
        return hyper
    rated = clips[ratings.row]
    noise = np.diag(hyper.noise**2 + ratings.variance)
    best, highest = hyper, -np.inf
    for deviation, probability in _CODEC_PRIOR.items():
        candidate = dataclasses.replace(hyper, codec=deviation)
        normal = multivariate_normal(rated.expected, covariance(rated, rated, candidate) + noise)
        value = float(normal.logpdf(ratings.mos)) + float(np.log(probability))
        if value > highest:
            best, highest = candidate, value
    return best


def expect_codecs(clips: ExperimentClips, hyper: Hyperparameters) -> Hyperparameters:
    """Returns hyperparameters for a choice before votes: codecs that are named may well differ."""
    return hyper if clips.codec is None else dataclasses.replace(hyper, codec=_CODECS_DIFFER)


def half_widths(deviation: Floats, level: float, hyper: Hyperparameters) -> Floats:
    """Computes how far intervals at `level` in (0, 1) reach, from predicted deviations, points."""
    from scipy.special import stdtrit

    quantile = float(stdtrit(hyper.freedom, (1 + level) / 2))
    return deviation * hyper.widening * quantile


@dataclasses.dataclass(frozen=True)
class ChosenClip:
    """A clip to have rated, by its place in the title, and the error expected afterwards.

    Attributes:
        place: Among the title's clips.
        error: Root of the mean square over the clips that are not rated, against mean votes;
            points. None where none is left.
    """

    place: int
    error: float | None


def choose_clips(
    prior: Floats,
    count: int,
    hyper: Hyperparameters,
    *,
    rated: Sequence[int] = (),
    cost: Floats | None = None,
) -> list[ChosenClip]:
    """Chooses clips of a title to have rated, one after the other, the most telling first.

    Each takes most variance, for its cost, from the clips of the title.

    Args:
        prior: Covariance of the title's clips by `posterior`, `[n, n]`.
        count: How many, at most n less the rated ones.
        rated: Places of clips that are rated already and not chosen.
        cost: Of each clip, > 0, `[n]`; by default the same.
    """
    left = np.ones(len(prior), bool)
    left[list(rated)] = False
    votes = hyper.votes**2
    chosen = []
    for _ in range(count):
        gain = np.square(prior).sum(0) / (prior.diagonal() + votes)
        if cost is not None:
            gain = gain / cost
        place = int(np.argmax(np.where(left, gain, -np.inf)))
        left[place] = False
        prior = prior - np.outer(prior[place], prior[place]) / (prior[place, place] + votes)
        error = float(np.sqrt(np.mean(prior.diagonal()[left] + votes))) if left.any() else None
        chosen.append(ChosenClip(place, error))
    return chosen


# VMAF points. libvmaf loads ten knots at most, and two of these continue the ends as constants.
KNOTS = np.array([0.0, 25.0, 45.0, 60.0, 72.0, 82.0, 91.0, 100.0])
_BEND, _PULL = 8.0, 40.0  # points: of a second difference, and of a distance from the logistic


@dataclasses.dataclass(frozen=True)
class VoteCurve:
    """Votes at `KNOTS`, points of 0-100, nowhere falling, `[8]`."""

    votes: Floats

    def __call__(self, scores: Floats) -> Floats:
        """Maps scores to votes, both points, any shape; constant beyond 0 and 100."""
        return np.asarray(np.interp(scores, KNOTS, self.votes), np.float64)

    @property
    def slope(self) -> float:
        """The steepest rise, points of votes for a point of score."""
        return float(np.max(np.diff(self.votes) / np.diff(KNOTS)))


def hat_weights(scores: Floats) -> Floats:
    """Computes the mean over frames `[t]` of each knot's hat function, `[8]`."""
    return np.array([np.mean(np.interp(scores, KNOTS, hat)) for hat in np.eye(len(KNOTS))])


def fit_curve(weights: Floats, votes: Floats, deviation: Floats, logistic: Floats) -> VoteCurve:
    """Fits the curve to the predicted votes of clips.

    Args:
        weights: Of each clip, `[n, 8]`.
        votes, deviation: Predicted of each clip, and its standard deviation, points, `[n]`.
        logistic: Votes at the knots without votes, points, `[8]`.
    """
    from scipy.optimize import nnls

    bends = np.diff(np.eye(len(KNOTS)), 2, axis=0) / _BEND
    pull = np.eye(len(KNOTS)) / _PULL
    rows = np.concatenate([weights / deviation[:, None], bends, pull])
    target = np.concatenate([votes / deviation, bends @ logistic, pull @ logistic])
    rises = np.tril(np.ones((len(KNOTS), len(KNOTS))))  # votes at the knots are sums of rises
    found = nnls(rows @ rises, target)[0]
    return VoteCurve(np.minimum(rises @ found, 100.0))
