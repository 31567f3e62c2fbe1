"""ADM: the detail loss of libvmaf's float extractor (adm2), and VMAF v1's adm3.

Luma of a reference and a distorted frame in, one number out: 1 where all detail is kept, 0 where it
is lost. Four levels of a db2 wavelet. Decoupling splits each band of the distorted picture into a
restored part (the reference's detail) and an additive part (what was added). Both are weighted by
the contrast sensitivity function (CSF) of Watson et al. at 3 picture heights of 1080 lines. The
additive part gives the contrast masking threshold, under which restored detail does not count.
Numerator (restored) and denominator (reference) pool their bands by a 3-norm over the middle 80 %
of the picture; adm2 is their ratio.

adm3 takes masking twice: the additive part masks the restored one, which gives the detail loss
measure (DLM, adm2 without a contrast gain), and the restored part masks the additive one, which
gives the additive impairment measure (AIM). Both are over one denominator;
`adm3 = 0.7 DLM + 0.3 (1 - AIM)`, at least 0.5. Its CSF is a table by viewing condition, blended of
Barten's and Watson's, of which libvmaf has further ones for other distances.

Source: libvmaf's adm.c, adm_tools.c, adm_tools.h, adm_options.h, integer_adm.c (AIM is not limited
to 1 there) and barten_csf_tools.h; Li et al., IEEE TMM 13(5), 2011; Watson et al., "Visibility of
wavelet quantization noise", IEEE TIP 6(8), 1997.
"""

import math
from collections.abc import Mapping, Sequence
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
        framed = [jax.vjp(_frame_middles, level.y) for level in levels[group]]
        y, unframe = zip(*framed, strict=True)
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


def _pool(x: Float[Array, "h w"], noise_weight: float = NOISE_WEIGHT) -> Float[Array, ""]:
    """Returns the 3-norm, plus that of the noise; its gradient is 0 where `x` is all 0."""
    total = (x**3).sum()
    positive = total > 0
    norm = jnp.where(positive, jnp.cbrt(jnp.where(positive, total, 1)), 0)
    return norm + (x.size * noise_weight) ** (1 / 3)


Csf = tuple[tuple[float, ...], tuple[float, ...]]  # by level: straight bands, the diagonal one

# By distance in picture heights, and lines of the display; the finest level first.
CSF_TABLES: Mapping[tuple[float, int], Csf] = {
    (3.0, 1080): ((0.01183, 0.025026, 0.04295, 0.058621), (0.004302, 0.011778, 0.023918, 0.035901)),
    (5.0, 1080): ((0.004212, 0.014809, 0.029642, 0.047464), (0.000984, 0.005852, 0.0146, 0.027574)),
    (3.0, 2160): ((0.00226, 0.01183, 0.025026, 0.04295), (0.000479, 0.004302, 0.011778, 0.023918)),
    (5.0, 2160): ((0.000092, 0.004212, 0.014809, 0.029642), (0.00005, 0.000984, 0.005852, 0.0146)),
    (3.0, 720): (
        (0.018715, 0.035637, 0.052798, 0.061509),
        (0.007999, 0.018396, 0.031851, 0.037718),
    ),
    (5.0, 720): ((0.010144, 0.022561, 0.040309, 0.05672), (0.003463, 0.010282, 0.021839, 0.034641)),
    (3.0, 480): (
        (0.027961, 0.045875, 0.060275, 0.056234),
        (0.013572, 0.026277, 0.036959, 0.034511),
    ),
    (5.0, 480): ((0.016781, 0.032822, 0.05032, 0.061594), (0.00691, 0.016545, 0.029917, 0.037777)),
}


class AdmSettings(NamedTuple):
    """A model's options of ADM3.

    Attributes:
        distance: from which the picture is seen, in its heights; with `lines`, a key of
            `CSF_TABLES`, or half and twice of one, where a degree holds as many pixels.
        lines: of the display.
        dlm_weight: of the detail loss, in [0, 1]; the rest is of what was added.
        noise_weight: what a sample of noise adds to a norm.
        least: the smallest value.
    """

    distance: float = 3.0
    lines: int = 1080
    dlm_weight: float = 0.7
    noise_weight: float = 0.02
    least: float = 0.5

    @property
    def csf(self) -> Csf:
        """Weights of the bands by level; raises KeyError where there is no such table."""
        for scale in (1, 2):
            if (key := (self.distance * scale, self.lines // scale)) in CSF_TABLES:
                return CSF_TABLES[key]
        raise KeyError((self.distance, self.lines))

    def bands(self, level: int) -> tuple[float, float, float]:
        """Returns the weights of the horizontal, vertical and diagonal band of a level."""
        straight, diagonal = (weights[level] for weights in self.csf)
        return straight, straight, diagonal


def frame_adm3(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], views: Sequence[AdmSettings]
) -> Float[Array, " views"]:
    """Computes adm3 of a frame under several viewing conditions, which share the decoupling.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
    """
    return _adm3(reference, distorted, tuple(views))


def _plain_adm3(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], views: tuple[AdmSettings, ...]
) -> Float[Array, " views"]:
    return _pool_levels(_sum_levels(reference, distorted, views), views)


def _sum_levels(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], views: tuple[AdmSettings, ...]
) -> Float[Array, "views 3"]:
    """Returns the norms of `_level_norms` under each view, added up."""
    # Both in one array, and levels and thresholds in loops over it: XLA on CPU computes the result
    # of a loop once, and other values anew for each of their uses.
    low = jnp.stack([reference, distorted]) - 128
    sums = [[jnp.zeros((), low.dtype)] * 3 for _ in views]
    for level in range(N_LEVELS):
        low, bands = jax.lax.map(wavelet, low)
        x, y = ([frame_middle(band[k]) for band in bands] for k in (0, 1))
        restored = decouple(x, y, 1.0)
        added = [band - r for band, r in zip(y, restored, strict=True)]
        inner = [band[1:-1, 1:-1] for band in x]
        for sum_of_view, view in zip(sums, views, strict=True):
            csf = view.bands(level)
            for k, part in enumerate(_level_norms(csf, restored, added, inner, view.noise_weight)):
                sum_of_view[k] = sum_of_view[k] + part
    return jnp.stack([jnp.stack(sum_of_view) for sum_of_view in sums])


def _pool_levels(
    sums: Float[Array, "views 3"], views: tuple[AdmSettings, ...]
) -> Float[Array, " views"]:
    unlimited = [_score(norms, view) for norms, view in zip(sums, views, strict=True)]
    return jnp.stack(
        [jnp.maximum(score, view.least) for score, view in zip(unlimited, views, strict=True)]
    )


def _score(norms: Sequence[Array] | Array, view: AdmSettings) -> Float[Array, ""]:
    """Returns adm3 before its limit, of norms of restored, added and all of the reference's."""
    restored_norm, added_norm, reference_norm = norms
    dlm, aim = restored_norm / reference_norm, added_norm / reference_norm
    return view.dlm_weight * dlm + (1 - view.dlm_weight) * (1 - aim)


def _level_norms(
    csf: tuple[float, float, float],
    restored: Sequence[Array],
    added: Sequence[Array],
    reference: Sequence[Array],
    noise_weight: float,
) -> tuple[Array, Array, Array]:
    """Returns norms: restored and added detail, each masked by the other, and the reference."""
    seen_restored = [weight * jnp.abs(band) for weight, band in zip(csf, restored, strict=True)]
    seen_added = [weight * jnp.abs(band) for weight, band in zip(csf, added, strict=True)]
    of_reference = [weight * jnp.abs(band) for weight, band in zip(csf, reference, strict=True)]
    totals = jnp.stack([part[0] + part[1] + part[2] for part in (seen_added, seen_restored)])
    by_added, by_restored = unstack(jax.lax.map(threshold, totals))
    return (
        _norms(_mask(seen_restored, by_added), noise_weight),
        _norms(_mask(seen_added, by_restored), 0.0),
        _norms(of_reference, noise_weight),
    )


def _mask(
    bands: Sequence[Float[Array, "h w"]], threshold: Float[Array, "h2 w2"]
) -> list[Float[Array, "h2 w2"]]:
    return [jnp.maximum(band[1:-1, 1:-1] - threshold, 0) for band in bands]


def _norms(bands: Sequence[Float[Array, "h w"]], noise_weight: float) -> Float[Array, ""]:
    """Adds up the bands' 3-norms and their noise."""
    first, second, third = (_pool(band, noise_weight) for band in bands)
    return first + second + third


def _adm3_and_slopes(
    reference: Array, distorted: Array, views: tuple[AdmSettings, ...]
) -> tuple[Float[Array, " views"], Float[Array, "views h w"]]:
    """Returns adm3, and its derivatives by the distorted samples, under each view."""
    levels, scores, slopes = split_levels(reference, distorted), [], []
    for view in views:
        shares = (view.dlm_weight, view.dlm_weight - 1)
        csf = [view.bands(level) for level in range(N_LEVELS)]
        norms, slope = norms_and_slope(levels, csf, 1.0, shares)
        noise = sum_noise(levels, view.noise_weight)
        whole = norms.reference + noise
        score = _score((norms.restored + noise, norms.added, whole), view)
        free = jnp.where(score > view.least, 1, 0.5 * (score == view.least))
        scores.append(jnp.maximum(score, view.least))
        slopes.append(free / whole * slope)
    return jnp.stack(scores), jnp.stack(slopes)


def _pull_adm3(
    _: tuple[AdmSettings, ...], slopes: Float[Array, "views h w"], gradient: Float[Array, " views"]
) -> Float[Array, "h w"]:
    return (gradient[:, None, None] * slopes).sum(0)


_adm3 = differentiate_distorted(_plain_adm3, _adm3_and_slopes, _pull_adm3)
