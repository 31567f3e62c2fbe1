import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vmaf_jax.models import ACTIVATIONS, HEADS, ROW_NETWORKS
from vmaf_jax.models.mlp import Dropout, flops_per_row
from vmaf_jax.models.student import Student


def features(n=64, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform([0] * 6, [1] * 5 + [30], (n, 6)), jnp.float32)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("network", sorted(ROW_NETWORKS))
def test_scores_are_rows_of_finite_points(network, head):
    student = Student(network, head)
    variables = student.init(jax.random.key(0))
    score = student.score(variables, features())
    assert score.shape == (64,)
    assert score.dtype == jnp.float32
    clipped = student.predict(variables, features())
    np.testing.assert_array_equal(clipped, np.clip(score, 0, 100))


def test_parameter_counts():
    assert Student("mlp", hidden=(5, 3)).n_params() == 6 * 5 + 5 + 5 * 3 + 3 + 3 + 1
    assert Student("nano").n_params() == 6 * 64 + 64 + 64 * 64 + 64 + 64 + 1
    assert Student("tiny").n_params() == 6 * 128 + 128 + 2 * (128 * 128 + 128) + 128 + 1


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
