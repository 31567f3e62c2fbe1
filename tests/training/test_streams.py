"""Rows that come from the disk: each once an epoch, and training as a plain loop would."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training.support import MemorySaver, StoppedError, members_of, same
from vmaf_jax.features import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.models.heads import SCORE_SPAN
from vmaf_jax.tables.dataset import map_array
from vmaf_jax.training import TrainingSettings, masked_scalers, streams, train_members
from vmaf_jax.training.member import Keys
from vmaf_jax.training.streams import StreamRows, chunks

SETTINGS = TrainingSettings(steps=40, batch_size=32, seeds=(3,))
TRAINS = ~np.eye(3, dtype=bool)


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(streams, "_BLOCK", 16)
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
    read = streams._read

    def counted(*arguments):
        held.append(len(read(*arguments).targets))
        return read(*arguments)

    monkeypatch.setattr(streams, "_read", counted)
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
