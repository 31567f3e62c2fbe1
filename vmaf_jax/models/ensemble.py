"""Several deployed students as one: the mean of their scores, and how far they are apart.

    vmaf = sum_k s_k / K        vmaf_std = sqrt(sum_k (s_k - vmaf)^2 / (K - 1))

of the members' clipped scores. The spread says where students that learnt the same disagree; it is
no interval (`evaluation.conformal` makes those).
Source: Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep
ensembles" (2017).
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.models.deployed import Deployed

MIN_MEMBERS, MAX_MEMBERS = 2, 16


def deploy_ensemble(members: Sequence[Deployed]) -> Deployed:
    """One function of raw features `[n, d]`, which gives means and spreads, each `[n]`, points.

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
