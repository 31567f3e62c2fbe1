"""Random orders without sorting: each number once, any number anywhere, any two anywhere."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vmaf_jax.training.permutation import permutation


@functools.partial(jax.jit, static_argnums=0)
def drawn_by(size, key, count):
    return permutation(key, count, jnp.minimum(jnp.arange(size), count - 1))


@functools.cache
def orders(count, size, n):
    """`[n, count]`, an order a key."""
    keys = jax.random.split(jax.random.key(7), n)
    drawn = jax.jit(
        jax.vmap(
            lambda key: permutation(key, jnp.int32(count), jnp.minimum(jnp.arange(size), count - 1))
        )
    )(keys)
    return np.asarray(drawn)[:, :count]


def agreement(counts):
    """The p-value of counts that should be alike."""
    return scipy.stats.chisquare(counts).pvalue


@hypothesis.given(st.integers(1, 5000), st.integers(0, 2**31 - 1))
@hypothesis.settings(max_examples=200, deadline=None)
def test_every_number_comes_once(count, seed):
    order = np.asarray(drawn_by(5000, jax.random.key(seed), jnp.int32(count)))[:count]
    assert sorted(order.tolist()) == list(range(count))


@pytest.mark.parametrize("count", [1 << 20, (1 << 20) + 1])
def test_many_numbers_come_once(count):
    order = np.asarray(drawn_by(1_100_000, jax.random.key(0), jnp.int32(count)))[:count]
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


@pytest.mark.parametrize("count", [24, 97, 500])
def test_every_number_comes_in_every_place_as_often(count):
    drawn = orders(count, 512, 20_000)
    for place in {0, count // 2, count - 1}:
        assert agreement(np.bincount(drawn[:, place], minlength=count)) > 1e-4


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_number_of_few_comes_first(count):
    counts = np.bincount(orders(count, 8, 20_000)[:, 0], minlength=count)
    # Of so few the cipher is not quite even; chance alone gives 1 to 2 %.
    np.testing.assert_allclose(counts, 20_000 / count, rtol=0.1)


def test_every_order_of_four_comes():
    codes = orders(4, 8, 24_000) @ np.array([64, 16, 4, 1])
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 24
    np.testing.assert_allclose(counts, 1000, rtol=0.2)  # chance alone gives 3 %


@pytest.mark.parametrize("apart", [1, 2, 32])
def test_neighbours_lie_any_distance_apart(apart):
    """Neighbours in a row or column of the rectangle, before any turn."""
    count = 1000
    drawn = orders(count, 1024, 2000)
    distance = np.mod(drawn[:, apart:] - drawn[:, :-apart], count).ravel()
    assert agreement(np.bincount(distance, minlength=count)[1:]) > 1e-4


def test_another_key_is_another_order():
    drawn = orders(1000, 1024, 50)
    same = np.mean(drawn[:-1] == drawn[1:])
    assert same < 3e-3  # a thousandth, where orders have nothing to do with each other
