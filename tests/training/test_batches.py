"""Random orders without sorting: each number once, any number anywhere, any two anywhere."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tests.training.support import MemorySaver, StoppedError, members_of, same
from vmaf_jax.features import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.models.layers import SCORE_SPAN
from vmaf_jax.tables.dataset import map_array
from vmaf_jax.training import TrainingSettings, batches, masked_scalers, train_members
from vmaf_jax.training.batches import MemberRows, StreamRows, chunks, draw_queries, permutation
from vmaf_jax.training.engine import make_rows
from vmaf_jax.training.member import Keys


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


SETTINGS = TrainingSettings(steps=40, batch_size=32, seeds=(3,))
TRAINS = ~np.eye(3, dtype=bool)


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(batches, "_BLOCK", 16)
    rng = np.random.default_rng(0)
    x = map_array((300, 6), np.float64)
    x[:] = rng.uniform(0, 1, (300, 6)) + np.array([0, 0, 0, 0, 0, 20])
    return StreamRows(x, 100 * x[:, 0] * x[:, 1], np.repeat(np.arange(3, dtype=np.int32), 100))


def fit(rows, members, saver=None):
    return train_members(
        rows,
        members,
        student=Student("nano", dropout=0.0),
        settings=SETTINGS,
        feature_set=FEATURES,
        buffer_rows=64,
        saver=saver,
    )


@pytest.mark.parametrize("buffer_rows", [1, 64, 1000])
def test_an_epoch_reads_every_row_once_in_another_order(rows, buffer_rows):
    how = {"batch_size": 5, "steps": 4, "buffer_rows": buffer_rows, "seed": 1}
    stream, same = chunks(rows, **how), chunks(rows, **how)
    epochs = []
    for _ in range(2):
        parts = [next(stream) for _ in range(15)]  # of 20 rows each
        first = np.asarray(rows.features[:, 0], np.float32)
        read = np.concatenate([part.features[..., 0].reshape(-1) for part in parts])
        np.testing.assert_array_equal(np.sort(read), np.sort(first))
        epochs.append(read)
    assert not np.array_equal(*epochs)
    again = np.concatenate([next(same).features[..., 0].reshape(-1) for _ in range(15)])
    np.testing.assert_array_equal(again, epochs[0])


def test_the_buffer_bounds_what_is_held(rows, monkeypatch):
    held = []
    read = batches._read

    def counted(*arguments):
        held.append(len(read(*arguments).targets))
        return read(*arguments)

    monkeypatch.setattr(batches, "_read", counted)
    stream = chunks(rows, batch_size=5, steps=1, buffer_rows=64, seed=0)
    for _ in range(60):
        next(stream)
    assert max(held) == 64


@pytest.mark.parametrize("first", [1, 3, 14, 15, 40])
def test_a_stream_that_begins_later_reads_what_is_left_of_it(rows, first):
    how = {"batch_size": 5, "steps": 4, "buffer_rows": 64, "seed": 1}
    whole, later = chunks(rows, **how), chunks(rows, **how, first=first)
    for _ in range(first):
        next(whole)
    for _ in range(20):
        for expected, ours in zip(next(whole), next(later), strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_a_stopped_training_ends_with_the_same_bits(rows):
    members = members_of(rows, TRAINS, (3,))
    saver = MemorySaver(at=7)
    with pytest.raises(StoppedError):
        fit(rows, members, saver)
    assert saver.steps == list(range(1, 8))  # chunks of two steps
    resumed, never_saved = fit(rows, members, saver), fit(rows, members)
    assert same((resumed.variables, resumed.losses), (never_saved.variables, never_saved.losses))


def test_scalers_see_no_row_that_is_held_out(rows):
    rows.features[rows.source == 1] = np.nan
    ours = masked_scalers(rows.features, rows.source, TRAINS)
    x = rows.features[rows.source != 1]
    np.testing.assert_allclose(ours["mean"][1], x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(ours["inv_std"][1], 1 / x.std(axis=0), rtol=1e-10)
    assert np.isnan(ours["mean"][[0, 2]]).all()


def test_a_constant_feature_is_left_as_it_is():
    x = np.array([[0.5, 1.0], [0.5, 3.0]])
    scaler = masked_scalers(x, np.array([0, 1]), np.ones((1, 2), bool))
    assert scaler["inv_std"].tolist() == [[1.0, 1.0]]


def test_each_fold_is_the_plain_loop_over_its_own_rows(rows):
    student, k = Student("nano", dropout=0.0), 1
    members = members_of(rows, TRAINS, (3,))
    trained = fit(rows, members)
    scaler = {name: value[k].astype(np.float32) for name, value in members.scaler.items()}
    member = jax.tree.map(lambda leaf: leaf[k], members)
    params = student.init(Keys.of(member).weights)["params"]
    rate = optax.warmup_cosine_decay_schedule(0.0, SETTINGS.learning_rate, 2, 40, 2e-5)
    kernels = {"mask": lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)}
    optimiser = optax.adamw(rate, b2=0.99, weight_decay=1e-3, **kernels)
    memory = optimiser.init(params)

    def loss(params, x, y, own):
        error = student.score({"params": params, "scaler": scaler}, x) - y
        return jnp.sum(own * jnp.square(error / SCORE_SPAN)) / jnp.sum(own)

    grad = jax.jit(jax.value_and_grad(loss))
    stream = chunks(rows, batch_size=32, steps=1, buffer_rows=64, seed=3)
    for _ in range(SETTINGS.steps):
        batch = next(stream)
        own = batch.source[0] != k
        _, grads = grad(params, batch.features[0], batch.targets[0], own)
        updates, memory = optimiser.update(grads, memory, params)
        params = optax.apply_updates(params, updates)
    for ours, plain in zip(
        jax.tree.leaves(trained.member(k)["params"]), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(ours, plain, atol=2e-4)


def test_a_held_out_row_reaches_nothing(rows):
    """Even one that is no number."""
    before = fit(rows, members_of(rows, TRAINS, (3,)))
    rows.features[rows.source == 1] = np.nan
    rows.targets[rows.source == 1] = np.nan
    after = fit(rows, members_of(rows, TRAINS, (3,)))
    assert same(before.member(1), after.member(1))
