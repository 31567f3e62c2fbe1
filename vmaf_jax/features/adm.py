"""ADM, the detail loss of libvmaf's float extractor (adm2).

Luma of a reference and a distorted frame in, one number out: 1 where all detail is kept, 0 where it
is lost. Four levels of a db2 wavelet. Decoupling splits each band of the distorted picture into a
restored part (the reference's detail) and an additive part (what was added). Both are weighted by
the contrast sensitivity function (CSF) of Watson et al. at 3 picture heights of 1080 lines. The
additive part gives the contrast masking threshold, under which restored detail does not count.
Numerator (restored) and denominator (reference) pool their bands by a 3-norm over the middle 80 %
of the picture; adm2 is their ratio.
Source: libvmaf's adm.c, adm_tools.c, adm_tools.h and adm_options.h; Li et al., IEEE TMM 13(5),
2011; Watson et al., "Visibility of wavelet quantization noise", IEEE TIP 6(8), 1997.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.features.filters import (
    correlate,
    differentiate_distorted,
    join_columns,
    rounded,
    split_columns,
    unstack,
)

N_LEVELS = 4
# Daubechies' wavelet of four taps (db2), in the digits of libvmaf's `adm_tools.h`.
LOW = (0.482962913144690, 0.836516303737469, 0.224143868041857, -0.129409522550921)
HIGH = (-0.129409522550921, -0.224143868041857, 0.836516303737469, -0.482962913144690)
_BORDER = 0.1  # of the picture, on each side, that is not pooled
NOISE_WEIGHT = 1 / 32  # of a band's samples, added to both sums: a flat band would divide 0 by 0
COS_SQUARED = math.cos(math.radians(1)) ** 2  # of 1 degree, within which gained contrast is no loss
# Watson et al.: amplitudes of the basis functions (straight, diagonal) at each level.
_AMPLITUDES = ((0.67234, 0.72709), (0.41317, 0.49428), (0.22727, 0.28688), (0.11792, 0.15214))

Bands = tuple[Float[Array, "_ _"], Float[Array, "_ _"], Float[Array, "_ _"]]


def frame_adm(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Float[Array, ""]:
    """Computes adm2 of a frame; no unit, 1 for identical pictures.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
        gain_limit: the largest contrast gain that counts, at least 1 (1 in the NEG models).
    """
    return _adm(reference, distorted, gain_limit)


class Sums(NamedTuple):
    """Sums of the norms of bands, level by level."""

    numerator: Float[Array, ""]  # of restored detail above its threshold
    denominator: Float[Array, ""]  # of the reference's detail


def _plain_adm(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Float[Array, ""]:
    x, y = reference - 128, distorted - 128  # as libvmaf's float extractor has them
    zero = jnp.zeros((), x.dtype)
    sums = Sums(zero, zero)
    for level in range(N_LEVELS):
        (x, x_bands), (y, y_bands) = wavelet(x), wavelet(y)
        sums = _add_norms(sums, x_bands, y_bands, level, gain_limit)
    return sums.numerator / sums.denominator


def _add_norms(
    sums: Sums, x_bands: Sequence[Array], y_bands: Sequence[Array], level: int, gain_limit: float
) -> Sums:
    numerator, denominator = sums
    for detail in _visible_detail(x_bands, y_bands, level, gain_limit):
        part = middle(detail.restored.shape)
        numerator += _pool(detail.restored[part])
        denominator += _pool(detail.reference[part])
    return Sums(numerator, denominator)


class DetailMap(NamedTuple):
    """Detail of each coefficient of a band, by the contrast sensitivity function."""

    restored: Float[Array, "h w"]  # above its masking threshold
    reference: Float[Array, "h w"]


def adm_maps(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> list[list[DetailMap]]:
    """Computes the maps whose norms' ratio is `frame_adm`: of each level's bands, finest first."""
    x, y = reference - 128, distorted - 128
    maps = []
    for level in range(N_LEVELS):
        (x, *x_bands), (y, *y_bands) = wavelets(x, y)
        maps.append(_visible_detail(x_bands, y_bands, level, gain_limit))
    return maps


def _visible_detail(
    x_bands: Sequence[Array], y_bands: Sequence[Array], level: int, gain_limit: float
) -> list[DetailMap]:
    csf = csf_weights(level)
    restored = decouple(x_bands, y_bands, gain_limit)
    additive = [
        weight * jnp.abs(y_band - r_band)
        for weight, y_band, r_band in zip(csf, y_bands, restored, strict=True)
    ]
    threshold = _add_neighbours(additive[0] + additive[1] + additive[2]) / 30
    return [
        DetailMap(jnp.maximum(weight * jnp.abs(r_band) - threshold, 0), weight * jnp.abs(x_band))
        for weight, x_band, r_band in zip(csf, x_bands, restored, strict=True)
    ]


def _adm_and_slope(
    x: Float[Array, "h w"], y: Float[Array, "h w"], gain_limit: float
) -> tuple[Float[Array, ""], Float[Array, "h w"]]:
    """Returns adm2, and its derivatives by the distorted samples."""
    levels = split_levels(x, y)
    csf = [csf_weights(level) for level in range(N_LEVELS)]
    norms, slope = norms_and_slope(levels, csf, gain_limit, (1.0, 0.0))
    noise = sum_noise(levels, NOISE_WEIGHT)
    denominator = norms.reference + noise
    return (norms.restored + noise) / denominator, slope / denominator


class Level(NamedTuple):
    """Bands of both pictures at one level, and the distorted picture that they were made of."""

    x: Float[Array, "3 h2 w2"]
    y: Float[Array, "3 h2 w2"]
    picture: Float[Array, "h w"]


def split_levels(reference: Float[Array, "h w"], distorted: Float[Array, "h w"]) -> list[Level]:
    """Computes the bands of all levels, the finest first."""
    x, y, levels = reference - 128, distorted - 128, []
    for _ in range(N_LEVELS):
        picture = y
        (x, *x_bands), (y, *y_bands) = wavelets(x, y)
        levels.append(Level(jnp.stack(x_bands), jnp.stack(y_bands), picture))
    return levels


class DetailNorms(NamedTuple):
    """Sums of 3-norms over levels and bands, without noise."""

    restored: Float[Array, ""]  # above the threshold of what was added
    added: Float[Array, ""]  # above the threshold of what is restored
    reference: Float[Array, ""]


def norms_and_slope(
    levels: Sequence[Level],
    csf: Sequence[tuple[float, float, float]],
    gain_limit: float,
    shares: tuple[float, float],
) -> tuple[DetailNorms, Float[Array, "h w"]]:
    """Computes norms of detail, and the derivatives of a sum of them by the distorted samples.

    Levels but the finest are computed side by side, in one picture: XLA compiles a loop anew for
    each size of a picture.

    Args:
        csf: Weights of each level's bands.
        shares: Of the restored and the added norm in the sum that is differentiated. Where that of
            the added one is 0, it is not computed, and 0.
    """
    sums: list[Array] = []
    slopes: list[Array] = []
    for group in (slice(1), slice(1, N_LEVELS)):
        x = [_frame_middles(level.x) for level in levels[group]]
        y, unframe = zip(*(jax.vjp(_frame_middles, v.y) for v in levels[group]), strict=True)
        shapes = [bands.shape[1:] for bands in x]
        norms, by_bands = _norms_and_slopes(
            join_columns(x), join_columns(y), shapes, csf[group], gain_limit, shares
        )
        sums.append(jnp.stack(norms))
        parts = split_columns(by_bands, [w for _, w in shapes])
        slopes += [
            pull(part[:, :h])[0] for pull, part, (h, _) in zip(unframe, parts, shapes, strict=True)
        ]
    low = jnp.zeros_like(slopes[-1][0])
    for level, bands in zip(reversed(levels), reversed(slopes), strict=True):
        low = _merge(low, bands, level.picture)
    return DetailNorms(*jnp.stack(sums).sum(0)), low


def sum_noise(levels: Sequence[Level], weight: float) -> float:
    """Returns what noise adds to the norms of all levels and bands."""
    sizes = [math.prod(n - 2 * middle_border(n) for n in level.x.shape[1:]) for level in levels]
    return sum(3 * (size * weight) ** (1 / 3) for size in sizes)


def _norms_and_slopes(
    x: Float[Array, "3 h w"],
    y: Float[Array, "3 h w"],
    shapes: Sequence[tuple[int, ...]],
    csf: Sequence[tuple[float, float, float]],
    gain_limit: float,
    shares: tuple[float, float],
) -> tuple[DetailNorms, Float[Array, "3 h w"]]:
    """Returns norms of some levels, and the derivatives of their sum by the bands `y`.

    A clip at its edge has half the derivative, and a magnitude at 0 that of its upper side, as in
    JAX.

    Args:
        x, y: Framed bands of the levels, side by side.
        shapes: Of each level's.
    """
    n, widths = 2 if shares[1] else 1, [w for _, w in shapes]
    weights = jnp.asarray(np.repeat(csf, widths, axis=0).T[:, None], x.dtype)
    ends = np.concatenate([np.pad(np.full(w - 2, h - 1), 1) for h, w in shapes])
    rows = jnp.arange(x.shape[1])[:, None]
    inside = (rows > 0) & (rows < ends)  # neither frame nor filling

    # XLA would compute the gain anew, in code that it compiles anew, for each use of the limits.
    lowest, highest = from_zero(jax.lax.optimization_barrier(_gain(x, y, gain_limit)) * x)
    restored = jnp.clip(y, lowest, highest)
    parts = jnp.stack([restored, y - restored])
    seen = weights * jnp.abs(parts)
    thresholds = jax.lax.map(threshold, seen.sum(1)[::-1][:n])  # each part masks the other
    thresholds = jnp.pad(thresholds, ((0, 0), (1, 1), (1, 1)))
    kept = jnp.where(inside, jnp.maximum(seen[:n] - thresholds[:, None], 0), 0)
    cubes = jnp.concatenate([kept, jnp.where(inside, weights * jnp.abs(x), 0)[None]]) ** 3
    columns = split_columns(cubes.sum(-2), widths)
    norms = jnp.cbrt(jnp.stack([part.sum(-1) for part in columns]))  # [levels, n + 1, bands]

    inverse = jnp.where(norms > 0, 1 / jnp.where(norms > 0, norms, 1), 0)[:, :n]
    inverse = jnp.repeat(inverse, np.array(widths), axis=0, total_repeat_length=sum(widths))
    by_norms = jnp.asarray(shares[:n], x.dtype)[:, None, None, None]
    by_kept = by_norms * (kept * jnp.moveaxis(inverse, 0, -1)[:, :, None]) ** 2
    # Weights of neighbours are symmetric, so that the threshold is its own transpose.
    masking = jax.lax.map(threshold, jnp.pad(by_kept.sum(1), ((0, 0), (1, 1), (1, 1))))
    none = ((0, 2 - n), (0, 0), (0, 0), (0, 0))
    by_seen = jnp.pad(by_kept, none) - jnp.pad(masking[:, None], none)[::-1]
    by_restored, by_added = weights * slope_of_abs(parts) * by_seen
    at_edge = jnp.where((y == lowest) | (y == highest), 0.5, 0)
    free = jnp.where((lowest < y) & (y < highest), 1, at_edge)
    totals = norms.sum((0, 2))
    added = totals[1] if n == 2 else jnp.zeros_like(totals[0])
    return DetailNorms(totals[0], added, totals[-1]), by_added + free * (by_restored - by_added)


def wavelets(x: Array, y: Array) -> tuple[list[Array], list[Array]]:
    """Returns the low, horizontal, vertical and diagonal band of each picture, as `wavelet` does.

    Rows are split in a loop, since XLA on CPU computes the result of one once, and compiles it
    once.
    """
    low, high = _split(jnp.stack([x, y]), -2)
    rows = jnp.concatenate([low, high])
    (x_low, y_low, x_horizontal, y_horizontal), (x_vertical, y_vertical, x_diagonal, y_diagonal) = (
        unstack(half) for half in jax.lax.map(lambda part: _split(part, -1), rows)
    )
    return (
        [x_low, x_horizontal, x_vertical, x_diagonal],
        [y_low, y_horizontal, y_vertical, y_diagonal],
    )


def _merge(
    low: Float[Array, "h2 w2"], bands: Float[Array, "3 h2 w2"], like: Float[Array, "h w"]
) -> Float[Array, "h w"]:
    """Applies the transposed wavelet; returns a picture of the shape of `like`."""
    horizontal, vertical, diagonal = unstack(bands)

    def transpose(like: Array, axis: int, halves: tuple[Array, Array]) -> Array:
        return jax.vjp(lambda x: _split(x, axis), like)[1](halves)[0]

    halves = jnp.stack([low, horizontal]), jnp.stack([vertical, diagonal])
    rows = jnp.zeros((low.shape[0], like.shape[1]), low.dtype)
    first, second = unstack(jax.lax.map(lambda pair: transpose(rows, -1, pair), halves))
    return transpose(like, -2, (first, second))


_adm = differentiate_distorted(
    _plain_adm, _adm_and_slope, lambda _, slope, gradient: slope * gradient
)


def frame_middle(band: Float[Array, "h w"]) -> Float[Array, "h2 w2"]:
    """Returns the pooled middle of a band with one more sample on every side.

    Where the middle reaches the edge, the sample before the first mirrors about it, and the one
    after the last repeats it.
    """
    for axis, n in enumerate(band.shape):
        border = middle_border(n)
        if border:
            band = jax.lax.slice_in_dim(band, border - 1, n - border + 1, axis=axis)
        else:
            head = jax.lax.slice_in_dim(band, 1, 2, axis=axis)
            tail = jax.lax.slice_in_dim(band, n - 1, n, axis=axis)
            band = jnp.concatenate([head, band, tail], axis)
    return band


def _frame_middles(bands: Float[Array, "3 h w"]) -> Float[Array, "3 h2 w2"]:
    return jax.vmap(frame_middle)(bands)


def threshold(total: Float[Array, "h w"]) -> Float[Array, "h2 w2"]:
    """Returns the masking threshold inside a frame: a 30th of each neighbour, a 15th of itself."""
    rows = total[:-2] + total[1:-1] + total[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + total[1:-1, 1:-1]) / 30


def slope_of_abs(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    return jnp.where(x >= 0, jnp.ones_like(x), -1)


def wavelet(x: Float[Array, "h w"]) -> tuple[Float[Array, "h2 w2"], Bands]:
    """Computes one level: the low band; and those high across rows, across columns and both."""
    low, high = _split(x, -2)
    (approximation, vertical), (horizontal, diagonal) = _split(low, -1), _split(high, -1)
    return approximation, (horizontal, vertical, diagonal)


def _split(
    x: Float[Array, "*b h w"], axis: int
) -> tuple[Float[Array, "*b h2 w2"], Float[Array, "*b h2 w2"]]:
    """Returns the low and the high half of one axis; an odd length is rounded up.

    The edge before the first sample mirrors about it; the one after the last repeats it.
    """
    n = x.shape[axis]

    def part(start: int, stop: int) -> Array:
        return jax.lax.slice_in_dim(x, start, stop, axis=axis)

    tail = [part(n - 1, n), part(n - 2, n - 1)][: 1 + n % 2]
    x = jnp.concatenate([part(1, 2), x, *tail], axis)
    return correlate(x, LOW, axis, 2), correlate(x, HIGH, axis, 2)


def csf_weights(level: int) -> tuple[float, float, float]:
    """Computes the CSF weights of a level's three bands: 1 over the smallest visible step."""
    resolution = 3 * 1080 * math.pi / 180  # pixels per degree
    weights = []
    for orientation, amplitude in zip((1.0, 0.534), _AMPLITUDES[level], strict=True):
        octave = math.log10(2 ** (level + 1) * 0.401 * orientation / resolution)
        weights.append(amplitude / (2 * 0.495 * 10 ** (0.466 * octave**2)))
    straight, diagonal = weights
    return straight, straight, diagonal


def decouple(x: Sequence[Array], y: Sequence[Array], gain_limit: float) -> Bands:
    """Returns the restored part of the distorted bands `y`: what of them is the detail of `x`.

    A coefficient counts from 0 to the reference's own; beyond that, up to `gain_limit` of it,
    where the gradient (horizontal, vertical) keeps its direction within one degree, since such a
    change is one of contrast.
    """
    limit = _gain(x, y, gain_limit)

    def restore(x: Float[Array, "h w"], y: Float[Array, "h w"]) -> Float[Array, "h w"]:
        lowest, highest = from_zero(limit * x)
        return jnp.clip(y, lowest, highest)

    return restore(x[0], y[0]), restore(x[1], y[1]), restore(x[2], y[2])


def _gain(x: Sequence[Array] | Array, y: Sequence[Array] | Array, gain_limit: float) -> Array | int:
    """Returns by how much each coefficient of `x` may be multiplied."""

    def inner(a: Sequence[Array] | Array, b: Sequence[Array] | Array) -> Float[Array, "h w"]:
        return rounded(a[0] * b[0]) + rounded(a[1] * b[1])

    if gain_limit == 1:
        return 1
    product = inner(x, y)
    aligned = (product >= 0) & (product**2 >= COS_SQUARED * inner(x, x) * inner(y, y))
    return jnp.where(aligned, jnp.asarray(gain_limit, product.dtype), 1)


def from_zero(end: Array) -> tuple[Array, Array]:
    """Returns 0 and `end`, the smaller first."""
    return jnp.minimum(end, 0), jnp.maximum(end, 0)


def _add_neighbours(additive: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Adds up each sample, twice, and its eight neighbours; a thirtieth of it masks contrast.

    The edges before the first row and column mirror about it; those after the last repeat it.
    """
    h, w = additive.shape
    framed = _frame(additive)
    neighbours = sum(framed[i : i + h, j : j + w] for i in range(3) for j in range(3))
    return neighbours + additive


def _frame(x: Float[Array, "h w"]) -> Float[Array, "h2 w2"]:
    return jnp.pad(jnp.pad(x, ((1, 0), (1, 0)), mode="reflect"), ((0, 1), (0, 1)), "edge")


def middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Returns the part of each axis that is pooled."""
    borders = [middle_border(n) for n in shape]
    return tuple(slice(border, n - border) for border, n in zip(borders, shape, strict=True))


def middle_border(n: int) -> int:
    """Returns the number of samples at each end of an axis of `n` that are not pooled."""
    return max(int(n * _BORDER - 0.5), 0)


def _pool(x: Float[Array, "h w"]) -> Float[Array, ""]:
    """Returns the 3-norm, plus that of the noise; its gradient is 0 where `x` is all 0."""
    total = (x**3).sum()
    positive = total > 0
    norm = jnp.where(positive, jnp.cbrt(jnp.where(positive, total, 1)), 0)
    return norm + (x.size * NOISE_WEIGHT) ** (1 / 3)
