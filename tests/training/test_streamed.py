"""Rows that come from the disk: each once an epoch, and training as a plain loop would."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vmaf_jax.features import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.models.heads import SCORE_SPAN
from vmaf_jax.tables.mapped_table import map_array
from vmaf_jax.training import TrainingSettings, streams
from vmaf_jax.training.optimisers import make_optimiser
from vmaf_jax.training.streamed import StreamMember, predict_by_source, train_streamed
from vmaf_jax.training.streams import StreamRows, chunks, scalers

SETTINGS = TrainingSettings(steps=40, batch_size=32, seeds=(3,))
TRAINS = ~np.eye(3, dtype=bool)


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(streams, "_BLOCK", 16)
    rng = np.random.default_rng(0)
    x = map_array((300, 6), np.float64)
    x[:] = rng.uniform(0, 1, (300, 6)) + np.array([0, 0, 0, 0, 0, 20])
    return StreamRows(x, 100 * x[:, 0] * x[:, 1], np.repeat(np.arange(3, dtype=np.int32), 100))


def members(rows):
    return StreamMember(
        trains=jnp.asarray(TRAINS, jnp.float32),
        key=jnp.stack([jax.random.key(3)] * 3),
        temperature=jnp.ones(3),
        scaler={name: jnp.asarray(value) for name, value in scalers(rows, TRAINS).items()},
    )


def fit(rows, members, keeper=None):
    how = {"student": Student("nano", dropout=0.0), "settings": SETTINGS, "feature_set": FEATURES}
    return train_streamed(rows, members, buffer_rows=64, keeper=keeper, **how)


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


class Remembered:
    """A keeper that keeps everything, and gives back the state after some step."""

    def __init__(self, step=None):
        self.states, self.step = {}, step

    def restore(self, like):
        if self.step is None:
            return None
        assert [leaf.shape for leaf in self.states[self.step]] == [leaf.shape for leaf in like]
        return self.states[self.step]

    def due(self):
        return True

    def keep(self, state, step):
        self.states[step] = [np.array(leaf) for leaf in state]


def test_a_training_that_goes_on_ends_with_the_same_bits(rows):
    keeper = Remembered()
    alone, whole = fit(rows, members(rows)), fit(rows, members(rows), keeper)
    assert sorted(keeper.states) == list(range(2, 40, 2))
    keeper.step = 14
    again = fit(rows, members(rows), keeper)
    for other in (whole, again):
        np.testing.assert_array_equal(other.losses, alone.losses)
        for ours, theirs in zip(
            jax.tree.leaves(other.variables), jax.tree.leaves(alone.variables), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_scalers_see_no_row_that_is_held_out(rows):
    ours = scalers(rows, TRAINS)
    for k in range(3):
        x = rows.features[rows.source != k]
        np.testing.assert_allclose(ours["mean"][k], x.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(ours["inv_std"][k], 1 / x.std(axis=0), rtol=1e-5)


def test_each_fold_is_the_plain_loop_over_its_own_rows(rows):
    student = Student("nano", dropout=0.0)
    trained = fit(rows, members(rows))
    k = 1
    scaler = {name: value[k] for name, value in scalers(rows, TRAINS).items()}
    params = student.init(jax.random.split(jax.random.key(3))[0])["params"]
    optimiser = make_optimiser(SETTINGS)
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
    clean = members(rows)
    before = fit(rows, clean)
    rows.features[rows.source == 1] = np.nan
    rows.targets[rows.source == 1] = np.nan
    after = fit(rows, clean)
    for x, y in zip(
        jax.tree.leaves(before.member(1)), jax.tree.leaves(after.member(1)), strict=True
    ):
        np.testing.assert_array_equal(x, y)


def test_rows_are_predicted_by_the_member_of_their_source(rows):
    trained = fit(rows, members(rows))
    student = Student("nano", dropout=0.0)
    predicted = predict_by_source(rows, np.arange(3), trained.variables, student)
    for k in range(3):
        own = rows.source == k
        expected = student.predict(trained.member(k), np.asarray(rows.features[own], np.float32))
        np.testing.assert_allclose(predicted[own], expected, atol=1e-4)
