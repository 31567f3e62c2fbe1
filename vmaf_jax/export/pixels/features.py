"""The six features of a frame as ONNX operators: ADM, VIF at four scales and motion.

The wavelet's products are rounded as libvmaf's: where there is no detail along an axis, the last
digits say which way it points. The bands high across rows and high
across columns have one weight and stand together; thresholds are in units of it.

The moments of the two finer scales are convolutions: there, so many samples are summed up that one
on the other side of a threshold does not show. Those of the two coarser ones, and the pictures
that pass from scale to scale, are rounded as libvmaf does.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.pixels.filters import correlate, correlate_rounded, mirror, smooth_rounded
from vmaf_jax.export.pixels.graph import Graph, Value
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


def adm(graph: Graph, pictures: Value, size: tuple[int, int], gain_limit: float) -> Value:
    """adm2 `[N]`.

    Args:
        pictures: reference and distorted luma `[N, 2, h, w]`, less 128.
        size: h and w.
        gain_limit: the largest contrast gain that counts.
    """
    sums: list[tuple[Value, Value]] = []
    constant = 0.0
    for level in range(N_LEVELS):
        pictures, (straight_x, diagonal_x), (straight_y, diagonal_y) = _wavelet(
            graph, pictures, size
        )
        size = (size[0] + 1) // 2, (size[1] + 1) // 2
        limit = _limit(graph, straight_x, straight_y, gain_limit)
        straight_r = _restored(graph, straight_x, straight_y, limit)
        diagonal_r = _restored(graph, diagonal_x, diagonal_y, limit)
        weight, _, diagonal_weight = csf_weights(level)
        added = [
            graph.op("Abs", band - restored)
            for band, restored in ((straight_y, straight_r), (diagonal_y, diagonal_r))
        ]
        straight = graph.op("ReduceSum", added[0], np.array([1]))
        threshold = _threshold(graph, straight + added[1] * (diagonal_weight / weight))
        pool = _Pool(size)
        for band, restored, w in (
            (straight_x, straight_r, weight),
            (diagonal_x, diagonal_r, diagonal_weight),
        ):
            masked = threshold if w == weight else threshold * (weight / w)
            detail = graph.op("Relu", graph.op("Abs", restored) - masked)
            numerator = pool(graph, detail * detail * detail)
            denominator = pool(graph, graph.op("Abs", band) * (band * band))
            sums.append((numerator * w, denominator * w))
            constant += (2 if w == weight else 1) * pool.noise
    numerators, denominators = zip(*sums, strict=True)
    return (_sum(numerators) + constant) / (_sum(denominators) + constant)


def _sum(values: tuple[Value, ...]) -> Value:
    total = values[0]
    return total.graph.op("Sum", *values)


Bands = tuple[Value, Value]  # high across rows and across columns `[N, 2, ..]`; across both


def _wavelet(graph: Graph, x: Value, size: tuple[int, int]) -> tuple[Value, Bands, Bands]:
    """The low band of both pictures `[N, 2, ..]`; and the bands of each."""
    pads = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    x = graph.op("Pad", x, pads, mode="reflect")
    even = [1 - n % 2 for n in size]
    if any(even):  # the last sample once more
        x = graph.op("Pad", x, np.array([0, 0, 0, 0, 0, 0, *even]), mode="edge")
    for axis, repeats in zip((2, 3), even, strict=True):
        if not repeats:  # the last two, backwards
            ends = (np.array([-1]), np.array([-3]), np.array([axis]), np.array([-1]))
            x = graph.op("Concat", x, graph.op("Slice", x, *ends), axis=axis)
    framed = [n + 2 + n % 2 for n in size]
    rows = correlate_rounded(graph, x, (LOW, HIGH), 2, framed[0], stride=2)
    both = graph.op("Concat", *rows, axis=1)
    low, high = correlate_rounded(graph, both, (LOW, HIGH), 3, framed[1], stride=2)
    approximation, *horizontal = graph.ops("Split", 3, low, np.array([2, 1, 1]), axis=1)
    parts = graph.ops("Split", 4, high, np.array([1, 1, 1, 1]), axis=1)
    bands_x, bands_y = (
        (graph.op("Concat", horizontal[k], parts[k], axis=1), parts[2 + k]) for k in range(2)
    )
    return approximation, bands_x, bands_y


def _limit(graph: Graph, x: Value, y: Value, gain_limit: float) -> Value | None:
    """How far beyond the reference's own a coefficient counts, `[N, 1, h, w]`; None for 1."""
    if gain_limit == 1:
        return None

    def inner(a: Value, b: Value) -> Value:
        return graph.op("ReduceSum", a * b, np.array([1]))

    product = inner(x, y)
    bound = inner(x, x) * COS_SQUARED * inner(y, y)
    wide = graph.op("GreaterOrEqual", product * product, bound)
    aligned = graph.op("And", graph.op("GreaterOrEqual", product, 0.0), wide)
    return graph.op("Cast", aligned, to=1) * (gain_limit - 1) + 1


def _restored(graph: Graph, x: Value, y: Value, limit: Value | None) -> Value:
    reach = x if limit is None else x * limit
    at_least = graph.op("Max", y, graph.op("Min", reach, 0.0))
    return graph.op("Min", at_least, graph.op("Relu", reach))


def _threshold(graph: Graph, additive: Value) -> Value:
    """A thirtieth of each neighbour and a fifteenth of itself."""
    framed = graph.op("Pad", additive, np.array([0, 0, 1, 1, 0, 0, 0, 0]), mode="reflect")
    framed = graph.op("Pad", framed, np.array([0, 0, 0, 0, 0, 0, 1, 1]), mode="edge")
    mean = graph.op("AveragePool", framed, kernel_shape=[3, 3], strides=[1, 1])
    return mean * 0.3 + additive * (1 / 30)


class _Pool:
    """3-norms over the middle of bands of one size."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._rows, self._columns = (
            _indicator(n, part) for n, part in zip(size, middle(size), strict=True)
        )
        self.noise = float((self._rows.sum() * self._columns.sum() * NOISE_WEIGHT) ** (1 / 3))

    def __call__(self, graph: Graph, cubes: Value) -> Value:
        """The norms of maps `[N, c, h, w]`, summed over c, `[N, 1]`; without what noise adds."""
        over_columns = graph.op("MatMul", cubes, self._columns[:, None])
        totals = graph.op("MatMul", np.asarray(self._rows[None]), over_columns)
        norms = graph.op("Pow", totals, 1 / 3)
        return graph.op("ReduceSum", norms, np.array([1, 2, 3]), keepdims=0)


def _indicator(length: int, part: slice) -> npt.NDArray[np.float32]:
    inside = np.zeros(length, np.float32)
    inside[part] = 1
    return inside


def motion(graph: Graph, reference: Value, before: Value, size: tuple[int, int]) -> Value:
    """How far frames `[N, 1, h, w]` are from those before them, `[N]`, 8-bit luma steps."""
    reach = len(BLUR) - 1
    framed = mirror(graph, reference - before, reach // 2)
    blurred, where = correlate(graph, framed, BLUR, (size[0] + reach, size[1] + reach))
    return where.total(graph, graph.op("Abs", blurred)) * (1 / (size[0] * size[1]))


_CONVOLVED = 2  # scales
# Above this gain no limit counts: the covariance is at most the root of the product of variances,
# the distorted one is at most 127.5^2 and the reference's is held at the noise or above.
_LARGEST_GAIN = math.sqrt(127.5**2 / NOISE) + 1

Size = tuple[int, int]
Total = Callable[[Graph, Value], Value]  # sums `[N]` of samples, wherever they lie


def vif(graph: Graph, pictures: Value, size: Size, gain_limit: float) -> list[Value]:
    """VIF `[N]` of each scale.

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
            pictures = _halved(graph, pictures, taps, size)
            size = size[0] // 2, size[1] // 2
        x2, y2 = graph.ops("Split", 2, mirror(graph, pictures, radius), axis=1)
        framed = (size[0] + 2 * radius, size[1] + 2 * radius)
        products = [x2, y2, x2 * x2, y2 * y2, x2 * y2]
        if scale < _CONVOLVED:
            moments = [correlate(graph, product, taps, framed) for product in products]
            ratios.append(
                _fidelity(graph, [m for m, _ in moments], moments[0][1].total, gain_limit)
            )
        else:
            rounded = smooth_rounded(graph, _stack(graph, products), taps, framed)
            parts = graph.ops("Split", len(products), rounded, axis=1)
            ratios.append(_fidelity(graph, parts, _total, gain_limit))
    return ratios


def _stack(graph: Graph, maps: list[Value]) -> Value:
    return graph.op("Concat", *maps, axis=1)


def _halved(graph: Graph, x: Value, taps: Taps, size: Size) -> Value:
    """Every second sample of every second row of the smoothed picture; odd sizes round down."""
    reach = len(taps) - 1
    framed = mirror(graph, x, reach // 2)
    # Of an odd size the last window is left out.
    even = (size[0] // 2 * 2 - 1 + reach, size[1] // 2 * 2 - 1 + reach)
    return smooth_rounded(graph, framed, taps, even, stride=2)


def _total(graph: Graph, samples: Value) -> Value:
    return graph.op("ReduceSum", samples, np.array([1, 2, 3]), keepdims=0)


def _fidelity(graph: Graph, moments: list[Value], total: Total, gain_limit: float) -> Value:
    mean_x, mean_y, xx, yy, xy = moments
    var_x = xx - mean_x * mean_x
    var_y = graph.op("Relu", yy - mean_y * mean_y)
    covariance = graph.op("Relu", xy - mean_x * mean_y)
    above_noise = graph.op("Cast", graph.op("GreaterOrEqual", var_x, NOISE), to=1)
    var_x = graph.op("Max", var_x, NOISE)
    square = covariance * covariance
    noise = graph.op("Relu", var_x * var_y - square) + var_x * NOISE
    if gain_limit < _LARGEST_GAIN:
        limited = graph.op("Min", covariance, var_x * gain_limit)
        square = limited * limited
    information = graph.op("Log", square / noise + 1)
    flat = var_y * (-PENALTY * math.log(2)) + math.log(2)  # in units of log(2), as all here
    numerator = flat + above_noise * (information - flat)
    denominator = graph.op("Log", var_x * (1 / NOISE) + 1)
    return total(graph, numerator) / total(graph, denominator)


OFFSET = 128.0  # of VIF and ADM; libvmaf's float extractors subtract it


def features(graph: Graph, pictures: list[Value], height: int, width: int, gain: float) -> Value:
    """`[N, 6]`: adm2, vif_scale0 to vif_scale3 and motion (not motion2).

    Args:
        pictures: reference, distorted and the reference's frame before, `[N, h, w]`, 0-255.
        gain: the largest contrast gain that VIF and ADM count.
    """
    size = height, width
    planes = np.array([-1, 1, height, width])
    reference, distorted, before = (graph.op("Reshape", p, planes) for p in pictures)
    both = graph.op("Concat", reference, distorted, axis=1) - OFFSET
    values = [
        adm(graph, both, size, gain),
        *vif(graph, both, size, gain),
        motion(graph, reference, before, size),
    ]
    columns = [graph.op("Reshape", value, np.array([-1, 1])) for value in values]
    return graph.op("Concat", *columns, axis=1)
