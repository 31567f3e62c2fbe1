import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.evaluation.bootstrap import Moments, interval, plcc_of, rmse_of
from vmaf_jax.evaluation.metrics import plcc, rmse


def case(seed, candidates=2, seeds=2, sources=5, per_source=6, sigma=1.0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(sources), per_source)
    true = rng.uniform(0, 100, len(group))
    error = rng.normal(0, sigma, (candidates, seeds, sources))[:, :, group]
    error = error + rng.normal(0, sigma, (candidates, seeds, len(group)))
    return true + error, true, group


@given(st.integers(0, 200))
def test_moments_give_the_metrics(seed):
    predicted, true, group = case(seed)
    total = Moments.of(predicted, true, group).total()
    for k in range(2):
        both = (predicted[k].ravel(), np.tile(true, 2))
        assert rmse_of(total)[k, 0] == pytest.approx(rmse(*both), rel=1e-9)
        assert plcc_of(total)[k, 0] == pytest.approx(plcc(*both), rel=1e-9)


def test_a_resample_is_that_of_the_rows():
    predicted, true, group = case(0, candidates=1, seeds=1)
    drawn = Moments.of(predicted, true, group).resampled(3, seed=4)
    rng = np.random.default_rng(4)
    counts = rng.multinomial(5, np.full(5, 0.2), 3)
    for b in range(3):
        rows = np.concatenate(
            [np.flatnonzero(group == g) for g in range(5) for _ in range(counts[b, g])]
        )
        assert rmse_of(drawn)[0, b] == pytest.approx(rmse(predicted[0, 0, rows], true[rows]))


def test_draws_are_paired():
    predicted, true, group = case(1)
    predicted[1] = predicted[0]
    drawn = rmse_of(Moments.of(predicted, true, group).resampled(50))
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_intervals_cover_a_known_rmse():
    # Source effect and row noise of variance 1 each: the true RMSE is sqrt(2).
    hits = 0
    for seed in range(200):
        predicted, true, group = case(seed, candidates=1, seeds=1, sources=40)
        low, high = interval(rmse_of(Moments.of(predicted, true, group).resampled(400))[0])
        hits += low <= np.sqrt(2) <= high
    assert 0.88 <= hits / 200 <= 0.99  # nominal 0.95; percentile intervals run a little short
