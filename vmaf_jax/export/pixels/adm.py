"""ADM (adm2) as ONNX; the equations are those of `vmaf_jax.features.adm`.

The wavelet's products are rounded as libvmaf's: where there is no detail along an axis, the last
digits say which way it points. The bands high across rows and high
across columns have one weight and stand together; thresholds are in units of it.
"""

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.export.pixels.rounding import correlate_rounded
from vmaf_jax.features.adm import (
    COS_SQUARED,
    HIGH,
    LOW,
    N_LEVELS,
    NOISE_WEIGHT,
    csf_weights,
    middle,
)


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
