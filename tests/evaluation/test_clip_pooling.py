"""Poolings of a clip, against a plain loop over its frames and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import (
    POOLS,
    PooledScore,
    apply_pooling,
    check_pooling,
    pool_clip,
)
from vmaf_jax.models.frame_pooling import POOLINGS


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return np.clip(80 + np.cumsum(rng.normal(0, 2, 300)), 0, 100)


@pytest.mark.parametrize(("pool", "level"), [("p1", 1), ("p5", 5), ("p10", 10), ("median", 50)])
def test_percentiles_are_scipys(scores, pool, level):
    expected = scipy.stats.scoreatpercentile(scores, level)
    assert pool_clip(scores, pool) == pytest.approx((expected, 0, 299))


def test_means(scores):
    assert pool_clip(scores, "mean").score == pytest.approx(sum(scores) / 300)
    harmonic = scipy.stats.hmean(scores + 1) - 1
    assert pool_clip(scores, "harmonic").score == pytest.approx(harmonic)
    assert pool_clip(np.array([0.0, 50.0, 100.0]), "harmonic").score > 0


@pytest.mark.parametrize("rate", [24.0, 23.976, 59.94, 0.4, 1000.0])
def test_the_worst_second_is_the_lowest_of_all_windows(scores, rate):
    length = min(max(1, round(rate)), 300)
    windows = [scores[k : k + length].mean() for k in range(300 - length + 1)]
    k = int(np.argmin(windows))
    found = pool_clip(scores, "worst-second", rate=rate)
    assert found == pytest.approx((windows[k], k, k + length - 1))


def test_the_worst_shot_is_the_lowest_of_all_shots(scores):
    cuts = [40, 41, 250]
    shots = [scores[a:b].mean() for a, b in [(0, 40), (40, 41), (41, 250), (250, 300)]]
    k = int(np.argmin(shots))
    found = pool_clip(scores, "worst-shot", cuts=cuts)
    assert found == pytest.approx((shots[k], [0, *cuts][k], [39, 40, 249, 299][k]))
    assert pool_clip(scores, "worst-shot") == pytest.approx((scores.mean(), 0, 299))


def test_the_first_of_equal_moments_is_taken():
    scores = np.array([50.0, 50, 90, 50, 50, 90])
    assert pool_clip(scores, "worst-second", rate=2.0) == PooledScore(50, 0, 1)


def test_a_clip_of_one_frame_has_every_pooling():
    for pool in POOLS:
        assert pool_clip(np.array([70.0]), pool, rate=25.0) == pytest.approx((70, 0, 0))


def test_what_cannot_be_pooled():
    with pytest.raises(InputError, match=r"--pool p50: no such pooling; .*Did you mean p5\?"):
        pool_clip(np.ones(3), "p50")
    with pytest.raises(InputError, match="no frame rate"):
        pool_clip(np.ones(3), "worst-second")


def test_a_second_is_so_many_frames_though_some_have_no_score():
    numbers = np.array([0, 1, 2, 3, 8, 9, 10, 11, 12, 13])
    scores = np.array([90.0, 90, 90, 90, 10, 94, 50, 50, 90, 90])
    # Four numbers from 5 hold frame 8 alone, whose mean would be the lowest.
    assert pool_clip(scores, "worst-second", rate=4.0, numbers=numbers) == PooledScore(51, 4, 7)
    every_second = np.arange(0, 20, 2)
    found = pool_clip(scores, "worst-second", rate=4.0, numbers=every_second)
    assert found == PooledScore(50, 3, 4)


RNG = np.random.default_rng(0)
SCORES = RNG.uniform(5, 95, (4, 9)).astype(np.float32)
LENGTHS = (9, 5, 2, 1)
FRAMES = (np.arange(9) < np.array(LENGTHS)[:, None]).astype(np.float32)
PLAIN: dict = {
    "mean": lambda s, level: np.mean(s),
    "harmonic_mean": lambda s, level: 1 / np.mean(1 / (s + 1)) - 1,
    "minkowski": lambda s, level: np.sqrt(np.mean(np.square(s))),
    "percentile": np.percentile,
}


@pytest.mark.parametrize("level", [0, 25, 90, 100])
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_equals_a_plain_loop(name, level):
    got = POOLINGS[name](jnp.asarray(SCORES), jnp.asarray(FRAMES), float(level))
    expected = [PLAIN[name](row[:n], level) for row, n in zip(SCORES, LENGTHS, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_padding_and_order_of_frames_change_nothing(name):
    other = np.where(FRAMES > 0, SCORES, 1e6).astype(np.float32)
    wider = np.pad(other, ((0, 0), (0, 3)), constant_values=-7)
    frames = np.pad(FRAMES, ((0, 0), (0, 3)))
    shuffled = wider.copy()
    shuffled[:, :2] = wider[:, 1::-1]  # the first two frames, which three of the clips have
    expected = np.asarray(POOLINGS[name](jnp.asarray(SCORES), jnp.asarray(FRAMES), 80.0))
    got = np.asarray(POOLINGS[name](jnp.asarray(wider), jnp.asarray(frames), 80.0))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    got = np.asarray(POOLINGS[name](jnp.asarray(shuffled), jnp.asarray(frames), 80.0))
    np.testing.assert_allclose(got[:3], expected[:3], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_gradients_are_finite_and_of_real_frames_alone(name):
    def total(scores):
        return jnp.sum(POOLINGS[name](scores, jnp.asarray(FRAMES), 80.0))

    gradient = np.asarray(jax.grad(total)(jnp.asarray(SCORES)))
    assert np.isfinite(gradient).all()
    assert (gradient[FRAMES == 0] == 0).all()
    assert (gradient[FRAMES > 0] >= 0).all()


def test_the_soft_percentile_follows_the_percentile():
    scores = jnp.asarray(np.sort(RNG.uniform(0, 100, (1, 400))).astype(np.float32))
    for level in (20.0, 50.0, 80.0):
        soft = POOLINGS["soft_percentile"](scores, jnp.ones_like(scores), level)
        assert abs(float(soft[0]) - np.percentile(scores, level)) < 5


def test_a_clip_is_pooled_by_the_name_that_sidecars_give():
    scores = SCORES[0].astype(np.float64)
    assert apply_pooling(scores, "mean") == np.mean(scores)
    np.testing.assert_allclose(
        apply_pooling(scores, "percentile 90"), np.percentile(scores, 90), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["median", "percentile", "percentile x", "percentile 101", 3, ""])
def test_unknown_poolings_are_refused(name):
    with pytest.raises(InputError, match=r"m\.json: pooling"):
        check_pooling(name, "m.json")
