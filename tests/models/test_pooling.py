import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.models.frame_pooling import POOLINGS
from vmaf_jax.models.pooling import check_pooling, pool

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
    assert pool(scores, "mean") == np.mean(scores)
    np.testing.assert_allclose(pool(scores, "percentile 90"), np.percentile(scores, 90), rtol=1e-6)


@pytest.mark.parametrize("name", ["median", "percentile", "percentile x", "percentile 101", 3, ""])
def test_unknown_poolings_are_refused(name):
    with pytest.raises(InputError, match=r"m\.json: pooling"):
        check_pooling(name, "m.json")
