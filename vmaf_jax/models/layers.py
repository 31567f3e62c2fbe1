"""What networks share: sums that come out the same bits however many members are mapped, and heads.

XLA adds a fused sum up in an order that depends on the size of the mapped batch, and the order of
float32 additions shows. A matrix product it computes in one order. So every sum that a training
depends on is a product here, and a fold trains to the same bits alone and among others.

A head makes a score of a network's outputs. Scalar: `score = 50 + 25 z`, so that unit outputs span
the scale. Distribution: `z` are logits over bins with centres `c_k`, and the score is the expected
value `sum_k c_k softmax(z)_k`. The bins reach far enough past 0 and 100, and lie close enough for
the teacher's width, that the expected value of a discretised teacher is unbiased for scores in
[-25, 125].
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.models.sizes import BINS

AnyArray = Array | np.ndarray


def sum_of_rows(values: Float[AnyArray, "n k"]) -> Float[Array, " k"]:
    """Returns the sum of each column, `[k]`."""
    return jnp.dot(jnp.ones(values.shape[0], values.dtype), values, precision="highest")


def sum_of_columns(values: Float[AnyArray, "n k"]) -> Float[Array, " n"]:
    """Returns the sum of each row, `[n]`."""
    return jnp.dot(values, jnp.ones(values.shape[1], values.dtype), precision="highest")


@jax.custom_vjp
def add_bias(x: Float[AnyArray, "n k"], bias: Float[AnyArray, " k"]) -> Float[Array, "n k"]:
    """Returns `x + bias`; its gradient by `bias` is a sum by a product."""
    return jnp.add(x, bias)


def _add_forward(x: Array, bias: Array) -> tuple[Array, None]:
    return x + bias, None


def _add_backward(_: None, g: Array) -> tuple[Array, Array]:
    return g, sum_of_rows(g)


add_bias.defvjp(_add_forward, _add_backward)


@jax.custom_vjp
def scale_columns(x: Float[AnyArray, "n k"], scale: Float[AnyArray, " k"]) -> Float[Array, "n k"]:
    """Returns `x * scale`; its gradient by `scale` is a sum by a product."""
    return jnp.multiply(x, scale)


def _scale_forward(x: Array, scale: Array) -> tuple[Array, tuple[Array, Array]]:
    return x * scale, (x, scale)


def _scale_backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, scale = saved
    return g * scale, sum_of_rows(g * x)


scale_columns.defvjp(_scale_forward, _scale_backward)


SCORE_CENTRE, SCORE_SPAN = 50.0, 25.0  # VMAF points
TARGET_RANGE = (-25.0, 125.0)  # VMAF points


HEADS = ("scalar", "distribution")


def head_outputs(head: str) -> int:
    """Returns the number of outputs that the network needs for `head`."""
    return 1 if head == "scalar" else len(BINS)


def head_score(head: str, outputs: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Computes unclipped scores, VMAF points, from the outputs of the network."""
    if head == "scalar":
        return SCORE_CENTRE + SCORE_SPAN * jnp.squeeze(outputs, -1)
    # A one-column product exports as MatMul; a sum over the broadcast product as six nodes.
    weights = jax.nn.softmax(outputs)
    return jnp.squeeze(jnp.dot(weights, BINS[:, None], precision="highest"), -1)
