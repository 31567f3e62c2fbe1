"""Sums that come out the same bits however many members are mapped: all of them are products.

XLA adds a fused sum up in an order that depends on the size of the mapped batch, and the order of
float32 additions shows. A matrix product it computes in one order. So every sum that a training
depends on is a product here, and a fold trains to the same bits alone and among others.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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
