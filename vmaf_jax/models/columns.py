"""A number for each column, added or multiplied, whose gradient is a product over the rows.

XLA adds up a fused sum in an order that depends on how many folds are mapped; a product it does
not, and so a fold trains to the same bits alone and among others.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

AnyArray = Array | np.ndarray


@jax.custom_vjp
def add_bias(x: Float[AnyArray, "n k"], bias: Float[AnyArray, " k"]) -> Float[Array, "n k"]:
    """`x + bias`."""
    return jnp.add(x, bias)


def _add_forward(x: Array, bias: Array) -> tuple[Array, None]:
    return x + bias, None


def _add_backward(_: None, g: Array) -> tuple[Array, Array]:
    return g, _over_rows(g)


add_bias.defvjp(_add_forward, _add_backward)


@jax.custom_vjp
def scale_columns(x: Float[AnyArray, "n k"], scale: Float[AnyArray, " k"]) -> Float[Array, "n k"]:
    """`x * scale`."""
    return jnp.multiply(x, scale)


def _scale_forward(x: Array, scale: Array) -> tuple[Array, tuple[Array, Array]]:
    return x * scale, (x, scale)


def _scale_backward(kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, scale = kept
    return g * scale, _over_rows(g * x)


scale_columns.defvjp(_scale_forward, _scale_backward)


def _over_rows(g: Float[Array, "n k"]) -> Float[Array, " k"]:
    return jnp.dot(jnp.ones(g.shape[0], g.dtype), g, precision="highest")
