"""How parameters move: a method has a start, a step, and parameters to take out at the end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Float

from vmaf_jax.models import Variables
from vmaf_jax.models.heads import SCORE_SPAN
from vmaf_jax.training.batches import Batch
from vmaf_jax.training.levenberg_marquardt import LmState, lm_init, lm_step


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
