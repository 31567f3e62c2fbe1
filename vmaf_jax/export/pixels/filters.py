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

from vmaf_jax.export.pixels.graph import Value
from vmaf_jax.features.filters import Taps

BLOCK = 16
Size = tuple[int, int]  # height and width


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
        return sums.sum_over(1, 2, 3, 4)


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
