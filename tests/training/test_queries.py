import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.features import FEATURES
from vmaf_jax.training.queries import draw_queries, draw_rows


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any), st.integers(0, 1000))
def test_rows_are_drawn_from_the_mask(mask, seed):
    mask = np.array(mask)
    drawn = np.asarray(draw_rows(jax.random.key(seed), jnp.asarray(mask, jnp.float32), 200))
    assert mask[drawn].all()


def test_rows_are_drawn_evenly():
    mask = jnp.array([0, 1, 0, 1, 1, 0], jnp.float32)
    drawn = np.asarray(draw_rows(jax.random.key(0), mask, 30_000))
    counts = np.bincount(drawn, minlength=6)
    assert counts[[0, 2, 5]].sum() == 0
    assert np.abs(counts[[1, 3, 4]] - 10_000).max() < 400


def test_rows_of_a_large_table_are_drawn_evenly():
    """Uniform floats have 2^23 levels: of 5 million rows, three in five would get two of them."""
    n, held_out = 5_000_000, 1_000_000
    mask = jnp.ones(n, jnp.float32).at[:held_out].set(0)
    drawn = np.asarray(jax.jit(draw_rows, static_argnums=2)(jax.random.key(0), mask, 8_000_000))
    assert drawn.min() == held_out
    assert drawn.max() == n - 1
    counts = np.bincount(drawn - held_out)
    # Independent even draws are Poisson of mean 2: their variance is the mean (within 1 %).
    assert counts.var() == pytest.approx(counts.mean(), rel=0.01)


@pytest.fixture(scope="module")
def queries(support_vectors):
    x = jnp.asarray(support_vectors.features, jnp.float32)
    inv_std = 1 / x.std(axis=0)
    mask = jnp.ones(len(x))
    return np.asarray(draw_queries(jax.random.key(0), x, mask, inv_std, FEATURES, 20_000))


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
