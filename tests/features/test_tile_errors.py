"""Errors of the parts of a frame, against plain sums, and the tile that stands out."""

import numpy as np
import pytest

from vmaf_jax.features.tile_errors import cell_errors, worst_tile


def encode_like(shape):
    """A picture, and the same with errors that grow with its detail."""
    generator = np.random.default_rng(0)
    coarse = generator.uniform(1, 6, [n // 40 + 1 for n in shape])
    detail = np.kron(coarse, np.ones((40, 40)))[: shape[0], : shape[1]]
    picture = 128 + detail * generator.normal(0, 3, shape)
    encode = picture + detail * generator.normal(0, 0.5, shape)
    return [np.clip(p, 0, 255).round().astype(np.uint8) for p in (picture, encode)]


@pytest.mark.parametrize("shape", [(720, 1280), (744, 1300), (144, 176)])
def test_cells_have_the_errors_of_plain_sums(shape):
    reference, distorted = encode_like(shape)
    errors = cell_errors(reference, distorted, 8)
    side = errors.side
    assert side == (16 if shape[0] >= 720 else 8)
    difference = reference.astype(float) - distorted
    rows, columns = errors.fine.shape
    for row, column in ((0, 0), (rows - 1, columns - 1), (rows // 2, 3)):
        part = difference[row * side : (row + 1) * side, column * side : (column + 1) * side]
        part = part[: part.shape[0] // 4 * 4, : part.shape[1] // 4 * 4]
        small = part.reshape(part.shape[0] // 4, 4, -1, 4).mean((1, 3))
        assert errors.fine[row, column] == pytest.approx(np.mean(part**2), rel=1e-5)
        assert errors.coarse[row, column] == pytest.approx(np.mean(small**2), rel=1e-5)


@pytest.mark.parametrize("shape", [(1080, 1920), (576, 704), (270, 480)])
@pytest.mark.parametrize("kind", ["grey", "offset", "noise"])
def test_a_broken_tile_stands_out_with_its_place(shape, kind):
    reference, distorted = encode_like(shape)
    assert worst_tile(reference, distorted).severity < 1
    side = 64 if shape[0] >= 720 else 32
    top, left = shape[0] - side - 21, 75
    tile = distorted[top : top + side, left : left + side].astype(float)
    noise = np.random.default_rng(1).normal(0, 25, tile.shape)
    broken = {"grey": np.full_like(tile, 100), "offset": tile + 25, "noise": tile + noise}[kind]
    distorted[top : top + side, left : left + side] = np.clip(broken, 0, 255)
    worst = worst_tile(reference, distorted)
    assert worst.severity >= 1
    x, y, width, height = worst.box
    assert left - side / 4 <= x <= left + side / 4
    assert top - side / 4 <= y <= top + side / 4
    assert max(width, height) <= 1.5 * side


def test_a_box_grows_over_what_is_broken_and_stays_in_the_picture():
    reference, distorted = encode_like((1080, 1920))
    distorted[950:, 1700:] = 90
    worst = worst_tile(reference, distorted)
    assert worst.severity >= 1
    assert worst.box == (1696, 944, 224, 136)


def test_depth_changes_no_verdict():
    reference, distorted = encode_like((270, 480))
    distorted[40:104, 200:264] = 90
    deep = worst_tile(reference.astype(np.uint16) * 4, distorted.astype(np.uint16) * 4, bits=10)
    assert deep == worst_tile(reference, distorted)


@pytest.mark.parametrize("shape", [(17, 17), (17, 400), (64, 64)])
def test_small_and_equal_pictures_accuse_nothing(shape):
    reference, distorted = encode_like(shape)
    assert worst_tile(reference, reference).severity == 0
    x, y, width, height = worst_tile(reference, distorted).box
    assert 0 <= x < x + width <= shape[1]
    assert 0 <= y < y + height <= shape[0]
    assert worst_tile(reference, distorted).severity < 1
