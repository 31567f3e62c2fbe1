import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.models import Student
from vmaf_jax.models.attention import FrameAttention

STUDENT = Student("attention", teacher="vmaf_4k_v0.6.1")
RNG = np.random.default_rng(0)
FEATURES = np.sort(RNG.uniform(0.2, 1, (3, 6, 6)), axis=-1).astype(np.float32)
FRAMES = (np.arange(6) < np.array([6, 4, 1])[:, None]).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    """Parameters that are all in play."""
    fresh = STUDENT.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf + 0.1, fresh["params"])
    scaler = {"mean": jnp.array([60.0, 0.2]), "inv_std": jnp.array([0.04, 5.0])}
    return {"params": params, "scaler": scaler}


def test_padding_changes_nothing(variables):
    expected = STUDENT.predict(variables, FEATURES, FRAMES)
    garbage = np.where(FRAMES[..., None] > 0, FEATURES, 0.9)
    wider = np.pad(garbage, ((0, 0), (0, 5), (0, 0)), constant_values=0.5).astype(np.float32)
    frames = np.pad(FRAMES, ((0, 0), (0, 5)))
    np.testing.assert_allclose(STUDENT.predict(variables, wider, frames), expected, atol=1e-4)


def test_the_order_of_frames_changes_nothing_and_their_content_does(variables):
    whole = np.ones_like(FRAMES)
    expected = STUDENT.predict(variables, FEATURES, whole)
    turned = STUDENT.predict(variables, FEATURES[:, ::-1].copy(), whole)
    np.testing.assert_allclose(turned, expected, atol=2e-3)  # the SVR in float32
    worse = FEATURES.copy()
    worse[:, 0, 0] *= 0.7
    assert (np.asarray(STUDENT.predict(variables, worse, whole)) != expected).all()


def test_a_lone_row_is_a_clip_of_one_frame(variables):
    rows = STUDENT.predict(variables, FEATURES[:, 0])
    clips = STUDENT.predict(variables, FEATURES[:, :1], np.ones((3, 1), np.float32))
    np.testing.assert_array_equal(rows, clips)


def test_uniform_weights_are_mean_pooling():
    """With keys that cancel, the latent is the read-out of the mean over frames."""
    network = FrameAttention(1)
    x = jnp.asarray(RNG.normal(size=(3, 6, 2)), jnp.float32)
    frames = jnp.asarray(FRAMES)
    params = network.init(jax.random.key(0), x, frames)["params"]
    params = {**params, "keys": jnp.zeros((2, 2)).at[0, 0].set(-13.0)}  # the start's 1.3 undone
    means = jnp.sum(frames[..., None] * x, axis=1) / jnp.sum(frames, axis=1)[:, None]
    one_frame = network.apply({"params": params}, means[:, None], jnp.ones((3, 1)))
    np.testing.assert_allclose(
        network.apply({"params": params}, x, frames), one_frame, rtol=1e-4, atol=1e-5
    )


def test_it_favours_the_better_frames_at_the_start():
    """Half of the frames far worse: the score stays nearer the better half's."""
    fresh = STUDENT.init(jax.random.key(0))
    scaler = {"mean": jnp.array([60.0, 0.2]), "inv_std": jnp.array([0.04, 5.0])}
    good = np.array([0.97, 0.6, 0.9, 0.95, 0.97, 5.0], np.float32)
    bad = np.array([0.6, 0.1, 0.3, 0.4, 0.5, 5.0], np.float32)
    clips = np.stack([[good] * 4, [bad] * 4, [good, bad] * 2])
    high, low, mixed = np.asarray(
        STUDENT.predict({"params": fresh["params"], "scaler": scaler}, clips, np.ones((3, 4), "f"))
    )
    assert high - mixed < 0.25 * (high - low)
