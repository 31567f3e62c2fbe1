"""What a student is trained on: squared error, or temperature-scaled KL to a soft teacher.

Teacher logits for a score s: `l_k = -(c_k - s)^2 / (2 sigma^2)`. With temperature T,

    loss = T^2 KL( softmax(l / T) || softmax(z / T) )

The factor keeps the gradient's size when T changes. Scores in VMAF points, losses without unit.
Source: "Distilling the knowledge in a neural network", arXiv:1503.02531, section 2.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from vmaf_jax.models.heads import BINS, SCORE_SPAN, TARGET_RANGE


def soft_labels(
    scores: Float[Array, " n"],
    bins: Float[Array, " k"],
    *,
    sigma: float,
    temperature: ArrayLike = 1.0,
) -> Float[Array, "n k"]:
    """Log-probabilities of the discretised teacher over quality bins.

    `log_softmax(-((bins - scores) ** 2) / (2 * sigma**2) / temperature)`.

    Args:
        scores: unclipped teacher scores, VMAF points; limited to [-25, 125], where the expected
            value is unbiased.
        bins: bin centres, VMAF points, increasing.
        sigma: width of the teacher's distribution, VMAF points, > 0; the spacing of the bins must
            not exceed 1.4 sigma.
        temperature: no unit, > 0; may be traced.
    """
    limited = jnp.clip(scores, *TARGET_RANGE)
    logits = -jnp.square(bins - limited[:, None]) / (2 * sigma**2)
    return _log_softmax(logits / temperature)


def kl_loss(
    logits: Float[Array, "n k"],
    scores: Float[Array, " n"],
    *,
    sigma: float,
    temperature: ArrayLike,
) -> Float[Array, " n"]:
    """The temperature-scaled KL per row, >= 0."""
    teacher = soft_labels(scores, jnp.asarray(BINS), sigma=sigma, temperature=temperature)
    student = _log_softmax(logits / temperature)
    divergence = _row_sum(jnp.exp(teacher) * (teacher - student))
    return jnp.square(jnp.asarray(temperature)) * divergence


def _row_sum(values: Float[Array, "n k"]) -> Float[Array, " n"]:
    """The sum over bins as a product, whose order does not depend on how many folds are mapped."""
    return jnp.dot(values, jnp.ones(values.shape[1], values.dtype), precision="highest")


def _log_softmax(logits: Float[Array, "n k"]) -> Float[Array, "n k"]:
    shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=1, keepdims=True))
    return shifted - jnp.log(_row_sum(jnp.exp(shifted)))[:, None]


def squared_error(predicted: Float[Array, " n"], scores: Float[Array, " n"]) -> Float[Array, " n"]:
    """Squared error per row, in squares of 25 points (the scalar head's unit)."""
    return jnp.square((predicted - scores) / SCORE_SPAN)


def masked_mean(values: Float[Array, " n"], mask: Float[Array, " n"]) -> Float[Array, ""]:
    """Mean over rows where `mask` is 1."""
    return jnp.dot(values, mask, precision="highest") / jnp.sum(mask)
