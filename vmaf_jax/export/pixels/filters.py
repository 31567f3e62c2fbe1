"""Separable filters as ONNX operators, with sums rounded as libvmaf rounds them.

A filter of one channel is the worst case of a convolution. Here a pass moves `BLOCK` samples at a
time and has that many outputs: a banded (Toeplitz) matrix times a window of samples. Twice as many
products, in a fifth of the time. What comes out is in blocks:

    [N * BLOCK, BLOCK, rows, columns]    sample (r * BLOCK + i, c * BLOCK + j) at [i, j, r, c]

and may reach past the picture; functions of single samples do not mind the order, and
`Blocks.total` leaves out what is past the end.

Which side of a threshold a coefficient or a local variance falls on may hang on the last digit: in
flat and drawn content whole areas do. A convolution adds in an order of its own, with products
that are not rounded; so what feeds thresholds is computed here, operator by operator.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.features.filters import Taps

BLOCK = 16


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Where the samples of `height` rows and `width` columns lie, in blocks."""

    height: int
    width: int

    @property
    def rows(self) -> int:
        """Blocks over the height."""
        return -(-self.height // BLOCK)

    @property
    def columns(self) -> int:
        """Blocks over the width."""
        return -(-self.width // BLOCK)

    def total(self, graph: Graph, samples: Value) -> Value:
        """Sums `[N]` over the picture of samples in blocks."""
        shape = np.array([-1, BLOCK, BLOCK, self.rows, self.columns])
        maps = graph.op("Reshape", samples, shape)
        weights = _inside(self.width, self.columns)[:, :, None]  # one matrix a phase of columns
        sums = graph.op("MatMul", maps, weights)
        sums = sums * _inside(self.height, self.rows)[:, None, :, None]
        return graph.op("ReduceSum", sums, np.array([1, 2, 3, 4]), keepdims=0)


def _inside(length: int, blocks: int) -> npt.NDArray[np.float32]:
    """`[BLOCK, blocks]`: 1 where a sample is one of the picture's."""
    position = np.arange(BLOCK)[:, None] + BLOCK * np.arange(blocks)
    return (position < length).astype(np.float32)


def mirror(graph: Graph, picture: Value, radius: int) -> Value:
    """Pictures `[N, 1, h, w]` with `radius` more samples a side, mirrored about their edges."""
    pads = np.array([0, 0, radius, radius, 0, 0, radius, radius])
    return graph.op("Pad", picture, pads, mode="reflect")


def correlate(
    graph: Graph, framed: Value, taps: Taps, size: tuple[int, int]
) -> tuple[Value, Blocks]:
    """Both axes filtered, columns first: in blocks.

    Args:
        framed: pictures `[N, 1, h, w]` with their frame of mirrored samples.
        size: h and w.
    """
    height, width = size
    made = Blocks(*(length - len(taps) + 1 for length in size))
    band = _band(taps)
    missing = [
        max(0, (blocks - 1) * BLOCK + band.shape[1] - length)
        for blocks, length in ((made.rows, height), (made.columns, width))
    ]
    down = graph.op(
        "Conv", framed, band[:, None, :, None], strides=[BLOCK, 1], pads=[0, 0, missing[0], 0]
    )
    down = graph.op("Reshape", down, np.array([-1, 1, made.rows, width]))
    across = graph.op(
        "Conv", down, band[:, None, None, :], strides=[1, BLOCK], pads=[0, 0, 0, missing[1]]
    )
    return across, made


def _band(taps: Taps) -> npt.NDArray[np.float32]:
    """`[BLOCK, reach]`: row i has the taps from column i on."""
    band = np.zeros((BLOCK, BLOCK - 1 + len(taps)), np.float32)
    for i in range(BLOCK):
        band[i, i : i + len(taps)] = taps
    return band


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
