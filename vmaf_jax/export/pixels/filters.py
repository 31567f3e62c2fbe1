"""Separable filters as convolutions of whole blocks, which runtimes compute as matrix products.

A filter of one channel is the worst case of a convolution. Here a pass moves `BLOCK` samples at a
time and has that many outputs: a banded (Toeplitz) matrix times a window of samples. Twice as many
products, in a fifth of the time. What comes out is in blocks:

    [N * BLOCK, BLOCK, rows, columns]    sample (r * BLOCK + i, c * BLOCK + j) at [i, j, r, c]

and may reach past the picture; functions of single samples do not mind the order, and
`Blocks.total` leaves out what is past the end.
"""

import dataclasses

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
