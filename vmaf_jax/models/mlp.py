"""Multilayer perceptrons over the scaled features, and the form in which they are deployed.

Dropout acts on the penultimate layer while training and leaves no trace otherwise.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.models.activations import activation
from vmaf_jax.models.heads import SCORE_CENTRE, SCORE_SPAN, head_score
from vmaf_jax.models.sums import add_bias

N_COLUMNS = 64  # of the deployed last product; 32 and 96 were seen to round otherwise

Layers = list[tuple[Any, Any]]  # kernel [d, k] and bias [k] of each


class Dense(nn.Module):
    """A linear layer of `width` units."""

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool) -> Float[Array, "n k"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        product = jnp.dot(x, kernel, precision="highest")
        return add_bias(product, bias) if training else product + bias


class Dropout(nn.Module):
    """Leaves units out at random and scales the others up, so that their mean stays.

    Masks and roundings are those of `flax.linen.Dropout`, which takes no traced rate.

    Attributes:
        rate: the share of units left out, in [0, 1); may be traced.
    """

    rate: float | Array

    @nn.compact
    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        share = 1.0 - self.rate
        mask = jax.random.bernoulli(self.make_rng("dropout"), share, x.shape)
        return jax.lax.select(mask, x / share, jnp.zeros_like(x))


class Mlp(nn.Module):
    """Hidden layers of the given widths, then `outputs` linear units.

    Attributes:
        widths: units of each hidden layer.
        outputs: size of the last axis of the result.
        activation: a name in `ACTIVATIONS`.
        dropout: probability of leaving out a unit of the last hidden layer in training; may be
            traced. For a constant 0 no masks are drawn.
    """

    widths: tuple[int, ...]
    outputs: int
    activation: str = "silu"
    dropout: float | Array = 0.2

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool = False) -> Float[Array, "n k"]:
        activate = activation(self.activation)
        for width in self.widths:
            x = activate(Dense(width)(x, training=training))
        if training and (isinstance(self.dropout, jax.Array) or self.dropout > 0):
            x = Dropout(self.dropout)(x)
        return Dense(self.outputs)(x, training=training)


def deploy_mlp(exact: Any, head: str, activation_name: str) -> tuple[Any, Layers]:
    """The scaler folded into the first layer and, with a scalar head, its span into the last.

    That layer gets columns of zeros up to `N_COLUMNS`, which a sum takes away again: narrow
    products go to kernels that add in another order, and JAX and ONNX Runtime are to compute the
    same bits.

    Args:
        exact: a student's variables in float64.
    Returns:
        A function of layers and raw features `[n, d]`, which gives clipped scores `[n]`, VMAF
        points; and the layers, float64.
    """
    network, scaler = exact["params"]["network"], exact["scaler"]
    layers = [
        (network[f"Dense_{k}"]["kernel"], network[f"Dense_{k}"]["bias"])
        for k in range(len(network))
    ]
    kernel, bias = layers[0]
    kernel = scaler["inv_std"][:, None] * kernel
    layers[0] = (kernel, bias - scaler["mean"] @ kernel)
    if head == "scalar":
        kernel, bias = layers[-1]
        blank = N_COLUMNS - 1
        layers[-1] = (
            np.pad(SCORE_SPAN * kernel, ((0, 0), (0, blank))),
            np.pad(SCORE_SPAN * bias + SCORE_CENTRE, (0, blank)),
        )

    def predict(layers: Layers, features: Float[Array, "n d"]) -> Float[Array, " n"]:
        activate = activation(activation_name)
        h = features
        for kernel, bias in layers[:-1]:
            h = activate(jnp.dot(h, kernel, precision="highest") + bias)
        kernel, bias = layers[-1]
        z = jnp.dot(h, kernel, precision="highest") + bias
        score = jnp.sum(z, axis=1) if head == "scalar" else head_score(head, z)
        return jnp.clip(score, *OUTPUT_RANGE)

    return predict, layers
