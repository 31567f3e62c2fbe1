"""Can a model tell clips apart, and which is better? Krasula's two analyses of pairs of clips.

Pairs are of one experiment. Two clips are *different* when their opinion scores are apart by more
than chance, |mos_a - mos_b| > 1.96 sqrt(se_a^2 + se_b^2), which with ci95 = 1.96 se is
sqrt(ci95_a^2 + ci95_b^2); otherwise they are *similar*.

    different/similar  AUC of |difference of predictions| as a detector of different pairs
    better/worse       AUC of the difference of predictions as a detector of the better clip, over
                       the different pairs, each taken both ways round
    correct            share of different pairs whose better clip has the higher prediction

Two models are compared over the same pairs by DeLong's test. The better/worse test counts a pair
once: DeLong's own variance takes its two ways round as independent, and is half the true one.
Pairs share clips, so these tests are optimistic by far; `paired_difference` goes over sources.
Source: "On the accuracy of objective image and video quality models: new methodology for
performance evaluation", Krasula et al., QoMEX 2016; DeLong et al., Biometrics 44 (1988), 837-845.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy.stats

from vmaf_jax.evaluation.opinions import Opinions

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of clips of one experiment, a pair once.

    Attributes:
        first, second: rows of the clips, `[p]`.
        outcome: 1 where the first is better, -1 where the second is, 0 where they are similar.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int64]

    def differences(self, predicted: Floats) -> Floats:
        """First less second, `[p]`."""
        return predicted[self.first] - predicted[self.second]


@dataclasses.dataclass(frozen=True)
class Krasula:
    """The analyses of one model; NaN where one kind of pair is missing.

    Attributes:
        different, similar: how many pairs.
        auc_different_similar, auc_better_worse, correct: in [0, 1].
    """

    different: int
    similar: int
    auc_different_similar: float
    auc_better_worse: float
    correct: float


@dataclasses.dataclass(frozen=True)
class KrasulaTest:
    """Two-sided p values that two models do the same, pairs taken as independent: DeLong's test of
    both AUC, Fisher's exact test of the share correct."""

    different_similar: float
    better_worse: float
    correct: float


def pairs_of(opinions: Opinions) -> Pairs:
    """All pairs of clips within an experiment, and what the viewers say of them.

    Raises:
        ValueError: the opinions have no intervals.
    """
    if opinions.ci95 is None:
        raise ValueError("pairs need the intervals of the opinion scores.")
    rows = [np.flatnonzero(opinions.experiment == e) for e in sorted(set(opinions.experiment))]
    chosen = [r[np.stack(np.triu_indices(len(r), 1))] for r in rows]
    first, second = np.concatenate(chosen, axis=1)
    gap = opinions.mos[first] - opinions.mos[second]
    apart = np.abs(gap) > np.hypot(opinions.ci95[first], opinions.ci95[second])
    return Pairs(first, second, np.where(apart, np.sign(gap), 0).astype(np.int64))


def krasula(predicted: Floats, pairs: Pairs) -> Krasula:
    """Both analyses of predictions `[n]`."""
    gaps = pairs.differences(predicted)
    different, similar = _split(gaps, pairs)
    better = _better(gaps, pairs)
    return Krasula(
        different=len(different),
        similar=len(similar),
        auc_different_similar=auc(different, similar),
        auc_better_worse=auc(better, -better),
        correct=float(np.mean(better > 0)) if better.size else math.nan,
    )


def krasula_test(first: Floats, second: Floats, pairs: Pairs) -> KrasulaTest:
    """Do two models, predictions `[n]` each, do the same over these pairs?"""
    gaps = [pairs.differences(predicted) for predicted in (first, second)]
    split = [_split(gap, pairs) for gap in gaps]
    better = [_better(gap, pairs) for gap in gaps]
    correct = [int((gap > 0).sum()) for gap in better]
    wrong = [len(gap) - int((gap > 0).sum()) for gap in better]
    return KrasulaTest(
        different_similar=_delong(*split[0], *split[1]),
        better_worse=_delong_of_mirrored(*better),
        correct=float(scipy.stats.fisher_exact([correct, wrong]).pvalue),
    )


def auc(positive: Floats, negative: Floats) -> float:
    """The share of (positive, negative) where the positive is higher, ties half; NaN if none."""
    if not (positive.size and negative.size):
        return math.nan
    return float(_placements(positive, negative)[0].mean())


def _split(gaps: Floats, pairs: Pairs) -> tuple[Floats, Floats]:
    size = np.abs(gaps)
    return size[pairs.outcome != 0], size[pairs.outcome == 0]


def _better(gaps: Floats, pairs: Pairs) -> Floats:
    """Better less worse, by prediction, of the different pairs."""
    return (gaps * pairs.outcome)[pairs.outcome != 0]


def _placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Shares: per positive, of the negatives below it; per negative, of the positives above it."""
    m, n = len(positive), len(negative)
    ranks = scipy.stats.rankdata(np.concatenate([positive, negative]))
    among_positive, among_negative = map(scipy.stats.rankdata, (positive, negative))
    return (ranks[:m] - among_positive) / n, 1 - (ranks[m:] - among_negative) / m


def _delong(
    positive: Floats, negative: Floats, other_positive: Floats, other_negative: Floats
) -> float:
    """The p value of two AUC over the same positives and negatives."""
    if min(len(positive), len(negative)) < 2:
        return math.nan
    ours, theirs = _placements(positive, negative), _placements(other_positive, other_negative)
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    variance = sum(float(np.var(gap, ddof=1)) / len(gap) for gap in gaps)
    return _p_value(float(gaps[0].mean()), variance)


def _delong_of_mirrored(better: Floats, other: Floats) -> float:
    """The same where the negatives are the positives with the sign turned: one sample, not two, so
    a pair's part in the AUC is the sum of its two placements."""
    if len(better) < 2:
        return math.nan
    ours, theirs = (np.sum(_placements(gap, -gap), axis=0) for gap in (better, other))
    gap = ours - theirs
    return _p_value(float(gap.mean()) / 2, float(np.var(gap, ddof=1)) / len(gap))


def _p_value(difference: float, variance: float) -> float:
    if variance <= 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * scipy.stats.norm.sf(abs(difference) / math.sqrt(variance)))
