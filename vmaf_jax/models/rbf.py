"""A radial basis function network: what libvmaf can run as a nu-SVR.

    y = sum_j c_j exp(-|s (z - p_j)|^2) + o

over scaled features `z`, with learned prototypes `p`, one learned scale `s` a feature (the shared
gamma and a linear scaling of its own in one), coefficients `c` and an offset `o`.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.models.columns import add_bias, scale_columns


class Rbf(nn.Module):
    """`prototypes` Gaussian units and a linear read-out.

    Attributes:
        prototypes: number of units.
        outputs: size of the last axis of the result.
        activation, dropout: not used; a Gaussian is the activation.
    """

    prototypes: int
    outputs: int
    activation: str = "silu"
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool = False) -> Float[Array, "n k"]:
        n_units, d = self.prototypes, x.shape[-1]
        centres = self.param("prototypes", nn.initializers.normal(1.0), (n_units, d))
        log_scale = self.param("log_scale", nn.initializers.constant(-1.2), (d,))
        coefficients = self.param(
            "coefficients", nn.initializers.lecun_normal(), (n_units, self.outputs)
        )
        offset = self.param("offset", nn.initializers.zeros, (self.outputs,))
        scale = jnp.exp(log_scale)
        x, centres = scale_columns(x, scale), scale_columns(centres, scale)
        ones = jnp.ones((d, 1), x.dtype)
        # |x - p|^2 as products of matrices: sums over features that export as MatMul.
        squares = jnp.dot(jnp.square(x), ones, precision="highest")
        distance = squares - 2 * jnp.dot(x, centres.T, precision="highest")
        distance = distance + jnp.dot(jnp.square(centres), ones, precision="highest").T
        kernel = jnp.exp(-distance)
        return add_bias(jnp.dot(kernel, coefficients, precision="highest"), offset)
