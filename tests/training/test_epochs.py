"""Training by epochs: against a plain NumPy loop, alone and among others, whole and in pieces."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.training.columns import flops_per_row, init_columns
from vmaf_jax.training.epochs import (
    NOBODY,
    EpochMember,
    EpochRows,
    EpochSettings,
    cross_validation,
)
from vmaf_jax.training.groups import train_by_epochs
from vmaf_jax.training.permutation import permutation

SETTINGS = EpochSettings(hidden=(8, 4), epochs=3, batch_size=16)


@pytest.fixture(scope="module")
def rows():
    """Rows of three folds of unequal size: 30, 50 and 61."""
    rng = np.random.default_rng(0)
    fold = np.repeat([0, 1, 2], [30, 50, 61]).astype(np.int32)
    features = rng.uniform(0, 2, (len(fold), 6)).astype(np.float32)
    targets = (40 + 20 * features[:, 0] - 5 * features[:, 1] ** 2).astype(np.float32)
    return EpochRows(features, targets, fold)


def bits(tree):
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))


def of_member(fit, k):
    return bits(jax.tree.map(lambda leaf: leaf[k], fit.state))


def plain(rows, held_out, seed, settings):
    """One member in float64 and plain NumPy: losses of each epoch, and scores of all rows."""
    init_key, stream = jax.random.split(jax.random.key(seed))
    layers = [
        {name: np.asarray(leaf, float) for name, leaf in layer.items()}
        for layer in init_columns(init_key, settings.sizes(6))
    ]
    training = rows.fold != held_out
    x = rows.features.astype(float)
    x = (x - x[training].mean(axis=0)) / x[training].std(axis=0)
    z = (rows.targets.astype(float) - 50) / 25
    memory = [{name: (0.0 * leaf, 0.0 * leaf) for name, leaf in layer.items()} for layer in layers]
    losses, t = [], 0
    for epoch in range(settings.epochs):
        key = jax.random.fold_in(stream, epoch)
        count = training.sum()
        places = -(-len(training) // settings.batch_size) * settings.batch_size
        order = np.asarray(permutation(key, jnp.asarray(count), places))[:count]
        order = np.flatnonzero(training)[order]
        total = 0.0
        for first in range(0, len(order), settings.batch_size):
            batch = order[first : first + settings.batch_size]
            t += 1
            value, grads = gradients(layers, x[batch].T, z[batch])
            total += value * len(batch)
            for layer, memories, grad in zip(layers, memory, grads, strict=True):
                for name in layer:
                    mean, square = memories[name]
                    mean = 0.9 * mean + 0.1 * grad[name]
                    square = 0.999 * square + 0.001 * grad[name] ** 2
                    memories[name] = mean, square
                    step = mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
                    layer[name] = layer[name] - settings.learning_rate * step
        losses.append(total / len(order))
    return np.array(losses), np.clip(50 + 25 * forward(layers, x.T)[-1][0], 0, 100)


def forward(layers, h):
    outputs = [h]
    for k, layer in enumerate(layers):
        h = layer["kernel"] @ h + layer["bias"][:, None]
        h = np.maximum(h, 0) if k < len(layers) - 1 else h
        outputs.append(h)
    return outputs


def gradients(layers, x, z):
    outputs = forward(layers, x)
    error = outputs[-1][0] - z
    g, grads = 2 * error[None] / len(z), []
    for k in reversed(range(len(layers))):
        grads.append({"kernel": g @ outputs[k].T, "bias": g.sum(axis=1)})
        g = (layers[k]["kernel"].T @ g) * (outputs[k] > 0)
    return np.mean(error**2), grads[::-1]


def test_it_is_the_plain_loop(rows):
    fit = train_by_epochs(rows, cross_validation(3, [5]), SETTINGS)
    for fold in range(3):
        losses, scores = plain(rows, fold, 5, SETTINGS)
        # float32 over some 25 steps of Adam against float64; worst seen 2e-6 and 3e-5.
        np.testing.assert_allclose(fit.state.losses[fold], losses, rtol=2e-5)
        np.testing.assert_allclose(fit.predicted[fold], scores, atol=3e-4)


def test_a_member_comes_out_the_same_bits_among_any_others(rows):
    every = train_by_epochs(rows, cross_validation(3, [0, 1, 2]), SETTINGS)
    for k, (seed, fold) in list(enumerate(itertools.product([0, 1, 2], range(3))))[::3]:
        alone = EpochMember(jnp.array([fold]), jax.random.key(seed)[None])
        assert of_member(train_by_epochs(rows, alone, SETTINGS), 0) == of_member(every, k)
    assert len({of_member(every, k) for k in range(9)}) == 9


@pytest.mark.parametrize("poison", [np.nan, 1e6])
def test_nothing_of_the_held_out_fold_enters(rows, poison):
    harmed = EpochRows(
        np.where(rows.fold[:, None] == 1, np.float32(poison), rows.features),
        np.where(rows.fold == 1, np.float32(poison), rows.targets),
        rows.fold,
    )
    clean, other = (
        train_by_epochs(some, cross_validation(3, [0]), SETTINGS) for some in (rows, harmed)
    )
    assert of_member(clean, 1) == of_member(other, 1)
    assert of_member(clean, 0) != of_member(other, 0)


def test_nobody_held_out_is_every_row(rows):
    member = EpochMember(jnp.array([NOBODY]), jax.random.key(0)[None])
    fit = train_by_epochs(rows, member, SETTINGS)
    losses, _ = plain(rows, NOBODY, 0, SETTINGS)
    np.testing.assert_allclose(fit.state.losses[0], losses, rtol=2e-5)


def test_the_operations_of_a_row_are_counted():
    assert flops_per_row([6, 64, 32, 16, 1]) == 16_992
    assert flops_per_row([2, 3]) == 2 * 6 + 2 * 6  # no gradient by the inputs
