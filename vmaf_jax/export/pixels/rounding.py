"""Filters whose every product is rounded before it is added, as libvmaf and our JAX features do.

Which side of a threshold a coefficient or a local variance falls on may hang on the last digit: in
flat and drawn content whole areas do. A convolution adds in an order of its own, with products
that are not rounded; so what feeds thresholds is computed here, operator by operator.
"""

from collections.abc import Sequence

import numpy as np

from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.features.filters import Taps


def correlate_rounded(
    graph: Graph, x: Value, banks: Sequence[Taps], axis: int, length: int, *, stride: int = 1
) -> list[Value]:
    """`sum(taps[k] * x[stride * i + k])` along an axis, from k = 0 on, for several taps at once.

    Args:
        x: pictures `[N, c, h, w]`, framed.
        banks: taps of one length.
        axis: 2 or 3, and its `length`.
    """
    reach = len(banks[0])
    count = (length - reach) // stride + 1
    phases = (
        [x] if stride == 1 else [_cut(graph, x, axis, p, length, stride) for p in range(stride)]
    )
    products: dict[tuple[int, float], Value] = {}

    def part(k: int, tap: float) -> Value:
        key = (k % stride, tap)
        if key not in products:
            products[key] = phases[k % stride] * tap
        return _cut(graph, products[key], axis, k // stride, k // stride + count)

    sums = []
    for taps in banks:
        total = part(0, taps[0])
        for k in range(1, reach):
            total = total + part(k, taps[k])
        sums.append(total)
    return sums


def _cut(graph: Graph, x: Value, axis: int, first: int, end: int, step: int = 1) -> Value:
    places = (np.array([first]), np.array([end]), np.array([axis]), np.array([step]))
    return graph.op("Slice", x, *places)


def smooth_rounded(
    graph: Graph, framed: Value, taps: Taps, size: tuple[int, int], *, stride: int = 1
) -> Value:
    """Both axes of framed pictures of `size` filtered, columns first; every `stride`-th sample."""
    (down,) = correlate_rounded(graph, framed, [taps], 2, size[0], stride=stride)
    (across,) = correlate_rounded(graph, down, [taps], 3, size[1], stride=stride)
    return across
