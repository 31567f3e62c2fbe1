"""Sums as products: their values and gradients are those of plain sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.models.layers import add_bias, scale_columns, sum_of_columns, sum_of_rows

X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
K = jnp.array([0.5, -2.0, 3.0], jnp.float32)


def test_sums_are_numpys():
    np.testing.assert_allclose(sum_of_rows(X), X.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(sum_of_columns(X), X.sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize(("ours", "plain"), [(add_bias, jnp.add), (scale_columns, jnp.multiply)])
def test_gradients_are_those_of_the_plain_operation(ours, plain):
    def gradients(function):
        return jax.grad(lambda x, k: jnp.sum(jnp.square(function(x, k))), (0, 1))(X, K)

    np.testing.assert_array_equal(ours(X, K), plain(X, K))
    for own, expected in zip(gradients(ours), gradients(plain), strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-5)
