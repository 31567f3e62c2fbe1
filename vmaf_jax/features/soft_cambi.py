"""A smooth stand-in for CAMBI, for its gradient.

CAMBI counts samples of equal value; here a sample counts by how near its value is,
`exp(-(difference / width)^2 / 2)`, a histogram with soft bins. Everything else is CAMBI's own, held
still: which samples are flat, what the mode filter did to them, which of them are pooled. So the
value is not CAMBI's, but rises and falls with it, and has a slope in the samples.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from vmaf_jax.features.cambi import (
    N_SCALES,
    STEP_WEIGHTS,
    CambiSettings,
    flat,
    is_halved,
    smallest_of_top,
    ten_bits,
    visible_steps,
    window_radius,
    without_speckles,
)

WIDTH = 1.0  # of a bin, steps of 10 bits


def soft_cambi(
    luma: Shaped[Array, "h w"], bits: int, settings: CambiSettings | None = None
) -> Float[Array, ""]:
    """A smooth number that follows CAMBI; differentiable in the picture.

    Args:
        luma: on the scale of `bits`, floats for a gradient.
        bits: 8, 10 or 12.
    """
    settings = settings or CambiSettings()
    hard = ten_bits(luma, bits)
    soft = _ten_bits(luma, bits)
    h, w = luma.shape
    mask, halved = flat(hard), is_halved(h, w, settings)
    radius = window_radius(h, w, halved=halved)
    score = jnp.zeros((), soft.dtype)
    for scale in range(N_SCALES):
        if scale or halved:
            hard, soft, mask = hard[::2, ::2], soft[::2, ::2], mask[::2, ::2]
        hard = without_speckles(hard)
        # The filtered value, with the slope of the sample that was there.
        soft = hard + (soft - jax.lax.stop_gradient(soft))
        contrast = _contrast(soft, mask, radius, visible_steps(settings.dark))
        top, count = smallest_of_top(jax.lax.stop_gradient(contrast).astype(jnp.float32))
        above = contrast > top
        mean = (jnp.where(above, contrast, 0).sum() + (count - above.sum()) * top) / count
        score += 2 ** (N_SCALES - 1 - scale) * mean
    return jnp.minimum(score / (2 * radius + 1) ** 2, settings.most)


def _ten_bits(luma: Shaped[Array, "h w"], bits: int) -> Float[Array, "h w"]:
    image = luma.astype(jnp.promote_types(luma.dtype, jnp.float32)) * 2.0 ** (10 - bits)
    if bits >= 10:
        return image
    below = jnp.concatenate([image[1:], image[-1:]])
    down = (image + below) / 2
    right = jnp.concatenate([down[:, 1:], down[:, -1:]], 1)
    return (down + right) / 2


def _contrast(
    image: Float[Array, "h w"],
    mask: Bool[Array, "h w"],
    radius: int,
    visible: tuple[tuple[int, int], ...],
) -> Float[Array, "h w"]:
    counts = _soft_counts(image, mask.astype(image.dtype), radius)
    n = len(STEP_WEIGHTS)
    best = jnp.zeros_like(image)
    for step, (weight, (lowest, highest)) in enumerate(
        zip(STEP_WEIGHTS, visible, strict=True), start=1
    ):
        other = jnp.maximum(counts[n - step], counts[n + step])
        value = weight * counts[n] * other / (counts[n] + other + 1e-6)
        best = jnp.where((image >= lowest) & (image <= highest), jnp.maximum(best, value), best)
    return jnp.where(mask, best, 0)


def _soft_counts(
    image: Float[Array, "h w"], weight: Float[Array, "h w"], radius: int
) -> Float[Array, "steps h w"]:
    """How much of each sample's window lies near its value and near those up to 4 steps away."""
    size, n = 2 * radius + 1, len(STEP_WEIGHTS)
    framed, weights = jnp.pad(image, radius), jnp.pad(weight, radius)
    steps = jnp.arange(-n, n + 1, dtype=image.dtype)[:, None, None]
    starts = jnp.stack(jnp.meshgrid(jnp.arange(size), jnp.arange(size)), -1).reshape(-1, 2)

    # What a step needs is computed again on the way back: one picture is kept, not one a sample.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(counts: Array, start: Array) -> tuple[Array, None]:
        part = jax.lax.dynamic_slice(framed, (start[1], start[0]), image.shape)
        share = jax.lax.dynamic_slice(weights, (start[1], start[0]), image.shape)
        near = jnp.exp(-0.5 * jnp.square((part - image - steps) / WIDTH))
        return counts + share * near, None

    return jax.lax.scan(add, jnp.zeros((2 * n + 1, *image.shape), image.dtype), starts)[0]
