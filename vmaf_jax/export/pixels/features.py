"""The six features of a frame as ONNX operators: ADM, VIF at four scales and motion.

The wavelet's products are rounded as libvmaf's: where there is no detail along an axis, the last
digits say which way it points. The bands high across rows and high across columns have one weight
and stand together; thresholds are in units of it.

The moments of VIF's two finer scales are convolutions: so many samples are summed there that one on
the other side of a threshold does not show. Those of the two coarser ones, and the pictures that
pass from scale to scale, are rounded as libvmaf does: which side of a threshold a coefficient or a
local variance falls on may hang on the last digit, in flat and drawn content for whole areas. A
convolution adds in an order of its own, with products that are not rounded; so what feeds
thresholds is computed operator by operator.

A filter of one channel is the worst case of a convolution. `Blocks` moves `BLOCK` samples at a time
and has that many outputs: a banded (Toeplitz) matrix times a window of samples. Twice as many
products, in a fifth of the time. What comes out is in blocks:

    [N * BLOCK, BLOCK, rows, columns]    sample (r * BLOCK + i, c * BLOCK + j) at [i, j, r, c]

and may reach past the picture; functions of single samples do not mind the order, and
`Blocks.total` leaves out what is past the end.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.pixels.graph import Value
from vmaf_jax.features.adm import (
    COS_SQUARED,
    HIGH,
    LOW,
    N_LEVELS,
    NOISE_WEIGHT,
    csf_weights,
    middle,
)
from vmaf_jax.features.filters import Taps
from vmaf_jax.features.motion import BLUR
from vmaf_jax.features.vif import N_SCALES, NOISE, PENALTY, window

OFFSET = 128.0  # of VIF and ADM; libvmaf's float extractors subtract it
_CONVOLVED = 2  # scales of VIF
# Above this gain no limit counts: the covariance is at most the root of the product of variances,
# the distorted one is at most 127.5^2 and the reference's is held at the noise or above.
_LARGEST_GAIN = math.sqrt(127.5**2 / NOISE) + 1

Bands = tuple[Value, Value]  # high across rows and across columns `[N, 2, ..]`; across both
BLOCK = 16
Size = tuple[int, int]  # height and width


def frame_features(
    reference: Value, distorted: Value, previous: Value, size: Size, gain_limit: float
) -> Value:
    """Returns `[N, 6]`: adm2, vif_scale0 to vif_scale3 and motion (not motion2).

    Args:
        reference, distorted: luma `[N, h, w]`, 0-255.
        previous: the reference's frame before.
        size: h and w.
        gain_limit: the largest contrast gain that VIF and ADM count.
    """
    graph = reference.graph
    reference, distorted, previous = (
        picture.reshape(-1, 1, *size) for picture in (reference, distorted, previous)
    )
    both = graph.concat([reference, distorted], axis=1) - OFFSET
    values = [
        adm(both, size, gain_limit),
        *vif(both, size, gain_limit),
        motion(reference, previous, size),
    ]
    return graph.concat([value.reshape(-1, 1) for value in values], axis=1)


def adm(pictures: Value, size: Size, gain_limit: float) -> Value:
    """Returns adm2 `[N]`.

    Args:
        pictures: reference and distorted luma `[N, 2, h, w]`, less 128.
        size: h and w.
        gain_limit: the largest contrast gain that counts.
    """
    graph = pictures.graph
    numerators: list[Value] = []
    denominators: list[Value] = []
    noise = 0.0
    for level in range(N_LEVELS):
        pictures, (straight_x, diagonal_x), (straight_y, diagonal_y) = _wavelet(pictures, size)
        size = (size[0] + 1) // 2, (size[1] + 1) // 2
        limit = _gain(straight_x, straight_y, gain_limit)
        straight_r = _restore(straight_x, straight_y, limit)
        diagonal_r = _restore(diagonal_x, diagonal_y, limit)
        weight, _, diagonal_weight = csf_weights(level)
        straight_added = (straight_y - straight_r).abs()
        diagonal_added = (diagonal_y - diagonal_r).abs()
        both_added = straight_added.sum_keeping(1)
        threshold = _threshold(both_added + diagonal_added * (diagonal_weight / weight))
        pool = _Pool(size)
        for band, restored, w in (
            (straight_x, straight_r, weight),
            (diagonal_x, diagonal_r, diagonal_weight),
        ):
            masked = threshold if w == weight else threshold * (weight / w)
            detail = (restored.abs() - masked).relu()
            numerator = pool(detail * detail * detail)
            denominator = pool(band.abs() * (band * band))
            numerators.append(numerator * w)
            denominators.append(denominator * w)
            noise += (2 if w == weight else 1) * pool.noise
    return (graph.op("Sum", *numerators) + noise) / (graph.op("Sum", *denominators) + noise)


def _wavelet(x: Value, size: Size) -> tuple[Value, Bands, Bands]:
    """Returns the low band of both pictures `[N, 2, ..]`, and the other bands of each."""
    graph = x.graph
    x = x.pad((0, 0, 1, 1), (0, 0, 0, 0), "reflect")
    even = [1 - n % 2 for n in size]
    if any(even):  # the last sample once more
        x = x.pad((0, 0, 0, 0), (0, 0, even[0], even[1]), "edge")
    for axis, is_even in zip((2, 3), even, strict=True):
        if not is_even:  # the last two, backwards
            x = graph.concat([x, x.cut(axis, -1, -3, -1)], axis=axis)
    framed = [n + 2 + n % 2 for n in size]
    rows = correlate_rounded(x, (LOW, HIGH), 2, framed[0], stride=2)
    both = graph.concat(rows, axis=1)
    low, high = correlate_rounded(both, (LOW, HIGH), 3, framed[1], stride=2)
    approximation, horizontal_x, horizontal_y = low.split(1, 2, 1, 1)
    vertical_x, vertical_y, diagonal_x, diagonal_y = high.split(1, 1, 1, 1, 1)
    straight_x = graph.concat([horizontal_x, vertical_x], axis=1)
    straight_y = graph.concat([horizontal_y, vertical_y], axis=1)
    return approximation, (straight_x, diagonal_x), (straight_y, diagonal_y)


def _gain(x: Value, y: Value, gain_limit: float) -> Value | None:
    """Returns by how much a coefficient of `x` may be multiplied, `[N, 1, h, w]`; None for 1."""
    if gain_limit == 1:
        return None

    def inner(a: Value, b: Value) -> Value:
        return (a * b).sum_keeping(1)

    product = inner(x, y)
    bound = inner(x, x) * COS_SQUARED * inner(y, y)
    within_a_degree = (product * product).at_least(bound)
    aligned = x.graph.op("And", product.at_least(0.0), within_a_degree)
    return aligned.to_float() * (gain_limit - 1) + 1


def _restore(x: Value, y: Value, limit: Value | None) -> Value:
    """Returns `y` held between 0 and `x`, times the limit where there is one."""
    reach = x if limit is None else x * limit
    above = y.maximum(reach.minimum(0.0))
    return above.minimum(reach.relu())


def _threshold(additive: Value) -> Value:
    """Returns the masking threshold: a thirtieth of each neighbour and a fifteenth of itself."""
    framed = additive.pad((0, 0, 1, 1), (0, 0, 0, 0), "reflect")
    framed = framed.pad((0, 0, 0, 0), (0, 0, 1, 1), "edge")
    mean = framed.graph.op("AveragePool", framed, kernel_shape=[3, 3], strides=[1, 1])
    return mean * 0.3 + additive * (1 / 30)


class _Pool:
    """3-norms over the middle of bands of one size."""

    def __init__(self, size: Size) -> None:
        rows, columns = middle(size)
        self._rows, self._columns = _indicator(size[0], rows), _indicator(size[1], columns)
        self.noise = float((self._rows.sum() * self._columns.sum() * NOISE_WEIGHT) ** (1 / 3))

    def __call__(self, cubes: Value) -> Value:
        """Returns the norms of maps `[N, c, h, w]`, summed over c, `[N, 1]`; without the noise."""
        over_columns = cubes.matmul(self._columns[:, None])
        totals = cubes.graph.op("MatMul", self._rows[None], over_columns)
        return totals.graph.op("Pow", totals, 1 / 3).sum_over(1, 2, 3)


def _indicator(length: int, part: slice) -> npt.NDArray[np.float32]:
    inside = np.zeros(length, np.float32)
    inside[part] = 1
    return inside


def vif(pictures: Value, size: Size, gain_limit: float) -> list[Value]:
    """Returns VIF `[N]` of each scale.

    Args:
        pictures: reference and distorted luma `[N, 2, h, w]`, less 128.
        size: h and w.
        gain_limit: the largest contrast gain that counts.
    """
    ratios = []
    for scale in range(N_SCALES):
        taps = window(scale)
        radius = len(taps) // 2
        if scale:
            pictures = _halve(pictures, taps, size)
            size = size[0] // 2, size[1] // 2
        x, y = mirror(pictures, radius).split_evenly(1, 2)
        framed = (size[0] + 2 * radius, size[1] + 2 * radius)
        products = [x, y, x * x, y * y, x * y]
        if scale < _CONVOLVED:
            convolved = [correlate(product, taps, framed) for product in products]
            moments = [moment for moment, _ in convolved]
            ratios.append(_fidelity(moments, convolved[0][1].total, gain_limit))
        else:
            rounded = smooth_rounded(x.graph.concat(products, axis=1), taps, framed)
            moments = rounded.split_evenly(1, len(products))
            ratios.append(_fidelity(moments, _total, gain_limit))
    return ratios


def _halve(pictures: Value, taps: Taps, size: Size) -> Value:
    """Returns every second sample of every second row, smoothed; odd sizes round down."""
    reach = len(taps) - 1
    framed = mirror(pictures, reach // 2)
    # Of an odd size the last window is left out.
    even = (size[0] // 2 * 2 - 1 + reach, size[1] // 2 * 2 - 1 + reach)
    return smooth_rounded(framed, taps, even, stride=2)


def _total(samples: Value) -> Value:
    # Rows first. ONNX Runtime adds a whole map in few partial sums, whose roundings go one way if
    # samples are alike: 5e-4 too low for flat content of 960x540, scale 2 of 2160p.
    return samples.sum_over(3).sum_over(1, 2)


def _fidelity(moments: list[Value], total: Callable[[Value], Value], gain_limit: float) -> Value:
    """Returns numerator over denominator `[N]`, each added up by `total`.

    Both are in units of log(2), as the graph has natural logarithms only.
    """
    mean_x, mean_y, xx, yy, xy = moments
    var_x = xx - mean_x * mean_x
    var_y = (yy - mean_y * mean_y).relu()
    covariance = (xy - mean_x * mean_y).relu()
    above_noise = var_x.at_least(NOISE).to_float()
    var_x = var_x.maximum(NOISE)
    square = covariance * covariance
    noise = (var_x * var_y - square).relu() + var_x * NOISE
    if gain_limit < _LARGEST_GAIN:
        limited = covariance.minimum(var_x * gain_limit)
        square = limited * limited
    information = (square / noise + 1).log()
    flat = var_y * (-PENALTY * math.log(2)) + math.log(2)
    numerator = flat + above_noise * (information - flat)
    denominator = (var_x * (1 / NOISE) + 1).log()
    return total(numerator) / total(denominator)


def motion(reference: Value, previous: Value, size: Size) -> Value:
    """Returns how far frames `[N, 1, h, w]` are from those before them, `[N]`, 8-bit steps."""
    reach = len(BLUR) - 1
    framed = mirror(reference - previous, reach // 2)
    blurred, blocks = correlate(framed, BLUR, (size[0] + reach, size[1] + reach))
    return blocks.total(blurred.abs()) * (1 / (size[0] * size[1]))


@dataclasses.dataclass(frozen=True)
class Blocks:
    """A layout in blocks of pictures of `height` rows and `width` columns."""

    height: int
    width: int

    @property
    def rows(self) -> int:
        """Number of blocks over the height."""
        return -(-self.height // BLOCK)

    @property
    def columns(self) -> int:
        """Number of blocks over the width."""
        return -(-self.width // BLOCK)

    def total(self, samples: Value) -> Value:
        """Returns sums `[N]` over the picture of samples in blocks."""
        maps = samples.reshape(-1, BLOCK, BLOCK, self.rows, self.columns)
        weights = _inside(self.width, self.columns)[:, :, None]  # one matrix a phase of columns
        sums = maps.matmul(weights)
        sums = sums * _inside(self.height, self.rows)[:, None, :, None]
        return sums.sum_over(3, 4).sum_over(1, 2)


def _inside(length: int, blocks: int) -> npt.NDArray[np.float32]:
    """Returns `[BLOCK, blocks]`: 1 where a sample is one of the picture's, else 0."""
    position = np.arange(BLOCK)[:, None] + BLOCK * np.arange(blocks)
    return (position < length).astype(np.float32)


def mirror(pictures: Value, radius: int) -> Value:
    """Returns pictures `[N, c, h, w]` with `radius` more samples a side, mirrored at the edges."""
    return pictures.pad((0, 0, radius, radius), (0, 0, radius, radius), "reflect")


def correlate(framed: Value, taps: Taps, size: Size) -> tuple[Value, Blocks]:
    """Filters both axes, columns first; returns samples in blocks, and where they lie.

    Args:
        framed: pictures `[N, 1, h, w]` with their frame of mirrored samples.
        size: h and w.
    """
    height, width = size
    blocks = Blocks(height - len(taps) + 1, width - len(taps) + 1)
    band = _band(taps)
    below = max(0, (blocks.rows - 1) * BLOCK + band.shape[1] - height)
    beyond = max(0, (blocks.columns - 1) * BLOCK + band.shape[1] - width)
    down = framed.graph.op(
        "Conv", framed, band[:, None, :, None], strides=[BLOCK, 1], pads=[0, 0, below, 0]
    )
    down = down.reshape(-1, 1, blocks.rows, width)
    across = down.graph.op(
        "Conv", down, band[:, None, None, :], strides=[1, BLOCK], pads=[0, 0, 0, beyond]
    )
    return across, blocks


def _band(taps: Taps) -> npt.NDArray[np.float32]:
    """Returns a banded matrix `[BLOCK, reach]`: row i has the taps from column i on."""
    band = np.zeros((BLOCK, BLOCK - 1 + len(taps)), np.float32)
    for i in range(BLOCK):
        band[i, i : i + len(taps)] = taps
    return band


def correlate_rounded(
    x: Value, banks: Sequence[Taps], axis: int, length: int, *, stride: int = 1
) -> list[Value]:
    """Returns `sum(taps[k] * x[stride * i + k])` along an axis, added from k = 0 on, for each taps.

    Args:
        x: pictures `[N, c, h, w]`, framed.
        banks: taps of one length.
        axis: 2 or 3, and its `length`.
    """
    reach = len(banks[0])
    count = (length - reach) // stride + 1
    phases = [x] if stride == 1 else [x.cut(axis, p, length, stride) for p in range(stride)]
    products: dict[tuple[int, float], Value] = {}  # taps recur in symmetric filters

    def part(k: int, tap: float) -> Value:
        key = (k % stride, tap)
        if key not in products:
            products[key] = phases[k % stride] * tap
        return products[key].cut(axis, k // stride, k // stride + count)

    sums = []
    for taps in banks:
        total = part(0, taps[0])
        for k in range(1, reach):
            total = total + part(k, taps[k])
        sums.append(total)
    return sums


def smooth_rounded(framed: Value, taps: Taps, size: Size, *, stride: int = 1) -> Value:
    """Filters both axes of framed pictures, columns first; returns every `stride`-th sample."""
    (down,) = correlate_rounded(framed, [taps], 2, size[0], stride=stride)
    (across,) = correlate_rounded(down, [taps], 3, size[1], stride=stride)
    return across
