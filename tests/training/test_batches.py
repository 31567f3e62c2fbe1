"""Random orders without sorting: each number once, any number anywhere, any two anywhere."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.features import FEATURES
from vmaf_jax.training.batches import MemberRows, draw_queries, permutation
from vmaf_jax.training.engine import make_rows


def own_rows(counts, trains):
    n = sum(counts)
    source = np.repeat(np.arange(len(counts)), counts)
    rows = make_rows(np.zeros((n, 6), np.float32), np.zeros(n), source, len(counts))
    return MemberRows(rows, np.array(trains, np.float32)), source


MOST_SOURCES, MOST_ROWS = 40, 40


@jax.jit
def locate_all(own):
    return own.n_rows, own.locate(jnp.arange(MOST_SOURCES * MOST_ROWS))


@given(
    st.lists(
        st.tuples(st.integers(0, MOST_ROWS), st.booleans()), min_size=1, max_size=MOST_SOURCES
    ).filter(lambda sources: any(count and trains for count, trains in sources))
)
def test_rows_are_located_in_their_order(sources):
    # Filled up by a source that the member does not train on: one shape, and so one program.
    filler = MOST_SOURCES * MOST_ROWS - sum(count for count, _ in sources)
    padding = [(0, False)] * (MOST_SOURCES - len(sources))
    counts, trains = zip(*sources, *padding, (filler, False), strict=True)
    own, source = own_rows(counts, trains)
    expected = np.flatnonzero(np.array(trains)[source])
    n_rows, located = locate_all(own)
    assert int(n_rows) == len(expected)
    np.testing.assert_array_equal(located[: len(expected)], expected)


def test_rows_are_drawn_evenly():
    own, _ = own_rows([1, 2, 1, 1], [0, 1, 0, 1])
    counts = np.bincount(np.asarray(own.draw(jax.random.key(0), 30_000)), minlength=5)
    assert counts[[0, 3]].sum() == 0
    assert np.abs(counts[[1, 2, 4]] - 10_000).max() < 400


def test_rows_of_a_large_table_are_drawn_evenly():
    """Uniform floats have 2^23 levels: of 5 million rows, three in five would get two of them."""
    own, _ = own_rows([1_000_000, 4_000_000], [0, 1])
    drawn = np.asarray(jax.jit(lambda key: own.draw(key, 8_000_000))(jax.random.key(0)))
    assert drawn.min() == 1_000_000
    assert drawn.max() == 5_000_000 - 1
    counts = np.bincount(drawn - 1_000_000)
    # Independent even draws are Poisson of mean 2: their variance is the mean (within 1 %).
    assert counts.var() == pytest.approx(counts.mean(), rel=0.01)


@pytest.fixture(scope="module")
def queries(support_vectors):
    x = jnp.asarray(support_vectors.features, jnp.float32)
    inv_std = 1 / x.std(axis=0)

    def draw_rows(key, count):
        return x[jax.random.randint(key, (count,), 0, len(x))]

    drawn = draw_queries(jax.random.key(0), draw_rows, inv_std, FEATURES, (1, 20_000))
    return np.asarray(drawn[0])


def test_queries_lie_in_the_physical_box(queries):
    assert queries.shape == (20_000, 6)
    assert (queries >= np.array(FEATURES.lower)).all()
    assert (queries <= np.array(FEATURES.upper, np.float32)).all()


def test_box_queries_are_plausible_and_reach_the_corners(queries):
    box = queries[8_000:]
    assert (np.diff(box[:, 1:5], axis=1) >= 0).all()  # VIF grows with scale
    assert (box[:, 5] == 0).mean() > 0.1
    assert (box[:, :5].min(axis=1) > 0.999).any()  # identical pictures
    assert ((box[:, 1:5].max(axis=1) < 0.3) & (box[:, 5] > 0)).any()  # heavy blur
    assert box[:, 5].max() > 29


def test_they_cover_real_encodes(queries, demo_table):
    # Each real frame has a query nearby, in units of the demo's own spread.
    scale = demo_table.features.std(axis=0)
    real = demo_table.features[::48] / scale
    nearest = [np.min(np.sum((queries / scale - row) ** 2, axis=1)) ** 0.5 for row in real]
    assert np.quantile(nearest, 0.95) < 1.0


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
