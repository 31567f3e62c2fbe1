"""ADM: the additive detail metric (adm2), as libvmaf's float extractor computes it.

Luma of a reference and a distorted frame in, one number out: 1 where all detail is kept, 0 where
it is lost. Four levels of a db2 wavelet. Decoupling splits each band of the distorted picture into
a restored part (the reference's detail) and an additive part (what was added). Both are weighted by
the contrast sensitivity function (CSF); the additive part gives the contrast masking threshold,
under which restored detail does not count. Numerator (restored) and denominator (reference) pool
their bands by a 3-norm over the middle 80 % of the picture; adm2 is their ratio.
Source: libvmaf's adm.c, adm_tools.c, adm_tools.h and adm_options.h; Li et al., IEEE TMM 13(5),
2011; the CSF is that of Watson et al., "Visibility of wavelet quantization noise", IEEE
TIP 6(8), 1997, at 3 picture heights of 1080 lines.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.filters import correlate, rounded

N_LEVELS = 4
LOW = (0.482962913144690, 0.836516303737469, 0.224143868041857, -0.129409522550921)
HIGH = (-0.129409522550921, -0.224143868041857, 0.836516303737469, -0.482962913144690)
_BORDER = 0.1  # of the picture, on each side, that is not pooled
NOISE_WEIGHT = 1 / 32
COS_SQUARED = math.cos(math.radians(1)) ** 2
# Watson et al.: amplitudes of the basis functions (straight, diagonal) at each level.
_AMPLITUDES = ((0.67234, 0.72709), (0.41317, 0.49428), (0.22727, 0.28688), (0.11792, 0.15214))

Bands = tuple[Float[Array, "_ _"], Float[Array, "_ _"], Float[Array, "_ _"]]


def frame_adm(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Float[Array, ""]:
    """adm2 of a frame; no unit, 1 for identical pictures.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
        gain_limit: the largest contrast gain that counts, at least 1 (1 in the NEG models).
    """
    x, y = reference - 128, distorted - 128
    numerator = denominator = jnp.zeros((), x.dtype)
    for level in range(N_LEVELS):
        (x, x_bands), (y, y_bands) = wavelet(x), wavelet(y)
        csf = csf_weights(level)
        restored = decouple(x_bands, y_bands, gain_limit)
        additive = [
            weight * jnp.abs(y_band - r_band)
            for weight, y_band, r_band in zip(csf, y_bands, restored, strict=True)
        ]
        threshold = _masking_threshold(additive[0] + additive[1] + additive[2])
        part = middle(x.shape)
        for weight, x_band, r_band in zip(csf, x_bands, restored, strict=True):
            numerator += _pool(jnp.maximum(weight * jnp.abs(r_band) - threshold, 0)[part])
            denominator += _pool(weight * jnp.abs(x_band)[part])
    return numerator / denominator


def wavelet(x: Float[Array, "h w"]) -> tuple[Float[Array, "h2 w2"], Bands]:
    """One level: the low band; and those high across rows, across columns and both."""
    low, high = _split(x, -2)
    (approximation, vertical), (horizontal, diagonal) = _split(low, -1), _split(high, -1)
    return approximation, (horizontal, vertical, diagonal)


def _split(
    x: Float[Array, "h w"], axis: int
) -> tuple[Float[Array, "h2 w2"], Float[Array, "h2 w2"]]:
    """Low and high half of one axis; an odd length is rounded up.

    The edge before the first sample mirrors about it; the one after the last repeats it.
    """
    n = x.shape[axis]

    def part(start: int, stop: int) -> Array:
        return jax.lax.slice_in_dim(x, start, stop, axis=axis)

    tail = [part(n - 1, n), part(n - 2, n - 1)][: 1 + n % 2]
    x = jnp.concatenate([part(1, 2), x, *tail], axis)
    return correlate(x, LOW, axis, 2), correlate(x, HIGH, axis, 2)


def csf_weights(level: int) -> tuple[float, float, float]:
    """CSF weights of the three bands of a level: one over the smallest visible quantiser step."""
    resolution = 3 * 1080 * math.pi / 180  # pixels per degree
    weights = []
    for orientation, amplitude in zip((1.0, 0.534), _AMPLITUDES[level], strict=True):
        octave = math.log10(2 ** (level + 1) * 0.401 * orientation / resolution)
        weights.append(amplitude / (2 * 0.495 * 10 ** (0.466 * octave**2)))
    straight, diagonal = weights
    return straight, straight, diagonal


def decouple(x: Sequence[Array], y: Sequence[Array], gain_limit: float) -> Bands:
    """The restored part of the distorted bands `y`: what of them is the detail of `x`.

    A coefficient counts from 0 to the reference's own; beyond that, up to `gain_limit` of it,
    where the gradient (horizontal, vertical) keeps its direction within one degree, since such a
    change is one of contrast.
    """

    def inner(a: Sequence[Array], b: Sequence[Array]) -> Float[Array, "h w"]:
        return rounded(a[0] * b[0]) + rounded(a[1] * b[1])

    limit: Array | int = 1
    if gain_limit != 1:
        product = inner(x, y)
        aligned = (product >= 0) & (product**2 >= COS_SQUARED * inner(x, x) * inner(y, y))
        limit = jnp.where(aligned, jnp.asarray(gain_limit, product.dtype), 1)

    def restore(x: Float[Array, "h w"], y: Float[Array, "h w"]) -> Float[Array, "h w"]:
        return jnp.clip(y, jnp.minimum(limit * x, 0), jnp.maximum(limit * x, 0))

    return restore(x[0], y[0]), restore(x[1], y[1]), restore(x[2], y[2])


def _masking_threshold(additive: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """The contrast masking threshold: a thirtieth of each neighbour and a fifteenth of itself.

    The edges before the first row and column mirror about it; those after the last repeat it.
    """
    h, w = additive.shape
    framed = jnp.pad(jnp.pad(additive, ((1, 0), (1, 0)), mode="reflect"), ((0, 1), (0, 1)), "edge")
    neighbours = sum(framed[i : i + h, j : j + w] for i in range(3) for j in range(3))
    return (neighbours + additive) / 30


def middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    borders = [middle_border(n) for n in shape]
    return tuple(slice(border, n - border) for border, n in zip(borders, shape, strict=True))


def middle_border(n: int) -> int:
    """Samples at each end of an axis of `n` that are not pooled."""
    return max(int(n * _BORDER - 0.5), 0)


def _pool(x: Float[Array, "h w"]) -> Float[Array, ""]:
    """The 3-norm, plus what noise contributes; its gradient is 0 where `x` is all 0."""
    total = (x**3).sum()
    positive = total > 0
    norm = jnp.where(positive, jnp.cbrt(jnp.where(positive, total, 1)), 0)
    return norm + (x.size * NOISE_WEIGHT) ** (1 / 3)
