"""CAMBI, the visibility of banding as VMAF v1 measures it, and a smooth form for gradients.

Luma of a distorted frame in, one number out: 0 without banding. Samples are of 10 bits; shallower
ones are averaged over 2x2, which undoes dithering. The spatial mask holds the flat parts of the
picture, which alone can show bands. At five scales, each half of the one before, a mode filter of
three samples, both ways, removes speckles, and every sample of the mask, of value v, asks its
window how many samples of the mask have v (p0), v + d and v - d (the larger is p1), d from 1 to 4:
the contrast is the largest `weight_d p0 p1 / (p0 + p1)` among the steps that an eye can see at that
luminance. A scale's score is the mean of the largest 60 %.

Everything is a count, so gradients are 0. `soft_cambi` counts a sample by the distance of its
value, `exp(-(difference / width)^2 / 2)`, a histogram with soft bins. Its mask, mode filter and
pooled samples are CAMBI's own, held constant. So its value is not CAMBI's, but rises and falls
with it, and it has a gradient in the samples.
Source: libvmaf's cambi.c and luminance_tools.c; Tandon et al., "CAMBI: Contrast-aware multiscale
banding index", PCS 2021; BT.1886 for luminance.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float, Int, Shaped

from vmaf_jax.features.filters import join_columns, split_columns

N_SCALES = 5
_SCALE_WEIGHTS = (16, 8, 4, 2, 1)  # libvmaf's, from the finest scale
MIN_SIZE = 216  # pixels; at least one side has to be so long
N_CONTRASTS = 4  # contrasts that are counted, steps of 10 bits
_CONTRAST_WEIGHTS = (1, 2, 3, 4)  # libvmaf's, from the smallest contrast
_TOP_SHARE = 0.6  # of the samples, which are pooled
_FOOT, _HEAD = 64, 940  # luma of 10 bits, limited range
_MASK_SIZE = 7  # samples each way
_NO_VALUE = -1000  # outside the mask: farther from every luma than any contrast
_VISIBLE_STEP = 0.019  # of luminance, relative: libvmaf's threshold of visibility (TVI)
WIDTH = 1.0  # of a soft bin, steps of 10 bits


class CambiSettings(NamedTuple):
    """A model's options of CAMBI.

    Attributes:
        dark: cd/m2 below which bands are not visible.
        speedup_from: pictures of so many lines (1080, 1440 or 2160, at 16:9) or more are halved
            before the first scale.
        most: the largest value.
        encode: width, height and bits of the encode, where the picture was scaled from it.
    """

    dark: float = 0.06
    speedup_from: int = 1080
    most: float = 17.0
    encode: tuple[int, int, int] | None = None


def frame_cambi(luma: Shaped[Array, "h w"], bits: int, settings: CambiSettings) -> Float[Array, ""]:
    """Computes CAMBI of a frame; its gradient is 0.

    Args:
        luma: on the scale of `bits`; floats are rounded to whole steps.
        bits: 8, 10 or 12.
    """
    bands = cambi_maps(luma, bits, settings)
    means = pool_top([band.contrast for band in bands])
    return jnp.minimum(_add_scales(means) / bands[0].area, settings.most)


class BandingMap(NamedTuple):
    """Contrast of banding at one scale."""

    contrast: Float[Array, "h w"]  # samples of a window
    weight: int  # of the scale
    step: int  # pixels of the encode from one sample to the next
    area: int  # samples of a window


def cambi_maps(luma: Shaped[Array, "h w"], bits: int, settings: CambiSettings) -> list[BandingMap]:
    """Computes the maps that `frame_cambi` pools, the finest scale first; each halves the last."""
    image = _to_encode(jax.lax.stop_gradient(luma), bits, settings.encode)
    h, w = image.shape
    mask, halved = spatial_mask(image), _is_halved(h, w, settings)
    radius, scales = _window_radius(h, w, halved=halved), []
    for scale in range(N_SCALES):
        if scale or halved:
            image, mask = image[::2, ::2], mask[::2, ::2]
        # Else XLA would filter every scale anew, from the picture, for each of the coarser ones.
        image, mask = jax.lax.optimization_barrier((mode_filter(image), mask))
        scales.append((image, mask))
    # Scales but the finest are one picture: XLA compiles the loop over windows for each size.
    contrasts = [
        contrast
        for group in (scales[:1], scales[1:])
        for contrast in _contrasts(group, radius, _visible_luma(settings.dark))
    ]
    return [
        BandingMap(contrast, weight, 2 ** (scale + halved), (2 * radius + 1) ** 2)
        for scale, (contrast, weight) in enumerate(zip(contrasts, _SCALE_WEIGHTS, strict=True))
    ]


def _add_scales(means: Float[Array, " scales"]) -> Float[Array, ""]:
    return jnp.dot(means, jnp.asarray(_SCALE_WEIGHTS, means.dtype))


def _to_encode(
    luma: Shaped[Array, "h w"], bits: int, encode: tuple[int, int, int] | None
) -> Int[Array, "eh ew"]:
    """Returns the picture at 10 bits in the size of its encode, shallower ones without dither.

    Nothing is interpolated, and a picture that was scaled down stays as it is.
    """
    if encode is None:
        return to_ten_bits(luma, bits)
    width, height, encode_bits = encode
    if height <= luma.shape[0] and width <= luma.shape[1]:
        rows = _nearest(luma.shape[0], height)
        luma = luma[rows][:, _nearest(luma.shape[1], width)]
    return to_ten_bits(luma, bits, encode_bits)


def _nearest(size: int, encoded: int) -> npt.NDArray[np.intp]:
    """Returns which of `size` samples stand for those of the encode, by libvmaf's float32 sums."""
    ratio = np.float32(size) / np.float32(encoded)
    steps = np.full(encoded, ratio, np.float32)
    steps[0] = np.float32(float(ratio / np.float32(2)) - 0.5)
    at = np.cumsum(steps, dtype=np.float32).astype(np.float64) + 0.5
    return at.astype(np.intp)


def to_ten_bits(
    luma: Shaped[Array, "h w"], bits: int, encode_bits: int | None = None
) -> Int[Array, "h w"]:
    """Returns the picture at 10 bits, without the dither of fewer (of the encode's, if given)."""
    if jnp.issubdtype(luma.dtype, jnp.floating):
        luma = jnp.clip(jnp.round(jnp.where(jnp.isnan(luma), 0, luma)), 0, 2**bits - 1)
    image = luma.astype(jnp.int16)
    image = (image + 2 ** (bits - 11)) >> (bits - 10) if bits > 10 else image << (10 - bits)
    if (encode_bits or bits) >= 10:
        return image
    right, below = image[:, 1:], image[1:]
    inner = (image[:-1, :-1] + right[:-1] + below[:, :-1] + image[1:, 1:]) >> 2
    last_column = (image[:-1, -1:] + below[:, -1:]) >> 1
    last_row = (image[-1:, :-1] + right[-1:]) >> 1
    above = jnp.concatenate([inner, last_column], 1)
    return jnp.concatenate([above, jnp.concatenate([last_row, image[-1:, -1:]], 1)], 0)


def spatial_mask(image: Int[Array, "h w"]) -> Bool[Array, "h w"]:
    """Computes libvmaf's spatial mask: where the picture is flat.

    That is where enough samples of the 7x7 window equal their right and lower neighbours: more
    the larger the picture, by the number of its blocks of 64x64.
    """
    h, w = image.shape
    right = jnp.pad(image[:, 1:] == image[:, :-1], ((0, 0), (0, 1)), constant_values=True)
    below = jnp.pad(image[1:] == image[:-1], ((0, 1), (0, 0)), constant_values=True)
    radius = _MASK_SIZE // 2
    equal = jnp.pad((right & below).astype(jnp.int16), radius)
    rows: Any = sum(equal[k : k + h] for k in range(_MASK_SIZE))
    count: Any = sum(rows[:, k : k + w] for k in range(_MASK_SIZE))
    blocks = (w >> 6) * (h >> 6)
    octaves = (blocks - 1).bit_length() if blocks else 0
    return jnp.asarray(count > (_MASK_SIZE**2 + 3 * (octaves - 11) - 1) >> 1)


def _is_halved(height: int, width: int, settings: CambiSettings) -> bool:
    """Tells whether pictures of this size are halved before the first scale."""
    lines = settings.speedup_from
    return lines > 0 and height * width >= lines * lines * 16 // 9


def _window_radius(height: int, width: int, *, halved: bool) -> int:
    """Returns the samples on each side of a window, the same at every scale.

    The window is libvmaf's 65 samples at 4K (whose height and width sum up to 6000, that is
    375 * 16), in proportion.
    """
    size = (65 * (height + width) // 375) >> 4
    if halved:
        size = (size + 1) >> 1
    return size >> 1


def mode_filter(image: Int[Array, "h w"]) -> Int[Array, "h w"]:
    """Returns the mode of three samples across, then down; samples at the ends stay."""
    h, w = image.shape
    if h < 3 or w < 3:
        return image
    across = _mode(image[:, :-2], image[:, 1:-1], image[:, 2:])
    across = jnp.concatenate([image[:, :1], across, image[:, -1:]], 1)
    down = _mode(across[:-2], across[1:-1], across[2:])
    return jnp.concatenate([image[:1], down, image[-1:]], 0)


def _mode(a: Array, b: Array, c: Array) -> Array:
    least = jnp.minimum(jnp.minimum(a, b), c)
    return jnp.where((a == b) | (a == c), a, jnp.where(b == c, b, least))


def _contrasts(
    scales: Sequence[tuple[Int[Array, "_ _"], Bool[Array, "_ _"]]],
    radius: int,
    visible: tuple[tuple[int, int], ...],
) -> list[Float[Array, "_ _"]]:
    """Returns the c-values of pictures and their masks, computed side by side."""
    apart = ((0, 0), (0, radius))  # else windows would reach into the next picture
    image, mask = (
        join_columns([jnp.pad(part, apart) for part in parts])
        for parts in zip(*scales, strict=True)
    )
    shapes = [image.shape for image, _ in scales]
    parts = split_columns(_contrast(image, mask, radius, visible), [w + radius for _, w in shapes])
    return [part[:h, :w] for part, (h, w) in zip(parts, shapes, strict=True)]


def _contrast(
    image: Int[Array, "h w"],
    mask: Bool[Array, "h w"],
    radius: int,
    visible: tuple[tuple[int, int], ...],
) -> Float[Array, "h w"]:
    """Returns libvmaf's c-values: how far windows divide between a value and one steps away."""
    counts = _window_counts(image, jnp.where(mask, image, _NO_VALUE), radius)
    own = counts[N_CONTRASTS].astype(jnp.float32)
    best = jnp.zeros(image.shape, jnp.float32)
    for step, (weight, (lowest, highest)) in enumerate(
        zip(_CONTRAST_WEIGHTS, visible, strict=True), start=1
    ):
        other = jnp.maximum(counts[N_CONTRASTS - step], counts[N_CONTRASTS + step])
        other = other.astype(jnp.float32)
        value = weight * own * other / jnp.maximum(own + other, 1)
        best = jnp.where((image >= lowest) & (image <= highest), jnp.maximum(best, value), best)
    return jnp.where(mask, best, 0)


def _window_counts(
    image: Int[Array, "h w"], counted: Int[Array, "h w"], radius: int
) -> tuple[Int[Array, "h w"], ...]:
    """Counts for each sample of value v how often its window holds v - 4 to v + 4."""
    # A row of the window at a time, so that XLA makes one loop of its comparisons. Slices start at
    # numbers that it cannot see: others it unrolls into code that is twenty times slower.
    size = 2 * radius + 1
    values = [(image + step).astype(jnp.int16) for step in range(-N_CONTRASTS, N_CONTRASTS + 1)]
    framed = jnp.pad(counted.astype(jnp.int16), radius, constant_values=_NO_VALUE)
    starts = jnp.asarray([[[i, j] for j in range(size)] for i in range(size)], jnp.int32)

    def add_row(
        counts: tuple[Array, ...], row: Int[Array, "size 2"]
    ) -> tuple[tuple[Array, ...], None]:
        parts = [jax.lax.dynamic_slice(framed, (s[0], s[1]), image.shape) for s in row]
        added = [sum((part == v).astype(jnp.int16) for part in parts) for v in values]
        return tuple(c + a for c, a in zip(counts, added, strict=True)), None

    none = tuple(jnp.zeros(image.shape, jnp.int16) for _ in values)
    return jax.lax.scan(add_row, none, starts)[0]


def pool_top(contrasts: Sequence[Float[Array, "_ _"]]) -> Float[Array, " n"]:
    """Returns of each picture the mean of the largest 60 % of values, which are at least 0."""
    counts = [min(max(int(_TOP_SHARE * c.size), 1), c.size) for c in contrasts]
    leasts = _top_thresholds(contrasts, counts)
    means = []
    for contrast, count, least in zip(contrasts, counts, leasts, strict=True):
        above = contrast > least
        rest = (count - above.sum()) * least
        means.append((jnp.where(above, contrast, 0).sum() + rest) / count)
    return jnp.stack(means)


def _top_thresholds(
    contrasts: Sequence[Float[Array, "_ _"]], counts: Sequence[int]
) -> Float[Array, " n"]:
    """Returns of each picture the smallest of its so many largest values.

    It is found by bisection over the bits, which order floats of one sign.
    """
    fixed = [jax.lax.stop_gradient(contrast).astype(jnp.float32) for contrast in contrasts]

    def are_enough(least: Float[Array, " n"]) -> Bool[Array, " n"]:
        found = zip(fixed, least, counts, strict=True)
        return jnp.stack([(picture >= value).sum() >= count for picture, value, count in found])

    def halve(ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = low + (high - low) // 2
        enough = are_enough(jax.lax.bitcast_convert_type(middle, jnp.float32))
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    def apart(ends: tuple[Array, Array]) -> Array:
        return (ends[1] - ends[0] > 1).any()

    largest = jnp.stack([picture.max() for picture in fixed])
    most = jax.lax.bitcast_convert_type(largest, jnp.int32) + 1
    # Where most samples are not flat the smallest of the largest is 0, and nothing is to be found.
    tiny = jnp.full(len(fixed), np.finfo(np.float32).tiny)
    most = jnp.where(are_enough(tiny), most, 1)
    low, _ = jax.lax.while_loop(apart, halve, (jnp.zeros_like(most), most))
    return jax.lax.bitcast_convert_type(low, jnp.float32)


@functools.lru_cache
def _visible_luma(dark: float) -> tuple[tuple[int, int], ...]:
    """Returns by contrast the lowest and the highest luma of 10 bits at which an eye sees it."""
    least = next(luma for luma in range(_FOOT, _HEAD + 1) if _luminance(luma) >= dark)
    least = 0 if least == _FOOT else least
    limits = []
    for step in range(1, N_CONTRASTS + 1):
        visible = [
            luma
            for luma in range(_FOOT, _HEAD - step)
            if _luminance(luma + step) - _luminance(luma) > _VISIBLE_STEP * _luminance(luma)
        ]
        limits.append((least - N_CONTRASTS - step + 1, max(visible, default=0)))
    return tuple(limits)


def _luminance(luma: int) -> float:
    """Returns cd/m2 of a luma value of 10 bits, on a BT.1886 display of 0.01 to 300 cd/m2."""
    gamma, white, black = 2.4, 300.0, 0.01
    span = white ** (1 / gamma) - black ** (1 / gamma)
    share = (min(max(luma, _FOOT), _HEAD) - _FOOT) / (_HEAD - _FOOT)
    return float(span**gamma * max(share + black ** (1 / gamma) / span, 0) ** gamma)


def soft_cambi(
    luma: Shaped[Array, "h w"], bits: int, settings: CambiSettings | None = None
) -> Float[Array, ""]:
    """Computes a smooth number that follows CAMBI; differentiable in the picture.

    Args:
        luma: on the scale of `bits`, floats for a gradient.
        bits: 8, 10 or 12.
    """
    settings = settings or CambiSettings()
    hard = to_ten_bits(luma, bits)
    soft = _soft_ten_bits(luma, bits)
    h, w = luma.shape
    mask, halved = spatial_mask(hard), _is_halved(h, w, settings)
    radius = _window_radius(h, w, halved=halved)
    contrasts = []
    for scale in range(N_SCALES):
        if scale or halved:
            hard, soft, mask = hard[::2, ::2], soft[::2, ::2], mask[::2, ::2]
        hard = mode_filter(hard)
        # The filtered value, with the gradient of the sample that was there.
        soft = hard + (soft - jax.lax.stop_gradient(soft))
        contrasts.append(_soft_contrast(soft, mask, radius, _visible_luma(settings.dark)))
    return jnp.minimum(_add_scales(pool_top(contrasts)) / (2 * radius + 1) ** 2, settings.most)


def _soft_ten_bits(luma: Shaped[Array, "h w"], bits: int) -> Float[Array, "h w"]:
    image = luma.astype(jnp.promote_types(luma.dtype, jnp.float32)) * 2.0 ** (10 - bits)
    if bits >= 10:
        return image
    below = jnp.concatenate([image[1:], image[-1:]])
    down = (image + below) / 2
    right = jnp.concatenate([down[:, 1:], down[:, -1:]], 1)
    return (down + right) / 2


def _soft_contrast(
    image: Float[Array, "h w"],
    mask: Bool[Array, "h w"],
    radius: int,
    visible: tuple[tuple[int, int], ...],
) -> Float[Array, "h w"]:
    counts = _soft_counts(image, mask.astype(image.dtype), radius)
    n = N_CONTRASTS
    best = jnp.zeros_like(image)
    for step, (weight, (lowest, highest)) in enumerate(
        zip(_CONTRAST_WEIGHTS, visible, strict=True), start=1
    ):
        other = jnp.maximum(counts[n - step], counts[n + step])
        value = weight * counts[n] * other / (counts[n] + other + 1e-6)
        best = jnp.where((image >= lowest) & (image <= highest), jnp.maximum(best, value), best)
    return jnp.where(mask, best, 0)


def _soft_counts(
    image: Float[Array, "h w"], weight: Float[Array, "h w"], radius: int
) -> Float[Array, "steps h w"]:
    """Returns how much of each sample's window lies near its value and up to 4 steps away."""
    size, n = 2 * radius + 1, N_CONTRASTS
    framed, weights = jnp.pad(image, radius), jnp.pad(weight, radius)
    steps = jnp.arange(-n, n + 1, dtype=image.dtype)[:, None, None]
    starts = jnp.stack(jnp.meshgrid(jnp.arange(size), jnp.arange(size)), -1).reshape(-1, 2)

    # Backwards a step is computed again: else each sample of the window would keep a picture.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(counts: Array, start: Array) -> tuple[Array, None]:
        part = jax.lax.dynamic_slice(framed, (start[1], start[0]), image.shape)
        share = jax.lax.dynamic_slice(weights, (start[1], start[0]), image.shape)
        near = jnp.exp(-0.5 * jnp.square((part - image - steps) / WIDTH))
        return counts + share * near, None

    return jax.lax.scan(add, jnp.zeros((2 * n + 1, *image.shape), image.dtype), starts)[0]
