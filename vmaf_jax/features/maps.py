"""Quality maps: the parts of a frame that its features come from, a value for each tile.

The maps are those that the frame's own features are pooled from. VIF and ADM are the ratio of a
tile's sums to the reference's; banding and SpEED are the mean over a tile.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Shaped

from vmaf_jax.features.adm import NOISE_WEIGHT, adm_maps
from vmaf_jax.features.cambi import CambiSettings, cambi_maps
from vmaf_jax.features.speed import speed_map
from vmaf_jax.features.v1 import Planes, Settings
from vmaf_jax.features.vif import vif_maps

TILE = 32  # pixels, the step of CAMBI's coarsest scale

Map = Float[Array, "rows columns"]


@functools.partial(jax.jit, static_argnames="gain_limit")
def luma_maps(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], gain_limit: float
) -> Mapping[str, Map]:
    """Computes `vif` and `adm` of each tile of 32x32 pixels; no unit, 1 for identical pictures.

    Args:
        reference, distorted: Luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
        gain_limit: The largest contrast gain that counts, at least 1.
    """
    h, w = reference.shape
    conveyed = known = numerator = denominator = jnp.zeros((-(-h // TILE), -(-w // TILE)))
    for scale, information in enumerate(vif_maps(reference, distorted, gain_limit)):
        sums = _sum_tiles(jnp.stack(information), 2**scale, h, w)
        conveyed, known = conveyed + sums[0], known + sums[1]
    for level, bands in enumerate(adm_maps(reference, distorted, gain_limit)):
        step, detail = 2 ** (level + 1), jnp.array(bands)
        sizes = _count_samples(detail.shape[-2:], step, h, w)
        norms = jnp.cbrt(_sum_tiles(detail**3, step, h, w)) + np.cbrt(sizes * NOISE_WEIGHT)
        restored, whole = norms.sum(0)
        numerator, denominator = numerator + restored, denominator + whole
    return {"vif": conveyed / jnp.maximum(known, 1e-6), "adm": numerator / denominator}


@functools.partial(jax.jit, static_argnames=("bits", "settings"))
def v1_maps(
    reference: Planes, distorted: Planes, bits: int, settings: Settings
) -> Mapping[str, Map]:
    """Computes `cambi` and `speed_chroma_uv` of each tile; 0 without banding or difference.

    Args:
        reference, distorted: Planes of one frame, on the scale of `bits`.
    """
    h, w = reference.y.shape
    eh, ew = _encode_size(h, w, settings.cambi)
    banding = jnp.zeros((-(-eh // TILE), -(-ew // TILE)))
    for band in cambi_maps(distorted.y, bits, settings.cambi):
        sizes = _count_samples(band.contrast.shape, band.step, eh, ew)
        banding += band.weight / band.area * _sum_tiles(band.contrast, band.step, eh, ew) / sizes
    if (eh, ew) != (h, w):
        banding = _spread_blocks(banding, h, w, (eh / TILE, ew / TILE))
    x, y = (jnp.stack([p.u, p.v]) / 2.0 ** (bits - 8) for p in (reference, distorted))
    blocks = speed_map(x, y, settings.speed)
    return {"cambi": banding, "speed_chroma_uv": _spread_blocks(blocks, h, w)}


def _encode_size(h: int, w: int, settings: CambiSettings) -> tuple[int, int]:
    """Returns the height and width of the picture that CAMBI is measured of."""
    if settings.encode is None or settings.encode[1] > h or settings.encode[0] > w:
        return h, w
    return settings.encode[1], settings.encode[0]


def _sum_tiles(
    values: Shaped[Array, "*n h2 w2"], step: int, h: int, w: int
) -> Float[Array, "*n rows columns"]:
    """Returns sums over the tiles of a picture `[h, w]`, each value standing for `step` pixels."""
    rows, columns, side = -(-h // TILE), -(-w // TILE), TILE // step
    values = values[..., : rows * side, : columns * side]
    short = (rows * side - values.shape[-2], columns * side - values.shape[-1])
    values = jnp.pad(values, [(0, 0)] * (values.ndim - 2) + [(0, short[0]), (0, short[1])])
    return values.reshape(*values.shape[:-2], rows, side, columns, side).sum((-3, -1))


def _count_samples(shape: tuple[int, ...], step: int, h: int, w: int) -> npt.NDArray[np.float32]:
    """Returns how many of a map's samples, `step` pixels apart, lie in each tile; at least 1.

    By NumPy, since XLA takes seconds to fold sums of constants.
    """
    side = TILE // step
    down, across = (
        np.clip(n - side * np.arange(-(-size // TILE)), 1, side)
        for n, size in zip(shape, (h, w), strict=True)
    )
    return np.outer(down, across).astype(np.float32)


def _spread_blocks(
    blocks: Float[Array, "down across"], h: int, w: int, counts: tuple[float, float] | None = None
) -> Map:
    """Returns the blocks that tiles lie in, or the nearest ones.

    Args:
        counts: Of blocks down and across the picture, where the last ones are cut.
    """
    rows, columns = (
        jnp.minimum((jnp.arange(-(-n // TILE)) + 0.5) * TILE / n * count, most - 1).astype(int)
        for n, count, most in zip((h, w), counts or blocks.shape, blocks.shape, strict=True)
    )
    return blocks[rows][:, columns]
