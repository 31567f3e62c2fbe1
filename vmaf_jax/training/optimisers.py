"""Optimisers: AdamW with warm-up and cosine decay, and damped least squares (Levenberg-Marquardt).

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
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from vmaf_jax.models import Variables
from vmaf_jax.models.heads import SCORE_SPAN
from vmaf_jax.training.batches import Batch
from vmaf_jax.training.settings import TrainingSettings

MAX_PARAMS = 1000  # the matrix J'J has as many rows and columns
_FIRST_DAMPING, _FACTOR, _RANGE = 1e2, 3.0, (1e-10, 1e6)
_FLOOR = 1e-4  # of the largest diagonal entry: without it a feature's scale can run to zero


class LmState(NamedTuple):
    """Parameters, and how much steps are held back (no unit)."""

    params: Variables
    damping: Float[Array, ""]


def lm_init(params: Variables) -> LmState:
    """The start of a training from `params`."""
    return LmState(params, jnp.asarray(_FIRST_DAMPING, jnp.float64))


def lm_step(
    predict: Callable[[Variables, Float[Array, "n d"]], Float[Array, " n"]],
    state: LmState,
    x: Float[Array, "n d"],
    targets: Float[Array, " n"],
    weight: Float[Array, " n"],
) -> tuple[LmState, Float[Array, ""]]:
    """One step on one batch.

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
    """`a x = b` for a positive definite `a`, by elimination without exchange of rows.

    In plain operations: LAPACK's threads and members on several CPU devices wait for each other.
    """
    rows = jnp.concatenate([a, b[:, None]], axis=1)

    def eliminate(k: Array, rows: Array) -> Array:
        row = rows[k] / rows[k, k]
        factors = rows[:, k].at[k].set(0.0)
        return rows.at[k].set(row) - factors[:, None] * row

    return jax.lax.fori_loop(0, len(b), eliminate, rows)[:, -1]


class Objective(NamedTuple):
    """What a step may ask of the student in training.

    Attributes:
        loss: from parameters, a batch and a key (for dropout) to the mean loss.
        score: from parameters and raw features `[b, d]` to unclipped scores `[b]`, VMAF points.
    """

    loss: Callable[[Variables, Batch, Array], Float[Array, ""]]
    score: Callable[[Variables, Array], Float[Array, " b"]]


class Method(NamedTuple):
    """A way to train; `step` gives the next state and the loss before it."""

    init: Callable[[Variables], Any]
    step: Callable[[Any, Array, Callable[[Array], Batch], Objective], tuple[Any, Array]]
    params: Callable[[Any], Variables]


class AdamState(NamedTuple):
    """Parameters, and what the optimiser remembers."""

    params: Variables
    opt_state: optax.OptState


def gradient_method(optimiser: optax.GradientTransformation) -> Method:
    """Steps of an optax optimiser along the gradient of the loss."""

    def step(
        state: AdamState, key: Array, draw: Callable[[Array], Batch], objective: Objective
    ) -> tuple[AdamState, Array]:
        batch_key, dropout_key = jax.random.split(key)
        value, grads = jax.value_and_grad(objective.loss)(
            state.params, draw(batch_key), dropout_key
        )
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        return AdamState(optax.apply_updates(state.params, updates), opt_state), value

    return Method(
        init=lambda params: AdamState(params, optimiser.init(params)),
        step=step,
        params=lambda state: state.params,
    )


def least_squares_method() -> Method:
    """Damped least squares on the scores; the labels of its batches are scores."""

    def step(
        state: LmState, key: Array, draw: Callable[[Array], Batch], objective: Objective
    ) -> tuple[LmState, Array]:
        batch = draw(key)

        def predict(params: Variables, x: Array) -> Array:
            return objective.score(params, x) / SCORE_SPAN

        return lm_step(predict, state, batch.features, batch.labels / SCORE_SPAN, batch.weight)

    return Method(init=lm_init, step=step, params=lambda state: state.params)


class Rates(NamedTuple):
    """What members of one program may differ in; may be traced.

    Attributes:
        learning_rate: at its peak.
        weight_decay: of every step, times the rate.
    """

    learning_rate: ArrayLike
    weight_decay: ArrayLike


def make_optimiser(
    settings: TrainingSettings, rates: Rates | None = None
) -> optax.GradientTransformation:
    """The optimiser for one training of `settings.steps` steps.

    Args:
        rates: a member's own; None for those of the settings. The same numbers either way, but XLA
            rounds a program with constants otherwise than one that is told them.

    Source: "Decoupled weight decay regularization", arXiv:1711.05101.
    """

    def schedule_to(peak: float) -> Any:
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0,
            peak_value=peak,
            warmup_steps=int(settings.steps * settings.warmup_fraction),
            decay_steps=settings.steps,
            end_value=peak * 1e-3,
        )

    schedule = schedule_to(settings.learning_rate)
    weight_decay: Any = settings.weight_decay
    if rates is not None:
        unit, weight_decay = schedule_to(1.0), rates.weight_decay

        def schedule(step: Any) -> Any:
            return rates.learning_rate * unit(step)

    def only_weights(params: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    return optax.adamw(
        schedule,
        b2=settings.second_moment_decay,
        weight_decay=weight_decay,
        mask=only_weights,
    )
