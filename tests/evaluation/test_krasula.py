import math

import numpy as np
import pytest
import scipy.stats

from vmaf_jax.evaluation.krasula import (
    Pairs,
    _delong,
    _delong_mirrored,
    analyse_pairs,
    auc,
    compare_on_pairs,
    pair_clips,
)
from vmaf_jax.evaluation.opinions import Opinions


def published():
    """The example of libvmaf's tests: raw scores of 4 clips by 10 viewers, |z| > 2 is different,
    all ordered pairs, those of a clip with itself too."""
    raw = np.random.RandomState(1).normal(0, 1.0, [4, 10]) + np.arange(1, 5)[:, None]
    mean, error = raw.mean(axis=1), raw.var(axis=1, ddof=1) / 10
    first, second = (index.ravel() for index in np.indices((4, 4)))
    z = (mean[first] - mean[second]) / np.sqrt(error[first] + error[second])
    return Pairs(first, second, np.where(np.abs(z) > 2, np.sign(z), 0).astype(np.int64))


MODELS = np.array([1.0, 2, 3, 4]), np.array([3.0, 1, 2, 4])


@pytest.mark.parametrize(
    ("model", "expected"), [(0, (0.9375, 1.0, 1.0)), (1, (0.625, 0.8125, 0.75))]
)
def test_the_published_example(model, expected):
    result = analyse_pairs(MODELS[model], published())
    figures = (result.auc_different_similar, result.auc_better_worse, result.correct)
    assert figures == pytest.approx(expected, abs=1e-6)


def test_the_published_p_values():
    pairs = published()
    assert compare_on_pairs(*MODELS, pairs)["auc_different_similar"] == pytest.approx(
        0.02746864, abs=1e-6
    )
    better = [(pairs.differences(m) * pairs.outcome)[pairs.outcome != 0] for m in MODELS]
    as_published = _delong((better[0], -better[0]), (better[1], -better[1]))
    assert as_published == pytest.approx(0.06136883, abs=1e-6)
    # Its variance is half the true one: a pair's two ways round are taken as independent.
    m = len(better[0])
    z = scipy.stats.norm.isf(as_published / 2) / math.sqrt(2)
    ours = _delong_mirrored(*better)
    assert ours == pytest.approx(2 * scipy.stats.norm.sf(z), rel=1e-6)
    assert m == 8


def test_the_better_worse_test_errs_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials, corrected, uncorrected = 400, 0, 0
    for _ in range(trials):
        a, b = rng.normal(0.7, 1, (2, 80))  # two models of the same skill
        corrected += _delong_mirrored(a, b) < 0.05
        uncorrected += _delong((a, -a), (b, -b)) < 0.05
    # Two standard deviations of 400 trials at 0.05 are 0.022.
    assert 0.025 <= corrected / trials <= 0.08
    assert uncorrected / trials > 0.1


def test_pairs_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    n = 24
    mos, half = rng.uniform(20, 80, n), rng.uniform(3, 12, n)
    experiment = rng.choice(["x", "y"], n)
    pairs = pair_clips(Opinions.of(mos, ["s"] * n, experiment, half))
    expected = {}
    for i in range(n):
        for j in range(i + 1, n):
            if experiment[i] == experiment[j]:
                error = math.sqrt((half[i] / 1.96) ** 2 + (half[j] / 1.96) ** 2)
                z = (mos[i] - mos[j]) / error
                expected[i, j] = 1 if z > 1.96 else -1 if z < -1.96 else 0
    rows = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    assert dict(zip(rows, pairs.outcome.tolist(), strict=True)) == expected
    assert set(expected.values()) == {-1, 0, 1}


def test_auc_counts_ties_half_and_is_mann_whitneys():
    rng = np.random.default_rng(4)
    a, b = np.round(rng.normal(1, 1, 30)), np.round(rng.normal(0, 1, 20))
    loop = np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b])
    assert auc(a, b) == pytest.approx(loop)
    assert auc(a, b) == pytest.approx(scipy.stats.mannwhitneyu(a, b).statistic / 600)


def test_a_perfect_and_a_backward_model():
    mos = np.linspace(0, 100, 12)
    pairs = pair_clips(Opinions.of(mos, ["s"] * 12, None, np.full(12, 10.0)))
    perfect, backward = analyse_pairs(mos, pairs), analyse_pairs(-mos, pairs)
    assert (perfect.auc_better_worse, perfect.correct) == (1.0, 1.0)
    assert perfect.auc_different_similar == 1.0
    assert (backward.auc_better_worse, backward.correct) == (0.0, 0.0)
    test = compare_on_pairs(mos, -mos, pairs)
    assert test["auc_better_worse"] == 0.0
    assert test["auc_different_similar"] == 1.0
    assert test["correct"] < 1e-6


def test_a_model_that_says_the_same_of_every_clip_is_right_in_no_pair():
    mos = np.linspace(0, 100, 12)
    pairs = pair_clips(Opinions.of(mos, ["s"] * 12, None, np.full(12, 10.0)))
    constant = analyse_pairs(np.full(12, 50.0), pairs)
    assert constant.different > 0
    assert constant.correct == 0.0
    assert (constant.auc_better_worse, constant.auc_different_similar) == (0.5, 0.5)
    # Beside one that is right in all: Fisher's exact test of the two shares.
    n = constant.different
    expected = scipy.stats.fisher_exact([[0, n], [n, 0]]).pvalue
    test = compare_on_pairs(np.full(12, 50.0), mos, pairs)
    assert test["correct"] == pytest.approx(expected, rel=1e-9, abs=0)


def test_without_a_kind_of_pair_figures_are_undefined():
    pairs = pair_clips(Opinions.of([50.0, 50.5, 51.0], ["s"] * 3, None, [9.0] * 3))
    result = analyse_pairs(np.array([1.0, 2.0, 3.0]), pairs)
    assert (result.different, result.similar) == (0, 3)
    assert math.isnan(result.auc_better_worse)
    assert math.isnan(result.correct)
    alone = pair_clips(Opinions.of([50.0], ["s"], None, [9.0]))
    assert analyse_pairs(np.array([1.0]), alone).similar == 0


def test_pairs_need_intervals():
    with pytest.raises(ValueError, match="intervals"):
        pair_clips(Opinions.of([1.0, 2.0], ["s", "s"]))
