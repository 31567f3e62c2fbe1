"""VIF: visual information fidelity at four scales, as libvmaf's float extractor computes it.

Luma of a reference and a distorted frame in, one ratio a scale out. A picture is modelled locally
as a Gaussian, seen through noise of a given variance. Numerator: the information about the
reference that the distorted picture conveys, given its gain and residual variance; denominator:
the information in the reference. Local moments come from a Gaussian window of 17, 9, 5 and 3
samples; each later scale is smoothed by its own window and halved. Where the reference has less
variance than the noise, the numerator is 1 less a penalty on the distorted variance, and the
denominator 1.
The pixel offset of -128 matters: variances are differences of float32 sums.
Source: libvmaf's vif.c, vif_tools.c and float_vif.c; Sheikh and Bovik, "Image information and
visual quality", IEEE TIP 15(2), 2006.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float

from vmaf_jax.features.filters import (
    Taps,
    correlate,
    differentiate_distorted,
    filter_once,
    join_columns,
    mirror,
    rounded,
    smooth,
    split_columns,
    unstack,
)

N_SCALES = 4
NOISE = 2.0  # variance of the noise in the eye, squared 8-bit luma steps
PENALTY = NOISE**2 / 255**2


def frame_vif(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Float[Array, " scales"]:
    """Computes VIF of a frame at each of the four scales; no unit, 1 for identical pictures.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
        gain_limit: the largest contrast gain that counts, at least 1 (1 in the NEG models).
    """
    return _vif(reference, distorted, gain_limit)


class InformationMap(NamedTuple):
    """Information in each sample's window at one scale, bits."""

    conveyed: Float[Array, "h w"]  # about the reference, by the distorted picture
    reference: Float[Array, "h w"]


def vif_maps(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> list[InformationMap]:
    """Computes the maps whose sums' ratios are `frame_vif`, the finest scale first."""
    maps = []
    for x, y, taps in _scales(reference, distorted):
        statistics = _statistics(_moments(x, y, taps), gain_limit)
        maps.append(InformationMap(_numerator(statistics), _denominator(statistics)))
    return maps


def window(scale: int) -> Taps:
    """Computes the Gaussian of one scale: 17, 9, 5 or 3 taps, deviation a fifth of that, sum 1.

    Float32 as in libvmaf: a last digit of a tap moves a variance by thousandths.
    """
    size = np.float32(2 ** (N_SCALES - scale) + 1)
    deviation = float(size / np.float32(5))
    x = np.arange(size, dtype=np.float64) - size // 2
    density = np.exp(-0.5 * x / deviation * x / deviation).astype(np.float32)
    density /= np.float32(1 / (deviation * math.sqrt(2 * math.pi)))
    # One by one, as libvmaf does: NumPy's own sum adds up pairs.
    weights = density / functools.reduce(np.add, density)
    return tuple(weights.tolist())


def _plain_vif(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Float[Array, " scales"]:
    ratios = []
    for x, y, taps in _scales(reference, distorted):
        ratios.append(_ratio(_statistics(_moments(x, y, taps), gain_limit)))
    return jnp.stack(ratios)


def _scales(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"]
) -> Iterator[tuple[Array, Array, Taps]]:
    """Yields both pictures at each scale, with its window; the finest first."""
    x, y = reference - 128, distorted - 128
    for scale in range(N_SCALES):
        taps = window(scale)
        if scale:
            x, y = _halve(x, y, taps)
        yield x, y, taps


def _halve(x: Float[Array, "h w"], y: Float[Array, "h w"], taps: Taps) -> tuple[Array, Array]:
    """Returns every second sample of every second row of both pictures, smoothed."""
    x, y = unstack(_halve_each(jnp.stack([x, y]), taps))
    return x, y


def _halve_each(x: Float[Array, "*b h w"], taps: Taps) -> Float[Array, "*b h2 w2"]:
    h, w = x.shape[-2:]
    return smooth(x, taps, stride=2)[..., : h // 2, : w // 2]


def _moments(x: Float[Array, "h w"], y: Float[Array, "h w"], taps: Taps) -> Float[Array, "5 h w"]:
    """Returns local means of both pictures, of their squares and of their product."""
    x, y = mirror(x, len(taps) // 2), mirror(y, len(taps) // 2)
    # The columns of all five are one array, so XLA computes them once and not per row tap.
    products = jnp.stack([x, y, x * x, y * y, x * y])
    return correlate(correlate(products, taps, -2, 1), taps, -1, 1)


class _Statistics(NamedTuple):
    """Local statistics of each sample's window."""

    mean_x: Float[Array, "h w"]
    mean_y: Float[Array, "h w"]
    var_x: Float[Array, "h w"]  # at least the noise
    var_y: Float[Array, "h w"]
    covariance: Float[Array, "h w"]
    above_noise: Bool[Array, "h w"]  # where the reference varies by no less than the noise
    limited: Float[Array, "h w"]  # the covariance under the gain limit
    residual: Float[Array, "h w"]  # var_x var_y - covariance^2


def _statistics(moments: Float[Array, "5 h w"], gain_limit: float) -> _Statistics:
    mean_x, mean_y, xx, yy, xy = unstack(moments)
    var_x = xx - rounded(mean_x * mean_x)
    var_y = jnp.maximum(yy - rounded(mean_y * mean_y), 0)
    covariance = jnp.maximum(xy - rounded(mean_x * mean_y), 0)
    above_noise = var_x >= NOISE
    var_x = jnp.where(above_noise, var_x, NOISE)
    return _Statistics(
        mean_x,
        mean_y,
        var_x,
        var_y,
        covariance,
        above_noise,
        limited=jnp.minimum(covariance, gain_limit * var_x),
        residual=jnp.maximum(var_x * var_y - covariance**2, 0),
    )


def _denominator(s: _Statistics) -> Float[Array, "h w"]:
    return jnp.log2(1 + s.var_x / NOISE)  # 1 where the reference has less than the noise


def _numerator(s: _Statistics) -> Float[Array, "h w"]:
    """Returns log2(1 + g^2 var_x / (var_y - g cov + n)) of gain g = cov / var_x and noise n.

    Both sides of its fraction are multiplied by var_x, which leaves one division.
    """
    information = jnp.log2(1 + s.limited**2 / (s.residual + NOISE * s.var_x))
    return jnp.where(s.above_noise, information, 1 - PENALTY * s.var_y)


def _ratio(s: _Statistics) -> Float[Array, ""]:
    return _numerator(s).sum() / _denominator(s).sum()


def _slopes(s: _Statistics) -> Float[Array, "3 h w"]:
    """Returns the derivatives of the numerator by the local means of y, y^2 and x y.

    They are 0 where a maximum or minimum of `_statistics` holds a value.
    """
    noise, signal = s.residual + NOISE * s.var_x, s.limited**2
    scale = 1 / (math.log(2) * noise * (noise + signal))
    free = s.residual > 0
    by_var = jnp.where(s.above_noise, jnp.where(free, -scale * signal * s.var_x, 0), -PENALTY)
    by_var = jnp.where(s.var_y > 0, by_var, 0)
    by_cov = jnp.where(s.covariance == s.limited, s.limited, 0) * noise
    by_cov = 2 * scale * (by_cov + jnp.where(free, s.covariance, 0) * signal)
    by_cov = jnp.where(s.above_noise & (s.covariance > 0), by_cov, 0)
    by_var, by_cov = jax.lax.optimization_barrier((by_var, by_cov))  # else computed for each below
    return jnp.stack([-2 * s.mean_y * by_var - s.mean_x * by_cov, by_var, by_cov])


def _vif_and_slopes(
    reference: Array, distorted: Array, gain_limit: float
) -> tuple[Float[Array, " scales"], list[Float[Array, "_ _"]]]:
    """Returns VIF, and the derivatives of each scale's ratio by its own distorted picture.

    Scales but the finest are computed side by side, in one picture: XLA compiles a loop anew for
    each size of a picture.
    """
    scales, ratios, slopes = list(_scales(reference, distorted)), [], []
    for group in (scales[:1], scales[1:]):
        of_group, by_pictures = _ratios_and_slopes(group, gain_limit)
        ratios += of_group
        slopes += by_pictures
    return jnp.stack(ratios), slopes


def _ratios_and_slopes(
    scales: Sequence[tuple[Array, Array, Taps]], gain_limit: float
) -> tuple[list[Float[Array, ""]], list[Float[Array, "_ _"]]]:
    """Returns the ratio of each scale, and its derivatives by the scale's distorted picture."""
    reach = len(scales[0][2]) - 1
    frames = [functools.partial(_frame, taps=taps, radius=reach // 2) for *_, taps in scales]
    x = join_columns([frame(x) for frame, (x, *_) in zip(frames, scales, strict=True)])
    ys = [jax.vjp(frame, y) for frame, (_, y, _) in zip(frames, scales, strict=True)]
    framed, unframe = zip(*ys, strict=True)
    y, widths = join_columns(framed), [picture.shape[1] for picture in framed]
    taps = _taps_by_column([taps for *_, taps in scales], widths)
    s = _statistics(filter_once(jnp.stack([x, y, x * x, y * y, x * y]), taps), gain_limit)

    heights = np.concatenate(
        [
            np.pad(np.full(w - reach, len(x)), (0, reach))
            for (x, *_), w in zip(scales, widths, strict=True)
        ]
    )[: s.mean_x.shape[1]]
    inside = jnp.arange(len(s.mean_x))[:, None] < heights

    def sums(values: Float[Array, "h w"]) -> Float[Array, " scales"]:
        columns = jnp.pad(jnp.where(inside, values, 0).sum(0), (0, reach))
        return jnp.stack([part.sum() for part in split_columns(columns, widths)])

    whole = sums(_denominator(s))
    inverse = jnp.repeat(1 / whole, np.array(widths), total_repeat_length=sum(widths))
    by_means = jnp.where(inside, _slopes(s), 0) * inverse[: inside.shape[1]]
    # The windows are symmetric, so that filtering is its own transpose.
    by_mean, by_square, by_product = unstack(filter_once(by_means, taps, transposed=True))
    slopes = split_columns(by_mean + 2 * y * by_square + x * by_product, widths)
    pulled = [
        pull(part[: len(f)])[0] for pull, part, f in zip(unframe, slopes, framed, strict=True)
    ]
    return list(sums(_numerator(s)) / whole), pulled


def _frame(picture: Float[Array, "h w"], taps: Taps, radius: int) -> Float[Array, "h2 w2"]:
    """Returns a picture mirrored as far as its window reaches, with zeros up to `radius`."""
    return jnp.pad(mirror(picture, len(taps) // 2), radius - len(taps) // 2)


def _taps_by_column(windows: Sequence[Taps], widths: Sequence[int]) -> npt.NDArray[np.float32]:
    """Returns the window of each column, `[taps, w]`, the shorter ones between zeros."""
    longest = len(windows[0])
    even = [np.pad(taps, (longest - len(taps)) // 2) for taps in windows]
    if len(windows) == 1:
        return np.array(even, np.float32).T
    return np.repeat(even, widths, axis=0).T.astype(np.float32)


def _pull_vif(
    _: float, slopes: list[Float[Array, "_ _"]], gradient: Float[Array, " scales"]
) -> Float[Array, "h w"]:
    """Returns the gradient of the distorted picture from that of each scale's ratio."""
    total = jnp.zeros_like(slopes[-1])
    for scale in reversed(range(N_SCALES)):
        total += gradient[scale] * slopes[scale]
        if scale:
            halve = functools.partial(_halve_each, taps=window(scale))
            (total,) = jax.vjp(halve, slopes[scale - 1])[1](total)
    return total


_vif = differentiate_distorted(_plain_vif, _vif_and_slopes, _pull_vif)
