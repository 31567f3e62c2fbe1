"""VIF at four scales as ONNX; the equations are those of `vmaf_jax.features.vif`.

The moments of the two finer scales are convolutions: there, so many samples are summed up that one
on the other side of a threshold does not show. Those of the two coarser ones, and the pictures
that pass from scale to scale, are rounded as libvmaf does.
"""

import math
from collections.abc import Callable

import numpy as np

from vmaf_jax.export.pixels.filters import correlate, mirror
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.export.pixels.rounding import smooth_rounded
from vmaf_jax.features.filters import Taps
from vmaf_jax.features.vif import N_SCALES, NOISE, PENALTY, window

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
