"""Features in JAX, from chunks of packed frames: which functions compute a feature set.

Frames come packed as a decoder writes them: the planes of a frame one after the other in a row of
samples.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float, Int, Shaped

from vmaf_jax.features import v1
from vmaf_jax.features.checks import MIN_SIZE
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.frames import chunk_features
from vmaf_jax.features.motion import motion2
from vmaf_jax.video.geometry import EncodedFormat

Features = npt.NDArray[np.float64]  # [frames, features]

BLOCK = 8  # frames that are computed side by side where one does not fill the device


class FrameShape(NamedTuple):
    """Heights and widths of a frame's planes; chroma is 0 by 0 where there is none."""

    height: int
    width: int
    chroma_height: int = 0
    chroma_width: int = 0

    @property
    def samples(self) -> int:
        """Number of samples of a frame, all planes together."""
        return self.height * self.width + 2 * self.chroma_height * self.chroma_width


class FeatureProgram(NamedTuple):
    """Functions that compute a feature set.

    Attributes:
        rows: from packed chunks to rows `[t, features]`, jitted; static `shape`, `bits`, `block`.
        finish: from a whole clip's rows to its features.
        too_small: why pictures of a shape cannot be measured, None where they can.
        n_before: how many frames of the reference before a chunk `rows` needs.
    """

    rows: Callable[..., jax.Array]
    finish: Callable[[Features], Features]
    too_small: Callable[[FrameShape], str | None]
    n_before: int


@functools.lru_cache  # so that each program is compiled once
def feature_program(feature_set: FeatureSet, encode: EncodedFormat | None = None) -> FeatureProgram:
    """Returns the program of a feature set.

    Args:
        encode: size and depth that pictures had before they were scaled, which v1's CAMBI reads.
    """
    jitted = functools.partial(jax.jit, static_argnames=("shape", "bits", "block"))
    if feature_set.planes == 1:
        luma_rows = functools.partial(_luma_rows, gain_limit=feature_set.gain_limit)
        return FeatureProgram(jitted(luma_rows), _motion_to_motion2, _too_small_for_adm, 1)
    settings = v1.settings_of(feature_set, encode)
    return FeatureProgram(
        jitted(functools.partial(_v1_rows, settings=settings)),
        functools.partial(v1.finish, feature_set=feature_set),
        lambda shape: v1.too_small(shape[:2], shape[2:], feature_set),
        settings.motion.apart,
    )


def frames_side_by_side(device: jax.Device, n_frames: int) -> int:
    """Returns how many frames of a chunk to compute at once: one on a CPU, whose cache it fills."""
    return 1 if device.platform == "cpu" else math.gcd(n_frames, BLOCK)


def _luma_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "1 s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    gain_limit: float,
    shape: FrameShape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    x, y, before = (x.reshape(-1, *shape[:2]) for x in (reference, distorted, previous))
    return chunk_features(
        x, y, before[0], starts, bits=bits, gain_limit=gain_limit, block=block, count=count
    )


def _v1_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "k s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    settings: v1.Settings,
    shape: FrameShape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    # `starts` is not needed: `motion3`, in `v1.finish`, sets the first frames of each clip.
    return v1.v1_chunk(
        unpack_planes(reference, shape),
        unpack_planes(distorted, shape),
        unpack_planes(previous, shape).y,
        bits=bits,
        settings=settings,
        block=block,
        count=count,
    )


def unpack_planes(packed: Shaped[Array, "t s"], shape: FrameShape) -> v1.Planes:
    """Returns the planes `[t, h, w]` of packed frames."""
    luma, chroma = shape.height * shape.width, shape.chroma_height * shape.chroma_width
    y, u, v = jnp.split(packed, [luma, luma + chroma], axis=1)
    u, v = (x.reshape(-1, *shape[2:]) for x in (u, v))
    return v1.Planes(y.reshape(-1, *shape[:2]), u, v)


def _motion_to_motion2(rows: Features) -> Features:
    """Replaces motion, the last column, by the smaller of a frame's motion and the next one's."""
    return np.concatenate([rows[:, :-1], motion2(rows[:, -1])[:, None]], axis=1)


def _too_small_for_adm(shape: FrameShape) -> str | None:
    if min(shape[:2]) >= MIN_SIZE:
        return None
    return (
        f"{shape.width}x{shape.height} is too small; ADM needs at least {MIN_SIZE} pixels each way."
    )
