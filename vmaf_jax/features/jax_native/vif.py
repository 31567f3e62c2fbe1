"""VIF: visual information fidelity at four scales, as libvmaf's float extractor computes it.

A picture is modelled locally as a Gaussian; of the information that the eye takes from the
reference, VIF is the share that the distorted picture keeps. Local moments come from a Gaussian
window of 17, 9, 5 and 3 samples; each later scale is smoothed by its own window and halved.
Below the noise variance of the eye the model gives way to a linear penalty on the distorted
variance. The pixel offset of -128 matters: variances are differences of float32 sums.
Source: libvmaf's vif.c, vif_tools.c and float_vif.c; Sheikh and Bovik, "Image information and
visual quality", IEEE TIP 15(2), 2006.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.features.jax_native.filters import Taps, correlate, mirror, smooth, unstack

N_SCALES = 4
_NOISE = 2.0  # variance of the noise in the eye, squared 8-bit luma steps
_PENALTY = _NOISE**2 / 255**2


def vif(
    reference: Float[Array, "t h w"],
    distorted: Float[Array, "t h w"],
    *,
    gain_limit: float = 100.0,
) -> Float[Array, "t scales"]:
    """VIF of each frame at each of the four scales; no unit, 1 for identical pictures.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
        gain_limit: the largest contrast gain that counts, at least 1 (1 in the NEG models).
    """
    return jax.lax.map(lambda pair: frame_vif(pair[0], pair[1], gain_limit), (reference, distorted))


def frame_vif(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Float[Array, " scales"]:
    """`vif` of one frame."""
    pair = jnp.stack([reference, distorted]) - 128
    ratios = []
    for scale in range(N_SCALES):
        taps = window(scale)
        if scale:
            h, w = pair.shape[1:]
            pair = smooth(pair, taps, stride=2)[:, : h // 2, : w // 2]
        ratios.append(_fidelity(pair, taps, gain_limit))
    return jnp.stack(ratios)


def window(scale: int) -> Taps:
    """The Gaussian of one scale: 17, 9, 5 or 3 taps, deviation a fifth of that, sum 1."""
    size = 2 ** (N_SCALES - scale) + 1
    weights = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 5)) ** 2)
    return tuple((weights / weights.sum()).astype(np.float32).tolist())


def _fidelity(pair: Float[Array, "2 h w"], taps: Taps, gain_limit: float) -> Float[Array, ""]:
    """Information kept over information there, summed over the picture."""
    x, y = unstack(mirror(pair, len(taps) // 2))
    moments = jnp.stack([x, y, x * x, y * y, x * y])
    # The columns of all five are one array, so XLA computes them once and not per row tap.
    moments = correlate(correlate(moments, taps, -2, 1), taps, -1, 1)
    # Its gradient starts from the moments again: to keep what lies between costs more.
    return jax.checkpoint(functools.partial(_ratio, gain_limit=gain_limit))(moments)


def _ratio(moments: Float[Array, "5 h w"], *, gain_limit: float) -> Float[Array, ""]:
    """`_fidelity` from local means, mean squares and mean product.

    With gain g = cov / var_x, the kept information is log2(1 + g^2 var_x / (var_y - g cov + n));
    here numerator and denominator are multiplied by var_x, which leaves one division.
    """
    mean_x, mean_y, xx, yy, xy = unstack(moments)
    var_x = xx - mean_x * mean_x
    var_y = jnp.maximum(yy - mean_y * mean_y, 0)
    covariance = jnp.maximum(xy - mean_x * mean_y, 0)
    seen = var_x >= _NOISE
    var_x = jnp.where(seen, var_x, _NOISE)
    signal = jnp.minimum(covariance, gain_limit * var_x) ** 2
    noise = jnp.maximum(var_x * var_y - covariance**2, 0) + _NOISE * var_x
    kept = jnp.where(seen, jnp.log2(1 + signal / noise), 1 - _PENALTY * var_y)
    there = jnp.log2(1 + var_x / _NOISE)  # 1 where the reference has less than the noise
    return kept.sum() / there.sum()
