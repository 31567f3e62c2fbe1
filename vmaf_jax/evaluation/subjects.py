"""Quality of clips from raw votes, with the bias and inconsistency of each subject.

A vote of subject i on clip j is `u_ij = psi_j + Delta_i + upsilon_i X`, X standard normal: the
clip's quality, the subject's bias (mean zero over subjects) and the subject's inconsistency.
Consistent subjects weigh more, and no subject is rejected. Scores are on the voters' scale; sums in
float64.

A clip's interval comes from its own votes, as in P.910's Annex E: their residuals' deviation over
the root of their number. Annex E divides squares by n and takes 1.96 of that, which with few votes
is too narrow; here n - 1 and Student's t give intervals that cover as often as they claim.
Source: Li, Bampis, Krasula, Janowski, Katsavounidis, "A simple model for subject behavior in
subjective experiments", Electronic Imaging (HVEI) 2020, alternating projections; ITU-T P.913
(06/2021) clause 12.6 and ITU-T P.910 (11/2021) Annex E recommend it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
import scipy.special

LEVEL = 0.95
_MAX_STEPS = 20_000  # few votes on many clips converge slowly, at a linear rate
_TOLERANCE = 1e-10  # change of quality at convergence, as a share of the range of votes
_LEAST = 1e-7  # least inconsistency, as a share of the range of votes, so that weights are finite
_DOMINANT = 0.6  # share of a clip's weight of one subject, where three or more voted


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
    own = scipy.special.stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(squares / freedom / count)
    of_subject = scipy.special.ndtri((1 + LEVEL) / 2) / np.sqrt(np.bincount(clip, weight))
    return np.asarray(np.where(count > 1, own, of_subject), np.float64)
