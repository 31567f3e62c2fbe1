"""Clips of a feature table whose features or labels cannot be right.

A title is one source in one test. Measurements that are in step have this in common:

- The clips of a reference have the same number of frames, and no two clips the same features.
- At every moment, encodes of different rates differ. Where a pair is out of step or out of place,
  the misalignment sets VIF and not the rate, so a rung above is no better.
- Where the same encodes were made of several titles, a title's features follow from the encodes'
  in other titles by a line a feature (Tukey's one degree of freedom for non-additivity).

Labels that cannot be right are votes apart from the rest of their test, and columns of other
models. There `quality` is what a VMAF model says of a clip's features, in points; votes are means
on 0-100.

Source of the robust weights: Holland and Welsch, "Robust regression using iteratively reweighted
least-squares", 1977 (Cauchy's).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from vmaf_jax.printable import format_count

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

OUT_OF_STEP = "out_of_step"
MISALIGNED = "misaligned"
WRONG_REFERENCE = "wrong_reference"
OTHER_LENGTH = "other_length"
DUPLICATE = "duplicate"

_USUAL = 0.4  # share of a reference's clips that must agree on a length
_PARTS = 16  # of a clip, in time
_REPEATS = 5  # frames: encodes of 15 frames/s repeat 4 at 60, and the best of them is in step
_LEAST_CLIPS = 5  # of one reference, for saturation
_GOOD_VIF = 0.95  # above it, encodes of different rates may be alike
_ALIKE = (
    0.6  # logits of VIF; 47 public ladders in step have 1.2 and more, six out of step 0.34 at most
)
_LEAST_LADDER = 20  # clips, for a covariance of five features
_LEAST_RUNGS = 6  # of a title, for its line
_LEAST_SCALE = 0.02  # of residuals, logits
_STEPS = 10  # of reweighting
_FAR = 20.0  # squared distance; five normal residuals are further off once in a thousand
_LEAST_FALL = 0.2  # logits
SWAPPED = "swapped_labels"
SUBJECT = "unreliable_subject"

_GOOD = 62.5  # votes, 3.5 on 1 to 5, that a clip of low quality cannot have
_LEAST_SPREAD = 3.0  # points, of quality at equal votes
_LEAST_OF_TEST = 15  # of a test, that show what is usual
_SHARE = 0.1  # of a test's clips, on either side, whose median is usual
_FAR_OFF = 8.0  # deviations; clips in step of nine laboratory tests are up to 7 off
_LEAST_SHORTFALL = 12.0  # points
_SHRINKAGE = 4.0  # clips that a title's offset counts as none
_SWAP_NEAR = 2.5  # deviations that both clips may have after the exchange, and have before
_SWAP_GAIN = 30.0  # squared deviations that it takes away; no chance pair of nine tests has as many
_AGREEING = 0.25  # correlation with the others; the least of 173 laboratory subjects has 0.54
_CERTAIN = 2.6  # deviations of Fisher's z
_COINCIDENCE = 4.0  # decimal logarithm of the ways to give a clip's votes to its subjects


@dataclasses.dataclass(frozen=True)
class ClipFrames:
    """Frames of numbered clips, one clip after the other.

    Attributes:
        fidelity: Features that are 1 where the pictures are equal, the coarsest last, `[n, k]`.
        motion: The feature that is of the reference alone, `[n]`.
        start, count: First frame and number of frames of each clip, `[c]`.
        source: Number of each clip's source, `[c]`.
        title: Number of its source in its test, `[c]`.
        recipe: Number of its encode, the same in other titles, `[c]`.
    """

    fidelity: Floats
    motion: Floats
    start: Integers
    count: Integers
    source: Integers
    title: Integers
    recipe: Integers

    def members(self) -> list[Integers]:
        """Returns the clips of each title."""
        ends = np.cumsum(np.bincount(self.title))[:-1]
        return np.split(np.argsort(self.title, kind="stable"), ends)


class Fault(NamedTuple):
    """A clip that cannot be what it is said to be.

    Attributes:
        clip: Its number.
        kind: One of the kinds above.
        seen: The figures, for people.
        confidence: That it is so, 0-1.
        other: Number of the clip that it repeats, was exchanged with, or shares a wrong reference
            with; -1 for none.
    """

    clip: int
    kind: str
    seen: str
    confidence: float
    other: int = -1


def length_faults(clips: ClipFrames, reference: Integers) -> list[Fault]:
    """Finds clips that have another number of frames than most of their reference.

    Args:
        reference: Number of each clip's reference, `[c]`; of one that is cut, the cut's.
    """
    faults = []
    for number in np.unique(reference):
        members = np.flatnonzero(reference == number)
        lengths, counts = np.unique(clips.count[members], return_counts=True)
        most = int(counts.max())
        if most < 2 or most < _USUAL * len(members):
            continue
        usual = int(lengths[counts.argmax()])
        for k in members[clips.count[members] != usual]:
            length, others = format_count(int(clips.count[k]), "frame"), format_count(most, "clip")
            seen = f"{length}, where {others} of its reference have {usual}"
            faults.append(Fault(int(k), OTHER_LENGTH, seen, 0.6))
    return faults


def duplicate_faults(clips: ClipFrames) -> list[Fault]:
    """Finds clips whose features are those of another clip, frame by frame.

    Tests may share an encode, so clips of one source in two tests may be alike.
    """
    first: dict[bytes, int] = {}
    faults = []
    for k, (start, count) in enumerate(zip(clips.start, clips.count, strict=True)):
        own = clips.fidelity[start : start + count]
        other = first.setdefault(own.tobytes(), k)
        shared = clips.source[k] == clips.source[other] and clips.title[k] != clips.title[other]
        if other == k or shared or np.ptp(own) == 0:  # features of equal pictures are all alike
            continue
        seen = f"all {count} frames have the features of the other clip"
        faults += [Fault(k, DUPLICATE, seen, 0.99, other), Fault(other, DUPLICATE, seen, 0.99, k)]
    return faults


def saturation_faults(clips: ClipFrames, reference: Integers) -> list[Fault]:
    """Finds references whose encodes all have the same low VIF, moment by moment.

    Args:
        reference: Number of each clip's reference, `[c]`; its clips are judged together.
    """
    level = _logit(_best_over_time(clips))
    good = float(_logit(np.array(_GOOD_VIF)))
    faults = []
    for number in np.unique(reference):
        members = np.flatnonzero(reference == number)
        if len(members) < _LEAST_CLIPS:
            continue
        best = level[members].max(0)
        spread = best - np.quantile(level[members], 0.25, axis=0)
        stuck = (best < good) & (spread < _ALIKE)
        if stuck.mean() < 0.5:
            continue
        vif = 1.002 / (1 + np.exp(-best[stuck].mean()))
        seen = (
            f"VIF stays at {vif:.2f} in all {len(members)} encodes of this reference in "
            f"{stuck.mean():.0%} of the time: between rates it differs by "
            f"{np.median(spread[stuck]):.2f} logits"
        )
        faults += [Fault(int(k), OUT_OF_STEP, seen, 0.95) for k in members]
    return faults


def _best_over_time(clips: ClipFrames) -> Floats:
    """Returns the mean over parts of each clip of the best VIF among a few frames, `[c, parts]`."""
    vif = clips.fidelity[:, -1]
    end = np.repeat(clips.start + clips.count, clips.count)
    at = np.arange(len(vif))
    best = vif.copy()
    for ahead in range(1, _REPEATS):
        later = np.minimum(at + ahead, end - 1)
        np.maximum(best, vif[later], out=best)
    parts = min(_PARTS, int(clips.count.min()))
    edges = clips.start[:, None] + clips.count[:, None] * np.arange(parts) // parts
    frames = np.diff(np.c_[edges, clips.start + clips.count], axis=1)
    return np.asarray(np.add.reduceat(best, edges.ravel()).reshape(frames.shape) / frames)


def ladder_faults(clips: ClipFrames, known_bad: npt.NDArray[np.bool_]) -> list[Fault]:
    """Finds clips whose features are worse than their encode gives on other titles.

    A feature's logit of title t and encode e is `a_t + b_t q_e`, with `q_e` the median over the
    other titles and the line of each title fitted robustly. Standardised residuals are compared
    with those of all clips by Mahalanobis's distance; misalignment lowers every feature.

    Args:
        known_bad: Clips that are left out, `[c]`, so that they do not move the lines.
    """
    residual = _ladder_residuals(clips, ~known_bad)
    known = np.flatnonzero(np.isfinite(residual).all(1))
    if len(known) < _LEAST_LADDER:
        return []
    distance = _robust_distance(residual[known])
    faults = []
    for k, square in zip(known, distance, strict=True):
        below = -residual[k]
        if square > _FAR and below.min() > 0 and below.mean() > _LEAST_FALL:
            seen = (
                f"its features lie {below.mean():.2f} logits below what this encode has on other "
                f"titles (squared distance {square:.0f}, limit {_FAR:.0f})"
            )
            faults.append(Fault(int(k), MISALIGNED, seen, float(1 - 0.2 * _FAR / square)))
    return faults


def _ladder_residuals(clips: ClipFrames, used: npt.NDArray[np.bool_]) -> Floats:
    """Returns logits of features less what title and encode predict, `[c, k]`; NaN if unknown."""
    sums = np.add.reduceat(clips.fidelity, clips.start, axis=0)
    level = _logit(sums / clips.count[:, None])
    n_features = level.shape[1]
    residual = np.full(level.shape, np.nan)
    shape = int(clips.title.max()) + 1, int(clips.recipe.max()) + 1, n_features
    table = np.full(shape, np.nan)
    table[clips.title[used], clips.recipe[used]] = level[used]
    present = np.isfinite(table[..., 0])
    for title, members in enumerate(clips.members()):
        shared = np.flatnonzero(present[title] & (present.sum(0) >= 3))
        if len(shared) < _LEAST_RUNGS:
            continue
        usual = np.median(_fill_holes(np.delete(table[:, shared], title, axis=0)), axis=0)
        errors = [_line_residuals(usual[:, f], table[title, shared, f]) for f in range(n_features)]
        at = members[used[members] & np.isin(clips.recipe[members], shared)]
        residual[at] = np.stack(errors, axis=1)[np.searchsorted(shared, clips.recipe[at])]
    return residual


def _fill_holes(level: Floats) -> Floats:
    """Returns features of titles and encodes, `[t, e, k]`, with values in place of NaN.

    They are the title's offset and what is usual of the encode (Tukey's median polish): a median
    over fewer titles would be of other offsets than that of the next encode.
    """
    level = level[np.isfinite(level[..., 0]).any(1)]
    offset = np.zeros((len(level), 1, level.shape[2]))
    for _ in range(_STEPS):
        usual = np.nanmedian(level - offset, axis=0)
        offset = np.nanmedian(level - usual, axis=1, keepdims=True)
    return np.where(np.isfinite(level), level, usual + offset)


def _line_residuals(x: Floats, y: Floats) -> Floats:
    """Returns the residuals of `y` over a robust line on `x`, standardised for their leverage."""
    design = np.stack([np.ones_like(x), x], axis=1)
    weight = np.ones_like(x)
    for _ in range(_STEPS):
        inverse = np.linalg.pinv(design.T @ (weight[:, None] * design))
        error = y - design @ (inverse @ (design.T @ (weight * y)))
        scale = 1.4826 * np.median(np.abs(error)) + _LEAST_SCALE
        weight = 1 / (1 + np.square(error / (2.385 * scale)))
    leverage = weight * np.einsum("ij,jk,ik->i", design, inverse, design)
    return np.asarray(error / np.sqrt(np.maximum(1 - leverage, 0.1)))


def _robust_distance(residual: Floats) -> Floats:
    """Returns squared Mahalanobis distances, by the covariance of the nearest nine tenths."""
    scale = 1.4826 * np.median(np.abs(residual), axis=0) + _LEAST_SCALE
    distance = np.square(residual / scale).sum(1)
    for _ in range(_STEPS):
        near = residual[distance <= np.quantile(distance, 0.9)]
        inverse = np.linalg.pinv(near.T @ near / len(near))
        distance = np.einsum("ci,ij,cj->c", residual, inverse, residual)
    # The trimming does not count where the median is that of chi squared, k - 2/3.
    return np.asarray(distance * (residual.shape[1] - 2 / 3) / max(np.median(distance), 1e-9))


def _logit(share: Floats) -> Floats:
    """Returns the logit of features, which reach from 0 to a little above 1."""
    bounded = np.clip(share, 1e-3, 1.0)
    return np.asarray(np.log(bounded / (1.002 - bounded)))


class VoteFit(NamedTuple):
    """What each clip lacks or exceeds of what is usual in its test, `[c]` each.

    Attributes:
        shortfall: Usual quality at the clip's votes less the clip's, points.
        deviations: The same over the spread of quality at these votes; infinite in a test of few
            clips, where nothing is known.
        surplus: The clip's votes less what is usual at its quality and in its title, deviations.
        spread: One deviation of these, points of votes.
    """

    shortfall: Floats
    deviations: Floats
    surplus: Floats
    spread: Floats


def fit_votes(quality: Floats, votes: Floats, experiment: Integers, title: Integers) -> VoteFit:
    """Fits running medians of quality over votes, and of votes over quality, in each test.

    Args:
        quality, votes: Points, `[c]`.
        experiment: Number of each clip's test, `[c]`.
        title: Number of its source in that test, `[c]`.
    """
    n = len(votes)
    fit = VoteFit(np.zeros(n), np.full(n, np.inf), np.zeros(n), np.ones(n))
    for test in np.unique(experiment):
        k = np.flatnonzero(experiment == test)
        if len(k) < _LEAST_OF_TEST:
            continue
        usual, spread = _running_median(votes[k], quality[k])
        fit.shortfall[k] = usual - quality[k]
        fit.deviations[k] = fit.shortfall[k] / np.maximum(spread, _LEAST_SPREAD)
        left = votes[k] - _running_median(quality[k], votes[k])[0]
        for t in np.unique(title[k]):
            own = title[k] == t
            left[own] -= np.median(left[own]) * own.sum() / (own.sum() + _SHRINKAGE)
        fit.spread[k] = max(1.4826 * float(np.median(np.abs(left))), 1.0)
        fit.surplus[k] = left / fit.spread[k]
    return fit


def shortfall_faults(quality: Floats, votes: Floats, fit: VoteFit) -> list[Fault]:
    """Finds clips that people like and whose features are far too low for that."""
    far = (votes >= _GOOD) & (fit.deviations > _FAR_OFF) & (fit.shortfall > _LEAST_SHORTFALL)
    return [
        Fault(
            int(k),
            OUT_OF_STEP,
            f"votes are {votes[k]:.0f} of 100 and its quality is {quality[k]:.0f} points, where "
            f"{quality[k] + fit.shortfall[k]:.0f} is usual ({fit.deviations[k]:.0f} deviations)",
            0.8,
        )
        for k in np.flatnonzero(far)
    ]


def swap_faults(
    votes: Floats,
    fit: VoteFit,
    experiment: Integers,
    title: Integers,
    known_bad: npt.NDArray[np.bool_],
) -> list[Fault]:
    """Finds pairs of clips of one test whose votes would fit if they were exchanged.

    Args:
        known_bad: Clips whose features are wrong, so that their votes show nothing, `[c]`.
    """
    faults: list[Fault] = []
    free = ~known_bad
    order = np.argsort(-fit.surplus)
    for k in order[(fit.surplus[order] > _SWAP_NEAR) & free[order]].tolist():
        low = np.flatnonzero(free & (fit.surplus < -_SWAP_NEAR) & (experiment == experiment[k]))
        given = (votes[low] - votes[k]) / fit.spread[k]
        after = np.stack([fit.surplus[k] + given, fit.surplus[low] - given])
        gain = np.square(fit.surplus[k]) + np.square(fit.surplus[low]) - np.square(after).sum(0)
        gain[np.abs(after).max(0, initial=0.0) > _SWAP_NEAR] = 0.0
        gain[title[low] != title[k]] *= 0.5  # of which there are many more pairs
        if not (free[k] and low.size and gain.max() > _SWAP_GAIN):
            continue
        other = int(low[gain.argmax()])
        free[[k, other]] = False
        for one, two in ((k, other), (other, k)):
            seen = (
                f"votes are {votes[one]:.0f} of 100, {fit.surplus[one]:+.1f} deviations off; with "
                f"the {votes[two]:.0f} of the other clip both fit"
            )
            faults.append(Fault(one, SWAPPED, seen, 0.9, two))
    return faults


class SubjectFault(NamedTuple):
    """A subject who does not vote as the others do.

    Attributes:
        subject: Number.
        seen: The figures, for people.
        confidence: That it is so, 0-1.
    """

    subject: int
    seen: str
    confidence: float


def subject_faults(clip: Integers, subject: Integers, score: Floats) -> list[SubjectFault]:
    """Finds subjects of one test who vote at random or upside down.

    A subject's votes are correlated with the mean of the others' on the same clips; a subject is
    named where the correlation is so low that chance does not explain it.

    Args:
        clip, subject: Of each vote, `[n]`, numbered from 0 without gaps.
        score: The votes, `[n]`.
    """
    total, count = np.bincount(clip, score), np.bincount(clip)
    faults = []
    for one in range(int(subject.max()) + 1):
        own = np.flatnonzero((subject == one) & (count[clip] > 1))
        others = (total[clip[own]] - score[own]) / np.maximum(count[clip[own]] - 1, 1)
        if len(own) < 8 or np.ptp(others) == 0:
            continue
        same = np.ptp(score[own]) == 0
        r = 0.0 if same else float(np.corrcoef(score[own], others)[0, 1])
        above = math.tanh(
            math.atanh(np.clip(r, -0.999, 0.999)) + _CERTAIN / math.sqrt(len(own) - 3)
        )
        if r < -_AGREEING and above < 0:
            way = "upside down"
        elif above < 2 * _AGREEING and r < _AGREEING:
            way = "at random"
        else:
            continue
        seen = f"votes {way}: correlation {r:+.2f} with the mean of the others on {len(own)} clips"
        faults.append(SubjectFault(one, seen, 0.95))
    return faults


def repeated_votes(clip: Integers, subject: Integers, score: Floats) -> list[Fault]:
    """Finds pairs of clips on which every subject voted the same, where that is no coincidence.

    Args:
        clip, subject: Of each vote, `[n]`, numbered from 0 without gaps.
        score: The votes, `[n]`.
    """
    votes = np.full((int(clip.max()) + 1, int(subject.max()) + 1), np.nan)
    votes[clip, subject] = score
    first: dict[bytes, int] = {}
    faults = []
    for k, row in enumerate(votes):
        other = first.setdefault(row.tobytes(), k)
        voted = row[np.isfinite(row)]
        _, counts = np.unique(voted, return_counts=True)
        # Of giving these votes to these subjects: n! over the factorials of the counts.
        ways = float(gammaln(len(voted) + 1) - gammaln(counts + 1).sum()) / math.log(10)
        if other != k and ways > _COINCIDENCE:
            seen = f"all {len(voted)} subjects voted as on the other clip, one of 1e{ways:.0f} ways"
            faults += [Fault(k, DUPLICATE, seen, 0.8, other), Fault(other, DUPLICATE, seen, 0.8, k)]
    return faults


def _running_median(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Returns median and spread of `y` among the points nearest in rank of `x`, `[c]` each.

    The medians are of what Tukey's resistant line leaves, or they would be level at both ends.
    """
    order = np.argsort(x, kind="stable")
    third = max(len(x) // 3, 1)
    left, right = order[:third], order[-third:]
    run = float(np.median(x[right]) - np.median(x[left]))
    slope = float(np.median(y[right]) - np.median(y[left])) / run if run > 0 else 0.0
    y = y - slope * x
    half = min(max(7, int(_SHARE * len(x))), (len(x) - 1) // 2)
    first = np.clip(np.arange(len(x)) - half, 0, len(x) - 2 * half - 1)
    window = y[order][first[:, None] + np.arange(2 * half + 1)]
    middle = np.median(window, axis=1)
    spread = 1.4826 * np.median(np.abs(window - middle[:, None]), axis=1)
    place = np.empty_like(order)
    place[order] = np.arange(len(x))
    return middle[place] + slope * x, spread[place]


OTHER_MODEL = "other_model"

_ROUNDING = 0.05  # points; logs have six decimals of features and scores
_TIMES_USUAL = 10.0  # features of other extractors move all clips a little
_MOST_USUAL = 1.0  # points; more is another model's column


def teacher_faults(label: Floats, name: str, scores: Mapping[str, Floats]) -> list[Fault]:
    """Finds clips whose label column `name` does not follow from their features.

    Args:
        label: Of some frames of each clip, points, `[c, s]`.
        scores: What models say of the same frames, points, `[c, s]`, by name; `name` is among them.
    """
    error = np.abs(label - scores[name]).max(1)
    usual = min(float(np.median(error)), _MOST_USUAL)
    limit = max(_ROUNDING, _TIMES_USUAL * usual)
    faults = []
    for k in np.flatnonzero(error > limit).tolist():
        off = np.abs(label[k] - scores[name]).max(1)
        other = int(off.argmin())
        models = [m for m in scores if np.abs(label[k] - scores[m][k]).max() <= limit]
        seen = f"{name} is {error[k]:.2f} points off what the model says of the features"
        if off[other] <= limit and np.ptp(label[k]) > 0:
            seen = f"{seen}; it is that of the other clip"
            faults.append(Fault(k, SWAPPED, seen, 0.99, other))
        elif models:
            faults.append(Fault(k, OTHER_MODEL, f"{seen}; it is the column of {models[0]}", 0.99))
        else:
            faults.append(Fault(k, OTHER_MODEL, f"{seen} (limit {limit:.2f})", 0.9))
    return faults
