"""Labels that cannot be right: votes apart from the rest of their test, columns of other models.

`quality` is what a VMAF model says of a clip's features, in points; votes are means on 0-100.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from vmaf_jax.evaluation.table_faults import DUPLICATE, OUT_OF_STEP, Fault, Floats, Integers

SWAPPED = "swapped_labels"
SUBJECT = "unreliable_subject"

_GOOD = 62.5  # votes, 3.5 on 1 to 5, that a clip of low quality cannot have
_LEAST_SPREAD = 3.0  # points, of quality at equal votes
_LEAST_CLIPS = 15  # of a test, that show what is usual
_SHARE = 0.1  # of a test's clips, on either side, whose median is usual
_FAR = 8.0  # deviations; clips in step of nine laboratory tests are up to 7 off
_LEAST_SHORTFALL = 12.0  # points
_SHRINKAGE = 4.0  # clips that a title's offset counts as none
_SWAP_NEAR = 2.5  # deviations that both clips may have after the exchange, and have before
_SWAP_GAIN = 30.0  # squared deviations that it takes away; no chance pair of nine tests has as many
_AGREEING = 0.25  # correlation with the others; the least of 173 laboratory subjects has 0.54
_CERTAIN = 2.6  # deviations of Fisher's z
_COINCIDENCE = 4.0  # decimal logarithm of the ways to give a clip's votes to its subjects


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
        if len(k) < _LEAST_CLIPS:
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
    far = (votes >= _GOOD) & (fit.deviations > _FAR) & (fit.shortfall > _LEAST_SHORTFALL)
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
