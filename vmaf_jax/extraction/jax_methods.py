"""How JAX computes each feature set from chunks of frames: by name of nothing but its planes.

Frames come packed, their planes one after the other in a row of samples, as a decoder writes them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float, Int, Shaped

from vmaf_jax.features import v1
from vmaf_jax.features.clip import chunk_features
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.scale import MIN_SIZE
from vmaf_jax.video.encode import Encode

Rows = npt.NDArray[np.float64]


class Shape(NamedTuple):
    """Heights and widths of a frame's planes; chroma is 0 by 0 where there is none."""

    height: int
    width: int
    chroma_height: int = 0
    chroma_width: int = 0

    @property
    def samples(self) -> int:
        """Of a frame, all planes."""
        return self.height * self.width + 2 * self.chroma_height * self.chroma_width


class Method(NamedTuple):
    """What an extraction needs of a feature set.

    Attributes:
        rows: from packed chunks to rows `[t, features]`, jitted; static `shape`, `bits`, `block`.
        finish: from a whole clip's rows to its features, both float64.
        too_small: why pictures of a shape cannot be measured, None where they can.
        before: how many frames of the reference before a chunk `rows` asks for.
    """

    rows: Callable[..., jax.Array]
    finish: Callable[[Rows], Rows]
    too_small: Callable[[Shape], str | None]
    before: int


@functools.lru_cache
def method_of(feature_set: FeatureSet, encode: Encode | None = None) -> Method:
    """The method of a feature set, for pictures that were scaled from an encode or are its own."""
    if feature_set.planes == 1:
        rows = functools.partial(_luma_rows, gain_limit=feature_set.gain_limit)
        return Method(_jitted(rows), _with_motion2, _too_small_for_luma, 1)
    settings = v1.settings_of(feature_set, encode)
    return Method(
        _jitted(functools.partial(_plane_rows, settings=settings)),
        functools.partial(v1.finish, feature_set=feature_set),
        lambda shape: v1.too_small(shape[:2], shape[2:], feature_set),
        settings.motion.apart,
    )


def _jitted(rows: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return jax.jit(rows, static_argnames=("shape", "bits", "block"))


def _luma_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "1 s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    gain_limit: float,
    shape: Shape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    x, y, before = (x.reshape(-1, *shape[:2]) for x in (reference, distorted, previous))
    return chunk_features(
        x, y, before[0], starts, bits=bits, gain_limit=gain_limit, block=block, count=count
    )


def _plane_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "k s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    settings: v1.Settings,
    shape: Shape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    return v1.v1_chunk(
        _planes(reference, shape),
        _planes(distorted, shape),
        _planes(previous, shape).y,
        bits=bits,
        settings=settings,
        block=block,
        count=count,
    )


def _planes(packed: Shaped[Array, "t s"], shape: Shape) -> v1.Planes:
    luma, chroma = shape.height * shape.width, shape.chroma_height * shape.chroma_width
    y, u, v = jnp.split(packed, [luma, luma + chroma], axis=1)
    u, v = (x.reshape(-1, *shape[2:]) for x in (u, v))
    return v1.Planes(y.reshape(-1, *shape[:2]), u, v)


def _with_motion2(rows: Rows) -> Rows:
    motion: Any = rows[:, -1]
    motion = np.minimum(motion, np.append(motion[1:], motion[-1]))
    return np.concatenate([rows[:, :-1], motion[:, None]], axis=1)


def _too_small_for_luma(shape: Shape) -> str | None:
    if min(shape[:2]) >= MIN_SIZE:
        return None
    return (
        f"{shape.width}x{shape.height} is too small; ADM needs at least {MIN_SIZE} pixels each way."
    )
