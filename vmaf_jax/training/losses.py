"""Losses: squared error, Huber's, or temperature-scaled KL to a soft teacher.

Teacher logits for a score s: `l_k = -(c_k - s)^2 / (2 sigma^2)`. With temperature T,

    loss = T^2 KL( softmax(l / T) || softmax(z / T) )

The factor keeps the gradient's size when T changes. Scores in VMAF points, losses without unit.
Source: "Distilling the knowledge in a neural network", arXiv:1503.02531, section 2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from vmaf_jax.models.layers import SCORE_SPAN, TARGET_RANGE, head_score, sum_of_columns
from vmaf_jax.models.sizes import BINS

_KINK = 0.5  # of Huber's loss, in units of 25 points: half a vote of 1 to 5


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
    """Converts teacher scores to distributions over quality bins.

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
    return SoftLabels(p, sum_of_columns(p * log_p))


def kl_loss(
    logits: Float[Array, "n k"], labels: SoftLabels, temperature: ArrayLike
) -> Float[Array, " n"]:
    """Computes the temperature-scaled KL per row, >= 0 but for rounding.

    With `sum_k p_k = 1`, `KL = sum_k p_k log p_k - sum_k p_k z_k / T + log sum_k exp(z_k / T)`.

    Args:
        logits: the student's `z`.
        labels: the teacher's distributions at the same temperature.
        temperature: no unit, > 0; may be traced.
    """
    cooled = logits / temperature
    expected = sum_of_columns(labels.probability * cooled)
    divergence = labels.negentropy - expected + _log_sum_exp(cooled)
    return jnp.square(jnp.asarray(temperature)) * divergence


def _log_sum_exp(logits: Float[Array, "n k"]) -> Float[Array, " n"]:
    highest = jax.lax.stop_gradient(jnp.max(logits, axis=1))
    return highest + jnp.log(sum_of_columns(jnp.exp(logits - highest[:, None])))


def squared_error(predicted: Float[Array, " n"], scores: Float[Array, " n"]) -> Float[Array, " n"]:
    """Computes the squared error per row, in squares of 25 points (the scalar head's unit)."""
    return jnp.square((predicted - scores) / SCORE_SPAN)


def huber(predicted: Float[Array, " n"], scores: Float[Array, " n"]) -> Float[Array, " n"]:
    """Computes Huber's loss per row: the squared error up to 12.5 points, then linear.

    Rows whose labels or features are wrong pull no harder than rows that are 12.5 points off.
    Source: Huber, "Robust Estimation of a Location Parameter" (1964).
    """
    error = jnp.abs(predicted - scores) / SCORE_SPAN
    return jnp.where(error <= _KINK, jnp.square(error), _KINK * (2 * error - _KINK))


Labels = Any  # of a loss: scores `[n]` in VMAF points, or `SoftLabels`


class Loss(NamedTuple):
    """A loss: how scores become labels, and what a row's outputs lose.

    Attributes:
        label: from scores `[n]` (VMAF points) and a temperature to the targets of rows.
        per_row: from the network's outputs `[n, k]`, labels and a temperature to losses `[n]`.
    """

    label: Callable[[Float[Array, " n"], ArrayLike], Labels]
    per_row: Callable[[Float[Array, "n k"], Labels, ArrayLike], Float[Array, " n"]]


def _of_scores(error: Callable[[Array, Array], Array]) -> Callable[[float], Loss]:
    """Returns the loss of a scalar head's score, by an error per row."""

    def per_row(outputs: Array, labels: Labels, _temperature: ArrayLike) -> Array:
        return error(head_score("scalar", outputs), labels)

    return lambda _sigma: Loss(lambda scores, _temperature: scores, per_row)


def _kl(sigma: float) -> Loss:
    def label(scores: Array, temperature: ArrayLike) -> Labels:
        return soft_labels(scores, jnp.asarray(BINS), sigma=sigma, temperature=temperature)

    return Loss(label, kl_loss)


# By name; each is made with the width of the teacher's distribution, VMAF points.
LOSSES: dict[str, Callable[[float], Loss]] = {
    "squared_error": _of_scores(squared_error),
    "huber": _of_scores(huber),
    "kl": _kl,
}
