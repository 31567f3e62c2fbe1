"""Damped least squares for networks of a few hundred parameters.

    step = (J'J + damping D)^-1 J'r,   J = dr / dparameters,   D = diag(J'J) + floor

where r is prediction less target. A step that lowers the batch's error is taken and the damping
falls; otherwise it rises. Gradient descent on a network of Gaussians stalls where this does not.
Runs in float64: `J'J` squares the conditioning.
Source: D. Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from vmaf_jax.models import Variables

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
