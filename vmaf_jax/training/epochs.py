"""Training by epochs, many members a device: rows are put in order once an epoch.

Each epoch of a member visits its training rows once, in a new order, `batch_size` at a time (the
last batch is what is left). The order, the scaling and the layout of an epoch's rows are made in
one go, so that a step reads its batch as one slice. Members train in groups, a few on each device
at a time: as many as keep the activations of a step in a core's cache. What a member's parameters
become does not depend on the others of its group.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from vmaf_jax.models.heads import SCORE_CENTRE, SCORE_SPAN
from vmaf_jax.training.columns import Layers, apply_columns, init_columns
from vmaf_jax.training.masks import masked_scaler
from vmaf_jax.training.permutation import permutation

NOBODY = -1  # the held-out fold of a member that trains on every row


@dataclasses.dataclass(frozen=True)
class EpochSettings:
    """A training by epochs: a perceptron with ReLU, squared error, Adam at a constant rate.

    Attributes:
        hidden: units of each hidden layer.
        epochs: visits of every training row.
        batch_size: rows of a step.
        learning_rate: Adam's.
    """

    hidden: tuple[int, ...] = (64, 32, 16)
    epochs: int = 90
    batch_size: int = 256
    learning_rate: float = 1e-3

    def sizes(self, n_features: int) -> list[int]:
        """Sizes of the axes between the layers, inputs first."""
        return [n_features, *self.hidden, 1]


class EpochRows(NamedTuple):
    """Rows that all members share.

    Attributes:
        features: `[n, d]`.
        targets: VMAF points, `[n]`.
        fold: of each row, `[n]`.
    """

    features: Float[Array | np.ndarray, "n d"]
    targets: Float[Array | np.ndarray, " n"]
    fold: Int[Array | np.ndarray, " n"]


class EpochMember(NamedTuple):
    """One training; with a leading axis, several.

    Attributes:
        held_out: the fold whose rows it never sees, or `NOBODY`.
        key: the source of its randomness.
    """

    held_out: Int[Array, ""]
    key: Array


class EpochState(NamedTuple):
    """Where training stands: layers, the optimiser's memory, the mean loss of each epoch."""

    layers: Layers
    optimiser: Any
    losses: Float[Array, " e"]


def cross_validation(n_folds: int, seeds: list[int]) -> EpochMember:
    """All folds of every seed, seeds outermost."""
    return EpochMember(
        held_out=jnp.asarray(np.tile(np.arange(n_folds, dtype=np.int32), len(seeds))),
        key=jnp.stack([jax.random.key(seed) for seed in seeds for _ in range(n_folds)]),
    )


class _Epoch(NamedTuple):
    """The rows of one epoch in their order: `[s, d, b]`, `[s, b]`, and 1 on real ones `[s, b]`."""

    features: Float[Array, "s d b"]
    targets: Float[Array, "s b"]
    weight: Float[Array, "s b"]


def _training_rows(
    rows: EpochRows, training: Array, scaler: dict[str, Array]
) -> Float[Array, "n c"]:
    """Scaled features and target of each training row, in the table's order; then zeros."""
    x = (jnp.asarray(rows.features) - scaler["mean"]) * scaler["inv_std"]
    z = (jnp.asarray(rows.targets) - SCORE_CENTRE) / SCORE_SPAN
    table = jnp.concatenate([x, z[:, None]], axis=1)
    return table.at[jnp.flatnonzero(training, size=len(z), fill_value=len(z))].get(
        mode="fill", fill_value=0.0
    )


def _epoch(key: Array, table: Float[Array, "n c"], count: Int[Array, ""], size: int) -> _Epoch:
    """The first `count` rows of `table` in a random order, `size` a batch."""
    n_steps = -(-len(table) // size)
    real = jnp.arange(n_steps * size) < count
    order = jnp.where(real, permutation(key, count, n_steps * size), 0)
    batches = table.at[order].get(mode="promise_in_bounds").reshape(n_steps, size, -1)
    columns = jnp.swapaxes(batches, 1, 2)
    return _Epoch(
        features=columns[:, :-1],
        targets=columns[:, -1],
        weight=real.astype(jnp.float32).reshape(n_steps, size),
    )


def _loss(layers: Layers, x: Array, z: Array, weight: Array) -> Array:
    error = apply_columns(layers, x)[0] - z
    return jnp.dot(weight, jnp.square(error), precision="highest") / jnp.maximum(weight.sum(), 1)


def _scaler(rows: EpochRows, held_out: Array) -> tuple[Array, dict[str, Array]]:
    training = jnp.asarray(rows.fold) != held_out
    features = jnp.where(training[:, None], jnp.asarray(rows.features), 0.0)
    return training, masked_scaler(features, training.astype(jnp.float32))


@dataclasses.dataclass(frozen=True)
class EpochTraining:
    """The functions of a training by epochs, for the members of one group."""

    settings: EpochSettings
    n_features: int

    @property
    def _adam(self) -> optax.GradientTransformation:
        # As one vector: one loop over all parameters instead of one a kernel and bias.
        return optax.flatten(optax.adam(self.settings.learning_rate))

    def start(self, member: EpochMember) -> EpochState:
        """One member before its first step."""
        init_key, _ = jax.random.split(member.key)
        layers = init_columns(init_key, self.settings.sizes(self.n_features))
        return EpochState(layers, self._adam.init(layers), jnp.zeros(self.settings.epochs))

    def advance(
        self, rows: EpochRows, members: EpochMember, state: EpochState, first: Array, last: Array
    ) -> EpochState:
        """Trains a group, whose axis leads everywhere, from epoch `first` up to before `last`."""
        training, scaler = jax.vmap(_scaler, (None, 0))(rows, members.held_out)
        tables = jax.vmap(_training_rows, (None, 0, 0))(rows, training, scaler)
        count = jnp.sum(training, axis=1)
        size = self.settings.batch_size
        steps = (jnp.max(count) + size - 1) // size
        streams = jax.vmap(jax.random.split)(members.key)[:, 1]

        def one_epoch(k: Array, state: EpochState) -> EpochState:
            keys = jax.vmap(jax.random.fold_in, (0, None))(streams, k)
            epoch = jax.vmap(_epoch, (0, 0, 0, None))(keys, tables, count, size)

            def step(i: Array, carry: tuple[Layers, Any, Array]) -> tuple[Layers, Any, Array]:
                batch = jax.tree.map(
                    lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, 1, keepdims=False), epoch
                )
                return self._step(carry, batch, i * size < count)

            total = jnp.zeros(len(count))
            carry = (state.layers, state.optimiser, total)
            layers, optimiser, total = jax.lax.fori_loop(0, steps, step, carry)
            losses = state.losses.at[:, k].set(total / count)
            return EpochState(layers, optimiser, losses)

        return jax.lax.fori_loop(first, last, one_epoch, state)

    def _step(
        self, carry: tuple[Layers, Any, Array], batch: _Epoch, active: Array
    ) -> tuple[Layers, Any, Array]:
        """A step of a group; members that have no rows left stay as they are."""
        layers, optimiser, total = carry
        values, grads = jax.vmap(jax.value_and_grad(_loss))(layers, *batch)
        updates, moved = jax.vmap(self._adam.update)(grads, optimiser)

        def choose(new: Array, old: Array) -> Array:
            return jnp.where(active.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

        layers = jax.tree.map(choose, optax.apply_updates(layers, updates), layers)
        optimiser = jax.tree.map(choose, moved, optimiser)
        return layers, optimiser, total + values * batch.weight.sum(axis=1)

    def predict(self, rows: EpochRows, member: EpochMember, layers: Layers) -> Float[Array, " n"]:
        """One member's scores of all rows, clipped to 0-100, VMAF points."""
        _, scaler = _scaler(rows, member.held_out)
        x = (jnp.asarray(rows.features) - scaler["mean"]) * scaler["inv_std"]
        return jnp.clip(SCORE_CENTRE + SCORE_SPAN * apply_columns(layers, x.T)[0], 0.0, 100.0)
