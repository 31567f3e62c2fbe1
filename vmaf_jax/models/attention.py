"""Attention pooling over the features.

Each feature becomes a token: its scaled value times a learned direction, plus a learned offset. A
learned query weighs the tokens by softmax attention, and two hidden layers read the pooled token
beside the scaled features themselves.
Source of the pooling: "Attention-based deep multiple instance learning", arXiv:1802.04712, eq. 8.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.models.activations import activation
from vmaf_jax.models.mlp import Mlp


class AttentionPooled(nn.Module):
    """Tokens of `width`, pooled, then an `Mlp` of `widths`.

    Attributes:
        width: size of a token.
        widths, outputs, activation, dropout: of the layers after the pooling.
    """

    width: int
    widths: tuple[int, ...]
    outputs: int
    activation: str = "silu"
    dropout: float = 0.2

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool = False) -> Float[Array, "n k"]:
        d = x.shape[-1]
        direction = self.param("direction", nn.initializers.normal(1.0), (d, self.width))
        offset = self.param("offset", nn.initializers.normal(1.0), (d, self.width))
        query = self.param("query", nn.initializers.lecun_normal(), (self.width, 1))
        activate = activation(self.activation)
        weights, values = [], []
        # One token at a time: two-dimensional products, which export as MatMul.
        for k in range(d):
            token = activate(x[:, k : k + 1] @ direction[k : k + 1] + offset[k : k + 1])
            values.append(token)
            weights.append(token @ query)
        share = jax.nn.softmax(jnp.concatenate(weights, axis=1))
        pooled = sum(share[:, k : k + 1] * values[k] for k in range(d))
        read = jnp.concatenate([pooled, x], axis=1)
        return Mlp(self.widths, self.outputs, self.activation, self.dropout)(
            read, training=training
        )
