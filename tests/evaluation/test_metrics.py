import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vmaf_jax.evaluation.metrics import (
    all_metrics,
    krocc,
    mae,
    max_abs,
    plcc,
    range_rmse,
    rmse,
    srocc,
    ulp_distance,
)

# Whole points between the ends: many ties, as where scores saturate.
tied_scores = hnp.arrays(
    np.float64, st.integers(3, 30), elements=st.integers(0, 12).map(lambda k: 100 * k / 12)
)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def ranks(values):
    """Average ranks by counting, without SciPy."""
    return np.array([(np.sum(values < v) + np.sum(values <= v) + 1) / 2 for v in values])


@given(tied_scores, st.randoms())
def test_correlations_against_plain_loops(true, random):
    predicted = np.clip(true + [random.choice([-9, 0, 0, 9]) for _ in true], 0, 100)
    assume(np.ptp(true) > 0 and np.ptp(predicted) > 0)

    def pearson(a, b):
        a, b = a - a.mean(), b - b.mean()
        return np.sum(a * b) / math.sqrt(np.sum(a * a) * np.sum(b * b))

    assert plcc(predicted, true) == pytest.approx(pearson(predicted, true), abs=1e-12)
    spearman = pearson(ranks(predicted), ranks(true))
    assert srocc(predicted, true) == pytest.approx(spearman, abs=1e-12)
    kendall = scipy.stats.kendalltau(predicted, true).statistic
    assert krocc(predicted, true) == pytest.approx(kendall, abs=1e-12)


@given(tied_scores)
def test_srocc_sees_ranks_only(true):
    assume(np.ptp(true) > 0)
    predicted = true[::-1].copy()
    value = srocc(np.exp(predicted / 50), true)
    assert value == pytest.approx(srocc(predicted, true), abs=1e-12)


def test_errors_in_points():
    predicted, true = [10.0, 20.0, 90.0], [13.0, 16.0, 90.0]
    assert rmse(predicted, true) == pytest.approx(math.sqrt((9 + 16) / 3))
    assert mae(predicted, true) == pytest.approx(7 / 3)
    assert max_abs(predicted, true) == 4


def test_ends_have_their_counts():
    true = np.array([0, 20, 20.1, 79.9, 80, 100])
    predicted = np.array([1.0, 20, 0, 0, 80, 97])
    ends = all_metrics(predicted, true).endpoint_rmse
    assert ends.low.rmse == pytest.approx(math.sqrt(0.5))
    assert ends.high.rmse == pytest.approx(math.sqrt(4.5))
    assert (ends.low.n, ends.high.n) == (2, 2)
    assert range_rmse(predicted, true, 50.0, 60.0).n == 0


def test_constants_and_nothing_are_undefined():
    assert math.isnan(plcc([1, 1, 1], [1, 2, 3]))
    assert math.isnan(srocc([1, 2], [5, 5]))
    assert math.isnan(krocc([], []))
    assert math.isnan(rmse([], []))


def ulps(a, b):
    return int(ulp_distance(np.array([a], np.float32), np.array([b], np.float32))[0])


@given(finite)
def test_neighbours_are_one_apart(value):
    x = np.float32(value)
    with np.errstate(over="ignore"):  # the largest float's neighbour is infinite
        up = np.nextafter(x, np.float32(np.inf))
    if np.isfinite(up):
        assert ulps(x, up) == 1
    assert ulps(x, x) == 0


@given(finite, finite, finite)
def test_it_is_a_distance(a, b, c):
    assert ulps(a, b) == ulps(b, a)
    assert ulps(a, c) <= ulps(a, b) + ulps(b, c)


def test_right_across_zero_and_for_signs():
    tiny = np.nextafter(np.float32(0), np.float32(1))
    assert ulps(0.0, -0.0) == 0
    assert ulps(-tiny, tiny) == 2
    assert ulps(-1.0, 1.0) == 2 * ulps(0.0, 1.0)
    assert ulps(1.0, 1.0 + 2**-23) == 1
