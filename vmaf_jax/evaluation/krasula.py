"""Krasula's two analyses of pairs of clips: whether a model sees a difference, and which is better.

Pairs are of one experiment. Two clips are *different* when their opinion scores are apart by more
than chance, |mos_a - mos_b| > 1.96 sqrt(se_a^2 + se_b^2), which with ci95 = 1.96 se is
sqrt(ci95_a^2 + ci95_b^2); otherwise they are *similar*.

    different/similar  AUC of |difference of predictions| as a detector of different pairs
    better/worse       AUC of the difference of predictions as a detector of the better clip, over
                       the different pairs, each taken both ways round
    correct            share of different pairs whose better clip has the higher prediction

Two models are compared over the same pairs by DeLong's test. Pairs share clips, so these tests are
far too optimistic; `opinion_report.paired_differences` takes sources as the sample.
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
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of clips of one experiment, each pair once.

    Attributes:
        first, second: row numbers of the clips, `[p]`.
        outcome: 1 where the first is better, -1 where the second is, 0 where they are similar,
            `[p]`.
    """

    first: Ints
    second: Ints
    outcome: Ints

    def differences(self, predicted: Floats) -> Floats:
        """Returns the prediction of the first clip less that of the second, `[p]`."""
        return predicted[self.first] - predicted[self.second]


@dataclasses.dataclass(frozen=True)
class PairAnalysis:
    """Both analyses of one model; NaN where one kind of pair is missing.

    Attributes:
        different, similar: number of pairs.
        auc_different_similar, auc_better_worse, correct: in [0, 1].
    """

    different: int
    similar: int
    auc_different_similar: float
    auc_better_worse: float
    correct: float


def pair_clips(opinions: Opinions) -> Pairs:
    """Forms all pairs of clips within each experiment and tells which clip the viewers prefer.

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


def analyse_pairs(predicted: Floats, pairs: Pairs) -> PairAnalysis:
    """Computes both analyses of predictions `[n]`."""
    gaps = pairs.differences(predicted)
    different, similar = _absolute_gaps(gaps, pairs)
    better = _better_less_worse(gaps, pairs)
    return PairAnalysis(
        different=len(different),
        similar=len(similar),
        auc_different_similar=auc(different, similar),
        auc_better_worse=auc(better, -better),
        correct=float(np.mean(better > 0)) if better.size else math.nan,
    )


def compare_on_pairs(first: Floats, second: Floats, pairs: Pairs) -> dict[str, float]:
    """Tests whether two models, predictions `[n]` each, do equally well over the same pairs.

    Returns:
        Two-sided p values by figure of `PairAnalysis`, with pairs taken as independent: of the AUC
        by DeLong's test, of the share correct by Fisher's exact test.
    """
    gaps = [pairs.differences(predicted) for predicted in (first, second)]
    better = [_better_less_worse(gap, pairs) for gap in gaps]
    n_correct = [int((gap > 0).sum()) for gap in better]
    n_wrong = [len(gap) - n for gap, n in zip(better, n_correct, strict=True)]
    return {
        "auc_different_similar": _delong(
            _absolute_gaps(gaps[0], pairs), _absolute_gaps(gaps[1], pairs)
        ),
        "auc_better_worse": _delong_mirrored(better[0], better[1]),
        "correct": float(scipy.stats.fisher_exact([n_correct, n_wrong]).pvalue),
    }


def auc(positive: Floats, negative: Floats) -> float:
    """Computes the share of (positive, negative) with the positive higher; ties count half."""
    if not (positive.size and negative.size):
        return math.nan
    return float(_placements(positive, negative)[0].mean())


def _absolute_gaps(gaps: Floats, pairs: Pairs) -> tuple[Floats, Floats]:
    """Splits |difference of predictions| into those of different and of similar pairs."""
    size = np.abs(gaps)
    return size[pairs.outcome != 0], size[pairs.outcome == 0]


def _better_less_worse(gaps: Floats, pairs: Pairs) -> Floats:
    """Returns the prediction of the better clip less that of the worse, of the different pairs."""
    return (gaps * pairs.outcome)[pairs.outcome != 0]


def _placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Returns DeLong's placements: per positive, the share of negatives below it; per negative, the
    share of positives above it."""
    m, n = len(positive), len(negative)
    ranks = scipy.stats.rankdata(np.concatenate([positive, negative]))
    # A rank among all, less the rank within its own sample, counts the other sample's values below.
    among_positive, among_negative = map(scipy.stats.rankdata, (positive, negative))
    return (ranks[:m] - among_positive) / n, 1 - (ranks[m:] - among_negative) / m


def _delong(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float:
    """Returns the p value that two AUC over the same positives and negatives are equal.

    Args:
        first, second: scores of the positives and of the negatives, by each model.
    """
    if min(map(len, first)) < 2:
        return math.nan
    placements = zip(
        _placements(first[0], first[1]), _placements(second[0], second[1]), strict=True
    )
    gaps = [a - b for a, b in placements]
    variance = sum(float(np.var(gap, ddof=1)) / len(gap) for gap in gaps)
    return _normal_p_value(float(gaps[0].mean()), variance)


def _delong_mirrored(first: Floats, second: Floats) -> float:
    """Returns the p value that two better/worse AUC are equal.

    The negatives are the positives with their sign turned: one sample, not two. DeLong's own
    variance would take them as independent and be half the true one, so a pair's two placements are
    added up and the pair counts once.
    """
    if len(first) < 2:
        return math.nan
    gap = np.sum(_placements(first, -first), axis=0) - np.sum(_placements(second, -second), axis=0)
    return _normal_p_value(float(gap.mean()) / 2, float(np.var(gap, ddof=1)) / len(gap))


def _normal_p_value(difference: float, variance: float) -> float:
    if variance <= 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * scipy.stats.norm.sf(abs(difference) / math.sqrt(variance)))
