"""A radial basis function network, which libvmaf can run as a nu-SVR, and its deployed form.

    y = sum_j c_j exp(-|s (z - p_j)|^2) + o

over scaled features `z`, with learned prototypes `p`, one learned scale `s` a feature (the shared
gamma and a linear scaling of its own in one), coefficients `c` and an offset `o`.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import OUTPUT_RANGE
from vmaf_jax.models.layers import SCORE_CENTRE, SCORE_SPAN, add_bias, scale_columns


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
    dropout: float | Array = 0.0

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


def deploy_rbf(exact: Any, head: str, _activation_name: str) -> tuple[Any, dict[str, Any]] | None:
    """Returns two affine maps around the exponential; None for a head other than scalar.

    `-|z - p|^2 = (2 z p - |p|^2) - |z|^2`, whose first part is one affine map.

    Args:
        exact: a student's variables in float64.
    Returns:
        A function of constants and raw features `[n, d]`, which gives clipped scores `[n]`, VMAF
        points; and the constants, float64.
    """
    if head != "scalar":
        return None
    network, scaler = exact["params"]["network"], exact["scaler"]
    scale = np.exp(network["log_scale"])
    centres = network["prototypes"] * scale
    constants = {
        "mean": scaler["mean"],
        "slope": scaler["inv_std"] * scale,
        "kernel": 2 * centres.T,
        "bias": -np.square(centres).sum(axis=1),
        "ones": np.ones((len(scale), 1)),
        "coefficients": SCORE_SPAN * network["coefficients"],
        "offset": SCORE_SPAN * network["offset"] + SCORE_CENTRE,
    }

    def predict(c: dict[str, Any], features: Float[Array, "n d"]) -> Float[Array, " n"]:
        z = (features - c["mean"]) * c["slope"]
        affine = jnp.dot(z, c["kernel"], precision="highest") + c["bias"]
        squares = jnp.dot(jnp.square(z), c["ones"], precision="highest")  # a sum, as a MatMul
        units = jnp.exp(affine - squares)
        score = jnp.dot(units, c["coefficients"], precision="highest") + c["offset"]
        return jnp.clip(jnp.squeeze(score, -1), *OUTPUT_RANGE)

    return predict, constants
