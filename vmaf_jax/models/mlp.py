"""Multilayer perceptrons over the scaled features.

Dropout acts on the penultimate layer while training and leaves no trace otherwise.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.models.activations import activation
from vmaf_jax.models.columns import add_bias


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
