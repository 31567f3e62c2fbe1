import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vmaf_jax.models import ACTIVATIONS, Student
from vmaf_jax.models.networks import Dropout, FrameAttention, flops_per_row


def features(n=64, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform([0] * 6, [1] * 5 + [30], (n, 6)), jnp.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_pass_is_the_textbook_one(activation):
    student = Student("nano", activation=activation)
    variables = jax.tree.map(np.asarray, student.init(jax.random.key(1)))
    variables["scaler"] = {"mean": np.full(6, 0.5, "f"), "inv_std": np.full(6, 2.0, "f")}
    h = np.asarray(features() - 0.5) * 2
    layers = [variables["params"]["network"][f"Dense_{k}"] for k in range(3)]
    ours = {"hard_gate": lambda h: h * np.clip(h / 4 + 0.5, 0, 1)}
    function = ours.get(activation) or getattr(jax.nn, activation)
    for layer in layers[:-1]:
        h = np.asarray(function(h @ layer["kernel"] + layer["bias"]))
    expected = 50 + 25 * (h @ layers[-1]["kernel"] + layers[-1]["bias"])[:, 0]
    np.testing.assert_allclose(student.score(variables, features()), expected, rtol=1e-5)


def test_dropout_acts_on_the_penultimate_layer_in_training_only():
    student = Student("tiny", dropout=0.5)
    variables = student.init(jax.random.key(0))
    x = features()
    still = student.outputs(variables, x)
    np.testing.assert_array_equal(still, student.outputs(variables, x))
    first = student.outputs(variables, x, key=jax.random.key(1))
    second = student.outputs(variables, x, key=jax.random.key(2))
    assert np.abs(first - second).max() > 0
    without = Student("tiny", dropout=0.0).outputs(variables, x, key=jax.random.key(1))
    np.testing.assert_allclose(without, still, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_is_that_of_flax_and_can_be_told(rate):
    student, key = Student("nano", dropout=rate), jax.random.key(3)
    x = jax.random.normal(key, (200, 64))
    rngs = {"dropout": key}
    expected = nn.Dropout(rate, deterministic=False).apply({}, x, rngs=rngs)
    np.testing.assert_array_equal(Dropout(rate).apply({}, x, rngs=rngs), expected)
    traced = jax.jit(lambda rate: Dropout(rate).apply({}, x, rngs=rngs))(rate)
    np.testing.assert_allclose(traced, expected, rtol=3e-7)
    variables = student.init(key)
    of_program = student.outputs(variables, features(), key=key)
    other = dataclasses.replace(student, dropout=0.0)
    of_member = jax.jit(lambda p: other.outputs(variables, features(), key=key, dropout=p))(rate)
    np.testing.assert_allclose(of_member, of_program, rtol=1e-5, atol=1e-6)
    none = jax.jit(lambda p: student.outputs(variables, features(), key=key, dropout=p))(0.0)
    np.testing.assert_allclose(
        none, other.outputs(variables, features(), key=key), rtol=1e-5, atol=1e-6
    )


def test_the_operations_of_a_row_are_counted():
    assert flops_per_row([6, 64, 32, 16, 1]) == 16_992
    assert flops_per_row([2, 3]) == 2 * 6 + 2 * 6  # no gradient by the inputs


@pytest.mark.parametrize("activation", ["relu", "hard_gate", "silu"])
def test_gradients_of_training_are_those_of_the_plain_layers(activation):
    student = Student("mlp", activation=activation, dropout=0.0, hidden=(16, 8))
    variables = student.init(jax.random.key(0))
    x = features()

    def loss(params, key):
        outputs = student.outputs({**variables, "params": params}, x, key=key)
        return jnp.mean(jnp.square(outputs))

    trained = jax.grad(loss)(variables["params"], jax.random.key(0))
    plain = jax.grad(loss)(variables["params"], None)
    for a, b in zip(jax.tree.leaves(trained), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


ATTENTION = Student("attention", teacher="vmaf_4k_v0.6.1")
RNG = np.random.default_rng(0)
CLIPS = np.sort(RNG.uniform(0.2, 1, (3, 6, 6)), axis=-1).astype(np.float32)
FRAMES = (np.arange(6) < np.array([6, 4, 1])[:, None]).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    """Parameters that are all in play."""
    fresh = ATTENTION.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf + 0.1, fresh["params"])
    scaler = {"mean": jnp.array([60.0, 0.2]), "inv_std": jnp.array([0.04, 5.0])}
    return {"params": params, "scaler": scaler}


def test_padding_changes_nothing_of_attention(variables):
    expected = ATTENTION.predict(variables, CLIPS, FRAMES)
    garbage = np.where(FRAMES[..., None] > 0, CLIPS, 0.9)
    wider = np.pad(garbage, ((0, 0), (0, 5), (0, 0)), constant_values=0.5).astype(np.float32)
    frames = np.pad(FRAMES, ((0, 0), (0, 5)))
    np.testing.assert_allclose(ATTENTION.predict(variables, wider, frames), expected, atol=1e-4)


def test_the_order_of_frames_changes_nothing_and_their_content_does(variables):
    whole = np.ones_like(FRAMES)
    expected = ATTENTION.predict(variables, CLIPS, whole)
    turned = ATTENTION.predict(variables, CLIPS[:, ::-1].copy(), whole)
    np.testing.assert_allclose(turned, expected, atol=2e-3)  # the SVR in float32
    worse = CLIPS.copy()
    worse[:, 0, 0] *= 0.7
    assert (np.asarray(ATTENTION.predict(variables, worse, whole)) != expected).all()


def test_a_lone_row_is_to_attention_a_clip_of_one_frame(variables):
    rows = ATTENTION.predict(variables, CLIPS[:, 0])
    clips = ATTENTION.predict(variables, CLIPS[:, :1], np.ones((3, 1), np.float32))
    np.testing.assert_array_equal(rows, clips)


def test_uniform_attention_is_mean_pooling():
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


def test_attention_favours_the_better_frames_at_the_start():
    """Half of the frames far worse: the score stays nearer the better half's."""
    fresh = ATTENTION.init(jax.random.key(0))
    scaler = {"mean": jnp.array([60.0, 0.2]), "inv_std": jnp.array([0.04, 5.0])}
    good = np.array([0.97, 0.6, 0.9, 0.95, 0.97, 5.0], np.float32)
    bad = np.array([0.6, 0.1, 0.3, 0.4, 0.5, 5.0], np.float32)
    clips = np.stack([[good] * 4, [bad] * 4, [good, bad] * 2])
    high, low, mixed = np.asarray(
        ATTENTION.predict(
            {"params": fresh["params"], "scaler": scaler}, clips, np.ones((3, 4), "f")
        )
    )
    assert high - mixed < 0.25 * (high - low)
