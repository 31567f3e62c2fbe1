"""Optimisers: Adam and AdamW, and damped least squares (Levenberg-Marquardt).

    step = (J'J + damping D)^-1 J'r,   J = dr / dparameters,   D = diag(J'J) + floor

where r is prediction less target. A step that lowers the batch's error is taken and the damping
falls; otherwise it rises. Gradient descent on a network of Gaussians stalls where this does not.
Runs in float64: `J'J` squares the conditioning.
Source: D. Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from vmaf_jax.models import Variables
from vmaf_jax.models.layers import SCORE_SPAN, AnyArray
from vmaf_jax.training.batches import Batch
from vmaf_jax.training.settings import TrainingSettings

MAX_PARAMS = 1000  # the matrix J'J has as many rows and columns
_FIRST_DAMPING, _FACTOR, _RANGE = 1e2, 3.0, (1e-10, 1e6)
_END_SHARE = 1e-3  # of the highest learning rate, at the end of a cosine schedule
_FLOOR = 1e-4  # of the largest diagonal entry: without it a feature's scale can run to zero


class LmState(NamedTuple):
    """Parameters, and the damping of steps (dimensionless)."""

    params: Variables
    damping: Float[Array, ""]


def lm_init(params: Variables) -> LmState:
    """Returns the first state of a training from `params`."""
    return LmState(params, jnp.asarray(_FIRST_DAMPING, jnp.float64))


def lm_step(
    predict: Callable[[Variables, Float[Array, "n d"]], Float[Array, " n"]],
    state: LmState,
    x: Float[Array, "n d"],
    targets: Float[Array, " n"],
    weight: Float[Array, " n"],
) -> tuple[LmState, Float[Array, ""]]:
    """Takes one step on one batch.

    Args:
        predict: from parameters and rows, in the unit of `targets`.
        weight: of each row, >= 0.
    Returns:
        The next state, and the mean squared error before the step.
    """
    flat, unravel = ravel_pytree(state.params)
    share = jnp.sqrt(weight / jnp.sum(weight))

    def error(flat: Array) -> Array:
        return share * (predict(unravel(flat), x) - targets)

    def predict_row(flat: Array, row: Array) -> Array:
        return predict(unravel(flat), row[None])[0]

    r = error(flat)
    jacobian = share[:, None] * jax.vmap(jax.grad(predict_row), (None, 0))(flat, x)
    normal = jnp.dot(jacobian.T, jacobian)
    diagonal = jnp.diag(normal)
    held = normal + jnp.diag(state.damping * (diagonal + _FLOOR * jnp.max(diagonal)))
    step = _solve(held, jnp.dot(jacobian.T, r))
    trial = flat - step
    before, after = jnp.dot(r, r), jnp.square(jnp.linalg.norm(error(trial)))
    better = after < before  # False for NaN
    damping = jnp.where(better, state.damping / _FACTOR, state.damping * _FACTOR)
    params = unravel(jnp.where(better, trial, flat))
    return LmState(params, jnp.clip(damping, *_RANGE)), before


def _solve(a: Float[Array, "p p"], b: Float[Array, " p"]) -> Float[Array, " p"]:
    """Solves `a x = b` for a positive definite `a`, by elimination without exchange of rows.

    In plain operations: LAPACK's threads and members on several CPU devices wait for each other.
    """
    rows = jnp.concatenate([a, b[:, None]], axis=1)

    def eliminate(k: Array, rows: Array) -> Array:
        row = rows[k] / rows[k, k]
        factors = rows[:, k].at[k].set(0.0)
        return rows.at[k].set(row) - factors[:, None] * row

    return jax.lax.fori_loop(0, len(b), eliminate, rows)[:, -1]


class Objective(NamedTuple):
    """Functions of a student that a training step may evaluate.

    Attributes:
        loss: from parameters, a batch and a key (for dropout) to the mean loss.
        score: from parameters and raw features `[b, d]` to unclipped scores `[b]`, VMAF points.
    """

    loss: Callable[[Variables, Batch, Array], Float[Array, ""]]
    score: Callable[[Variables, Array], Float[Array, " b"]]


# Of a training: parameters, and the memory of its method, as a tree of arrays.
State = Any


class Method(NamedTuple):
    """A way to train; `step` gives the next state and the loss before it."""

    init: Callable[[Variables], State]
    step: Callable[[State, Array, Batch, Objective], tuple[State, Array]]
    params: Callable[[State], Variables]


class AdamState(NamedTuple):
    """All parameters as one vector `[p]`, and the optimiser's memory."""

    params: Float[Array, " p"]
    memory: optax.OptState


class Rates(NamedTuple):
    """Settings of the optimiser that members of one program may differ in; may be traced.

    Attributes:
        learning_rate: at its peak.
        weight_decay: of every step, times the rate.
    """

    learning_rate: ArrayLike
    weight_decay: ArrayLike


def gradient_method(
    settings: TrainingSettings, template: Variables, n_steps: ArrayLike, rates: Rates | None = None
) -> Method:
    """Returns Adam, or AdamW, along the gradient of the loss.

    Parameters, gradients and moments are one vector each: one loop over all of them in place of one
    a kernel and bias.

    Args:
        template: parameters of the shapes that are trained.
        n_steps: of the training.
        rates: a member's own; None for those of the settings. The same numbers either way, but XLA
            rounds a program with constants otherwise than one that receives them as arguments.

    Source: "Decoupled weight decay regularization", arXiv:1711.05101.
    """
    optimiser = make_optimiser(settings, template, n_steps, rates)

    def init(params: Variables) -> AdamState:
        vector, _ = ravel_pytree(params)
        return AdamState(vector, optimiser.init(vector))

    def step(
        state: AdamState, key: Array, batch: Batch, objective: Objective
    ) -> tuple[AdamState, Array]:
        # By the tree, not by the vector: the gradient of a slice is a padded vector each.
        value, tree = jax.value_and_grad(objective.loss)(params(state), batch, key)
        updates, memory = optimiser.update(ravel_pytree(tree)[0], state.memory, state.params)
        return AdamState(state.params + updates, memory), value

    def params(state: AdamState) -> Variables:
        return split_vector(state.params, template)

    return Method(init, step, params)


def split_vector(vector: Float[AnyArray, "*m p"], template: Variables) -> Variables:
    """Returns the parameters that `ravel_pytree` made a vector of.

    Args:
        vector: with any leading axes, in NumPy or JAX.
        template: parameters, or their shapes.
    """
    leaves, structure = jax.tree.flatten(template)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = [
        vector[..., end - leaf.size : end].reshape(*vector.shape[:-1], *leaf.shape)
        for leaf, end in zip(leaves, ends.tolist(), strict=True)
    ]
    return jax.tree.unflatten(structure, parts)


def make_optimiser(
    settings: TrainingSettings, template: Variables, n_steps: ArrayLike, rates: Rates | None = None
) -> optax.GradientTransformation:
    """Returns the optimiser of the parameters as one vector; arguments as for `gradient_method`."""
    if rates is None:
        rates = Rates(settings.learning_rate, settings.weight_decay)
    steps = [optax.scale_by_adam(b2=settings.second_moment_decay)]
    if settings.optimiser == "adamw":
        # Kernels decay; biases and other vectors do not.
        decays = jax.tree.map(
            lambda leaf: jnp.full(leaf.shape, leaf.ndim > 1, leaf.dtype), template
        )
        steps.append(optax.add_decayed_weights(rates.weight_decay * ravel_pytree(decays)[0]))

    def learning_rate(step: ArrayLike) -> Array:
        return jnp.asarray(rates.learning_rate) * schedule(settings, step, n_steps)

    return optax.chain(*steps, optax.scale_by_learning_rate(learning_rate))


def schedule(settings: TrainingSettings, step: ArrayLike, n_steps: ArrayLike) -> Float[Array, ""]:
    """Returns the learning rate of a step as a share of the highest.

    `cosine`: linear from 0 over the warm-up, then half a cosine down to 1e-3.
    """
    if settings.schedule == "constant":
        return jnp.ones(())
    warmup = jnp.floor(jnp.asarray(n_steps) * settings.warmup_fraction)
    rise = step / jnp.maximum(warmup, 1)
    progress = jnp.clip((step - warmup) / (n_steps - warmup), 0, 1)
    fall = _END_SHARE + (1 - _END_SHARE) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
    return jnp.where(jnp.asarray(step) < warmup, rise, fall)


def least_squares_method() -> Method:
    """Returns damped least squares on the scores; the labels of its batches are scores."""

    def step(
        state: LmState, _key: Array, batch: Batch, objective: Objective
    ) -> tuple[LmState, Array]:
        def predict(params: Variables, x: Array) -> Array:
            return objective.score(params, x) / SCORE_SPAN

        return lm_step(predict, state, batch.features, batch.labels / SCORE_SPAN, batch.weight)

    return Method(init=lm_init, step=step, params=lambda state: state.params)
