"""Errors of the parts of a frame, and the part whose error departs from the rest of its frame.

A codec spreads its errors: of encodes by x264, x265 and SVT-AV1 the worst tile of a frame has two
to four times the error of the frame's other bad tiles, unless the error is too small to be seen. A
tile that was lost, or that shows something else, has ten to a thousand times as much. So a tile
stands out where its error is visible and a multiple of what the frame has elsewhere, either in
every detail (noise) or after smoothing (blur, blocks, other content).

NumPy and SciPy alone, since `score` looks at every frame of a clip and the base install has no JAX.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Samples = npt.NDArray[np.unsignedinteger]

_SMOOTHING = 4  # samples each way that are averaged for coarse errors, as in `_sum_blocks`
_CELLS = 4  # of a tile, each way
_LARGE = 1280 * 720  # pixels from which a tile has 64x64 of them; below 32x32
_VISIBLE = 64.0  # mean squared error of a tile: 8 steps of 8 bits, which no clean encode has in one
_DEPARTURE = 4.0  # times what the frame has elsewhere
_BROKEN = 0.03  # share of a frame's tiles that may be broken at once;
_MOST_BROKEN, _MANY = 0.15, 12  # of small frames up to this share, and so many tiles
_FLOOR = 0.25  # mean squared error below which frames do not differ: what rounding leaves


class CellErrors(NamedTuple):
    """Mean squared errors of a frame's cells, a quarter of a tile each way, squared 8-bit steps."""

    fine: Floats  # [rows, columns], of samples
    coarse: Floats  # of means over 4x4 samples
    sizes: Floats  # of the cells, of which the last ones may be cut; any unit
    side: int  # of a cell that is whole, pixels


class WorstTile(NamedTuple):
    """The part of a frame that departs most from the rest.

    Attributes:
        severity: At least 1 where it stands out: visible, and a multiple of the errors elsewhere.
        box: Its left, top, width and height, pixels.
    """

    severity: float
    box: tuple[int, int, int, int]


def worst_tile(reference: Samples, distorted: Samples, bits: int = 8) -> WorstTile:
    """Finds the part of a frame whose error departs most from the rest of the frame.

    Args:
        reference, distorted: Luma `[h, w]` of `bits` a sample, at least 17 pixels each way.
    """
    errors = cell_errors(reference, distorted, bits)
    fine, coarse = (_tile_means(e, errors.sizes) for e in (errors.fine, errors.coarse))
    departure = np.maximum(fine / _elsewhere(fine), coarse / _elsewhere(coarse))
    severity = np.minimum(departure / _DEPARTURE, fine / _VISIBLE)
    place = np.unravel_index(int(severity.argmax()), severity.shape)
    row, column = (int(k) for k in place)
    worst = float(severity[row, column])
    box = slice(row, row + _CELLS), slice(column, column + _CELLS)
    if worst >= 1:
        box = _grow(errors, *box, float(fine[row, column]))
    return WorstTile(worst, _in_pixels(box, errors.side, reference.shape))


def cell_errors(reference: Samples, distorted: Samples, bits: int) -> CellErrors:
    """Computes the errors of a frame's cells.

    Args:
        reference, distorted: Luma `[h, w]` of `bits` a sample.
    """
    h, w = (n - n % _SMOOTHING for n in reference.shape)
    scale = np.float32(2 ** (bits - 8))
    error = reference[:h, :w].astype(np.int16) - distorted[:h, :w].astype(np.int16)
    small = _sum_blocks(error.astype(np.float32)) / (_SMOOTHING**2 * scale)
    squares = _sum_blocks(np.square(error, dtype=np.float32)) / (_SMOOTHING * scale) ** 2
    side = 16 if reference.size >= _LARGE else 8
    edges = [np.arange(0, n, side // _SMOOTHING) for n in small.shape]
    down, across = (np.diff(e, append=n) for e, n in zip(edges, small.shape, strict=True))
    sizes = np.outer(down, across).astype(np.float32)

    def means(values: Floats) -> Floats:
        sums = np.add.reduceat(np.add.reduceat(values, edges[0], 0), edges[1], 1)
        return np.asarray(sums / sizes)

    return CellErrors(means(squares), means(np.square(small)), sizes, side)


def _sum_blocks(values: Floats) -> Floats:
    """Returns sums over 4x4 samples; rows first, which are contiguous."""
    rows = values[::4] + values[1::4] + values[2::4] + values[3::4]
    return rows[:, ::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]


def _tile_means(cells: Floats, sizes: Floats) -> Floats:
    """Returns means over tiles that begin at each cell and lie within the picture."""
    tile = [min(_CELLS, n) for n in cells.shape]
    windows = functools.partial(np.lib.stride_tricks.sliding_window_view, window_shape=tile)
    return np.asarray(windows(cells * sizes).sum((2, 3)) / windows(sizes).sum((2, 3)))


def _elsewhere(tiles: Floats) -> float:
    """Returns the error of a frame's bad tiles, without the few worst, which may be broken.

    Tiles overlap, so of each group of neighbours the worst one counts.
    """
    edges = [np.arange(0, n, _CELLS) for n in tiles.shape]
    groups = np.maximum.reduceat(np.maximum.reduceat(tiles, edges[0], 0), edges[1], 1)
    ordered = np.sort(groups, axis=None)[::-1]
    n = ordered.size
    skipped = max(int(_BROKEN * n), min(_MANY, int(_MOST_BROKEN * n)))
    return max(float(ordered[skipped]), _FLOOR)


def _grow(errors: CellErrors, rows: slice, columns: slice, mean: float) -> tuple[slice, slice]:
    """Returns the tile's cells with those bad ones that touch them, as rows and columns."""
    labels, _ = ndimage.label(errors.fine >= mean / 2)
    tile = labels[rows, columns]
    touched = np.isin(labels, tile[tile > 0])
    touched[rows, columns] = True
    rows, columns = ndimage.find_objects(touched.astype(np.int8))[0]
    return rows, columns


def _in_pixels(
    box: tuple[slice, slice], side: int, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    rows, columns = box
    left, top = columns.start * side, rows.start * side
    right, bottom = min(columns.stop * side, shape[1]), min(rows.stop * side, shape[0])
    return left, top, right - left, bottom - top
