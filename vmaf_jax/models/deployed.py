"""Deployed students: the trained function in few operations, alone or as an ensemble.

What a network becomes is said beside it (`Network.deploy`), and computed in float64. It is this
form that is exported, served and judged.

    vmaf = sum_k s_k / K        vmaf_std = sqrt(sum_k (s_k - vmaf)^2 / (K - 1))

of the members' clipped scores. The spread says where students that learnt the same disagree; it is
no interval (`evaluation.conformal` makes those).
Source: Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep
ensembles" (2017).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.models.student import Student, Variables
from vmaf_jax.models.viewing_distance import move_scores

Predict = Callable[..., Float[Array, " n"]]


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A pure function and its numbers.

    Attributes:
        predict: from `constants` and raw features `[n, d]` to scores `[n]`, clipped to 0-100; of a
            network over frames also from clips `[n, t, d]` and their mask `[n, t]`.
        constants: float32 arrays.
    """

    predict: Predict
    constants: Any


def deploy(student: Student, variables: Variables) -> Deployed:
    """Returns `student.predict` on `variables`, in the form that is exported and served."""
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
    folded = student.spec.deploy(exact, student.head, student.activation)
    predict, constants = folded or (student.predict, exact)
    if folded and student.knows_distance and student.log_distance:
        near = predict
        gain = np.asarray(student.distance_gain(exact["params"]))
        constants = {"near": constants, "strength": gain * np.float64(student.log_distance)}

        def predict(constants: Any, features: Float[Array, "n d"]) -> Float[Array, " n"]:
            return move_scores(near(constants["near"], features), constants["strength"])

    return Deployed(predict, jax.tree.map(lambda leaf: leaf.astype(np.float32), constants))


Rows = np.ndarray


def in_batches(function: Callable[[Rows], Rows | jax.Array], rows: Rows, size: int) -> Rows:
    """Maps `function` over `rows` `[n, d]`, `size` at a time; the last row fills the last batch."""
    padding = -len(rows) % size
    padded = np.concatenate([rows, np.repeat(rows[-1:], padding, axis=0)])
    parts = [function(padded[k : k + size]) for k in range(0, len(padded), size)]
    return np.concatenate([np.asarray(part) for part in parts])[: len(rows)]


MIN_MEMBERS, MAX_MEMBERS = 2, 16


def deploy_ensemble(members: Sequence[Deployed]) -> Deployed:
    """Returns a function of raw features `[n, d]` that gives means and spreads, each `[n]`, points.

    Members are added up one after the other, so that every runtime rounds alike.

    Args:
        members: of rows, over the same features; two or more.
    """
    functions = [member.predict for member in members]

    def predict(constants: Sequence[Any], features: Float[Array, "n d"]) -> Any:
        scores = [f(c, features) for f, c in zip(functions, constants, strict=True)]
        mean = _sum(scores) * (1 / len(scores))
        # The maximum changes nothing, and keeps XLA from rounding a product and a sum at once.
        squares = [jnp.maximum(jnp.square(score - mean), 0.0) for score in scores]
        return mean, jnp.sqrt(_sum(squares) * (1 / (len(scores) - 1)))

    return Deployed(predict, [member.constants for member in members])


def _sum(values: Sequence[Float[Array, " n"]]) -> Float[Array, " n"]:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
