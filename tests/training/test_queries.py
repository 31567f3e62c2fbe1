import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.features import FEATURES
from vmaf_jax.training import make_rows
from vmaf_jax.training.batches import MemberRows
from vmaf_jax.training.queries import draw_queries


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
