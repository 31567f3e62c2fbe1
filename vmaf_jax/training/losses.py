"""What a student is trained on: squared error, or temperature-scaled KL to a soft teacher.

Teacher logits for a score s: `l_k = -(c_k - s)^2 / (2 sigma^2)`. With temperature T,

    loss = T^2 KL( softmax(l / T) || softmax(z / T) )

The factor keeps the gradient's size when T changes. Scores in VMAF points, losses without unit.
Source: "Distilling the knowledge in a neural network", arXiv:1503.02531, section 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from vmaf_jax.models.heads import SCORE_SPAN, TARGET_RANGE


class SoftLabels(NamedTuple):
    """The discretised teacher, row by row.

    Attributes:
        probability: `[n, k]`, each row sums to 1.
        negentropy: `[n]`, `sum_k p_k log p_k`.
    """

    probability: Float[Array, "n k"]
    negentropy: Float[Array, " n"]


def soft_labels(
    scores: Float[Array, " n"],
    bins: Float[Array, " k"],
    *,
    sigma: float,
    temperature: ArrayLike = 1.0,
) -> SoftLabels:
    """Teacher scores as distributions over quality bins.

    `softmax(-((bins - scores) ** 2) / (2 * sigma**2) / temperature)`.

    Args:
        scores: unclipped teacher scores, VMAF points; limited to [-25, 125], where the expected
            value is unbiased.
        bins: bin centres, VMAF points, increasing.
        sigma: width of the teacher's distribution, VMAF points, > 0; the spacing of the bins must
            not exceed 1.4 sigma.
        temperature: no unit, > 0; may be traced.
    """
    limited = jnp.clip(scores, *TARGET_RANGE)
    logits = -jnp.square(bins - limited[:, None]) / (2 * sigma**2) / temperature
    log_p = logits - _log_sum_exp(logits)[:, None]
    p = jnp.exp(log_p)
    return SoftLabels(p, _row_sum(p * log_p))


def kl_loss(
    logits: Float[Array, "n k"], labels: SoftLabels, temperature: ArrayLike
) -> Float[Array, " n"]:
    """The temperature-scaled KL per row, >= 0 but for rounding.

    With `sum_k p_k = 1`, `KL = sum_k p_k log p_k - sum_k p_k z_k / T + log sum_k exp(z_k / T)`.

    Args:
        logits: the student's `z`.
        labels: the teacher's distributions at the same temperature.
        temperature: no unit, > 0; may be traced.
    """
    cooled = logits / temperature
    expected = _row_sum(labels.probability * cooled)
    divergence = labels.negentropy - expected + _log_sum_exp(cooled)
    return jnp.square(jnp.asarray(temperature)) * divergence


def _row_sum(values: Float[Array, "n k"]) -> Float[Array, " n"]:
    """The sum over bins as a product, whose order does not depend on how many folds are mapped."""
    return jnp.dot(values, jnp.ones(values.shape[1], values.dtype), precision="highest")


def _log_sum_exp(logits: Float[Array, "n k"]) -> Float[Array, " n"]:
    highest = jax.lax.stop_gradient(jnp.max(logits, axis=1))
    return highest + jnp.log(_row_sum(jnp.exp(logits - highest[:, None])))


def squared_error(predicted: Float[Array, " n"], scores: Float[Array, " n"]) -> Float[Array, " n"]:
    """Squared error per row, in squares of 25 points (the scalar head's unit)."""
    return jnp.square((predicted - scores) / SCORE_SPAN)


def masked_mean(values: Float[Array, " n"], mask: Float[Array, " n"]) -> Float[Array, ""]:
    """Mean over rows where `mask` is 1."""
    return jnp.dot(values, mask, precision="highest") / jnp.sum(mask)
