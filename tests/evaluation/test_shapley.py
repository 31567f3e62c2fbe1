"""Shapley values are those of the definition, and add up."""

import itertools
import math

import numpy as np

from vmaf_jax.evaluation.shapley import shapley_values


def value(rows):
    """A function whose features interact."""
    a, b, c, d = rows.T
    return np.clip(a * b + np.sin(c) - 0.5 * d * a**2, -1, 1)


def test_values_are_means_over_all_orders_of_joining():
    rows, baseline = np.random.default_rng(0).uniform(-2, 2, (2, 5, 4))
    expected = np.zeros((5, 4))
    for order in itertools.permutations(range(4)):
        mixed = baseline.copy()
        for feature in order:
            before = value(mixed)
            mixed[:, feature] = rows[:, feature]
            expected[:, feature] += (value(mixed) - before) / math.factorial(4)
    shares = shapley_values(value, rows, baseline)
    np.testing.assert_allclose(shares, expected, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), value(rows) - value(baseline), atol=1e-12)


def test_features_of_the_baseline_add_nothing_and_long_clips_are_taken_in_parts():
    rows = np.random.default_rng(1).uniform(-2, 2, (3000, 4))
    baseline = np.where(np.arange(4) == 2, rows, 1.0)
    shares = shapley_values(value, rows, baseline)
    assert not shares[:, 2].any()
    np.testing.assert_allclose(shares.sum(axis=1), value(rows) - value(baseline), atol=1e-12)
    assert not shapley_values(value, baseline, baseline).any()
