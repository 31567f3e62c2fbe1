"""Multilayer perceptrons over the scaled features.

Dropout acts on the penultimate layer while training and leaves no trace otherwise.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.models.activations import activation


@jax.custom_vjp
def add_bias(x: Float[Array, "n k"], bias: Float[Array, " k"]) -> Float[Array, "n k"]:
    """`x + bias`, its gradient summed over rows by a product.

    XLA adds up a fused sum in an order that depends on how many folds are mapped; a product it
    does not, and so a fold trains to the same bits alone and among others.
    """
    return x + bias


def _forward(x: Array, bias: Array) -> tuple[Array, None]:
    return x + bias, None


def _backward(_: None, g: Array) -> tuple[Array, Array]:
    return g, jnp.dot(jnp.ones(g.shape[0], g.dtype), g, precision="highest")


add_bias.defvjp(_forward, _backward)


class Dense(nn.Module):
    """A linear layer of `width` units."""

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool) -> Float[Array, "n k"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        product = jnp.dot(x, kernel, precision="highest")
        return add_bias(product, bias) if training else product + bias


class Mlp(nn.Module):
    """Hidden layers of the given widths, then `outputs` linear units.

    Attributes:
        widths: units of each hidden layer.
        outputs: size of the last axis of the result.
        activation: a name in `ACTIVATIONS`.
        dropout: probability of leaving out a unit of the last hidden layer in training.
    """

    widths: tuple[int, ...]
    outputs: int
    activation: str = "silu"
    dropout: float = 0.2

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool = False) -> Float[Array, "n k"]:
        activate = activation(self.activation)
        for width in self.widths:
            x = activate(Dense(width)(x, training=training))
        if training and self.dropout > 0:
            x = nn.Dropout(self.dropout, deterministic=False)(x)
        return Dense(self.outputs)(x, training=training)
