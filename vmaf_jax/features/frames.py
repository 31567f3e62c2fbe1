"""All six features of a clip, whole or chunk by chunk.

A frame's values depend on the frame and the one before it alone, and are computed one frame at a
time on a CPU: the picture's arrays then stay in the cache, and no value depends on the chunk's
length. motion2 looks one frame ahead, so chunks give motion, and `motion2` ends the clip.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from vmaf_jax.environment import keep_programs_by_default
from vmaf_jax.errors import InputError
from vmaf_jax.features.adm import frame_adm
from vmaf_jax.features.feature_set import FEATURES, MIN_SIZE
from vmaf_jax.features.filters import unstack
from vmaf_jax.features.motion import frame_motion, motion2
from vmaf_jax.features.samples import Clip, check_samples, make_clip, nan_frames, to_few_types
from vmaf_jax.features.vif import frame_vif


def clip_features(
    reference: Any,
    distorted: Any,
    *,
    bits: int = 8,
    gain_limit: float = FEATURES.gain_limit,
) -> Float[Array, "t f"]:
    """Computes adm2, vif_scale0 to vif_scale3 and motion2 of each frame of a whole clip.

    Jitted, and differentiable in both pictures, with gradients that are finite everywhere. Frames
    that hold a NaN give NaN; half precision is computed in float32. Compiled programs are kept in
    the user's cache, unless JAX is configured with another or none.

    Args:
        reference, distorted: luma of consecutive frames `[t, h, w]`, integers or floats on the
            scale of `bits` (0-255 for 8, 0-1023 for 10), at least 17 pixels high and wide.
        bits: 8, 10 or 12.
        gain_limit: the largest contrast gain that VIF and ADM count, at least 1 (1 in the NEG
            models, which is to say none). A Python number.

    Raises:
        TypeError: not arrays of numbers.
        InputError: the pictures have no such shape, are on another scale than `bits` says, or
            `bits` or `gain_limit` are out of range.
    """
    clip = check_clip(reference, distorted, bits, gain_limit)
    return checked_features(clip, bits=bits, gain_limit=gain_limit)


def check_clip(reference: Any, distorted: Any, bits: int, gain_limit: float) -> Clip:
    """Checks the arguments of `clip_features`, whose errors it raises."""
    keep_programs_by_default()
    check_samples(bits, reference=reference, distorted=distorted)
    check_luma(reference, distorted, bits, gain_limit)
    return make_clip(to_few_types(reference), to_few_types(distorted))


@functools.partial(jax.jit, static_argnames=("bits", "gain_limit"))
def checked_features(clip: Clip, *, bits: int, gain_limit: float) -> Float[Array, "t f"]:
    """Computes `clip_features` of a clip that was checked."""
    x, y = jnp.asarray(clip.reference), jnp.asarray(clip.distorted)
    starts = jnp.arange(len(x)) == 0
    rows = chunk_features(x, y, x[0], starts, bits=bits, gain_limit=gain_limit)
    rows = rows.at[:, -1].set(motion2(rows[:, -1]))
    return jnp.where(nan_frames(clip)[:, None], jnp.nan, rows)


def clip_motion2(reference: Shaped[Array, "t h w"], bits: int) -> Float[Array, " t"]:
    """Computes motion2 of each frame of a whole clip, 8-bit luma steps."""

    def step(last: Array, frame: Array) -> tuple[Array, Array]:
        x, before = to_eight_bits([frame, last], bits)
        return frame, frame_motion(x, before)

    return motion2(jax.lax.scan(step, reference[0], reference)[1])


def frame_row(
    reference: Shaped[Array, "h w"],
    distorted: Shaped[Array, "h w"],
    motion: Float[Array, ""],
    *,
    bits: int,
    gain_limit: float,
) -> Float[Array, " f"]:
    """Computes the features of a frame whose motion2 is known."""
    (x,), (y,) = to_eight_bits([reference], bits), to_eight_bits([distorted], bits)
    adm, vif = frame_adm(x, y, gain_limit), frame_vif(x, y, gain_limit)
    return jnp.concatenate([adm[None], vif, motion[None]])


def chunk_features(
    reference: Shaped[Array, "t h w"],
    distorted: Shaped[Array, "t h w"],
    previous: Shaped[Array, "h w"],
    starts: Bool[Array, " t"],
    *,
    bits: int = 8,
    gain_limit: float = FEATURES.gain_limit,
    block: int = 1,
    count: int | Int[Array, ""] | None = None,
) -> Float[Array, "t f"]:
    """Computes `clip_features` with motion in place of motion2; each row from its frames alone.

    Args:
        previous: the reference's frame before the chunk.
        starts: where a clip begins, whose first frame has motion 0.
        block: frames computed side by side, a divisor of `t`; more than one only helps devices
            that a single frame does not fill.
        count: frames that are wanted; rows behind them are 0. None wants all.
    """

    def frame_features(
        reference: Array, distorted: Array, before: Array, start: Array
    ) -> Float[Array, " f"]:
        x, y, x_before = to_eight_bits([reference, distorted, before], bits)
        motion = jnp.where(start, 0, frame_motion(x, x_before))
        adm, vif = frame_adm(x, y, gain_limit), frame_vif(x, y, gain_limit)
        return jnp.concatenate([adm[None], vif, motion[None]])

    t = len(reference)
    wanted = jnp.arange(t) < (t if count is None else count)

    def step(last: Array, frames: tuple[Array, ...]) -> tuple[Array, Array]:
        reference, distorted, starts, wanted = frames
        if block > 1:
            before = jnp.concatenate([last[None], reference[:-1]])
            return reference[-1], jax.vmap(frame_features)(reference, distorted, before, starts)
        operands = (reference, distorted, last, starts)
        if count is None:
            return reference, frame_features(*operands)
        none = jnp.zeros(len(FEATURES), jnp.float32)
        return reference, jax.lax.cond(wanted, frame_features, lambda *_: none, *operands)

    frames: tuple[Array, ...] = (reference, distorted, starts, wanted)
    if block > 1:
        frames = tuple(x.reshape(-1, block, *x.shape[1:]) for x in frames)
    _, rows = jax.lax.scan(step, previous, frames)
    return rows.reshape(t, len(FEATURES))


def to_eight_bits(pictures: list[Shaped[Array, "h w"]], bits: int) -> list[Float[Array, "h w"]]:
    """Returns pictures as floats on the 8-bit scale."""
    if all(jnp.issubdtype(picture.dtype, jnp.floating) for picture in pictures):
        wide = [p.astype(jnp.promote_types(p.dtype, jnp.float32)) for p in pictures]
        return [picture / 2 ** (bits - 8) for picture in wide]

    def convert(picture: Shaped[Array, "h w"]) -> Float[Array, "h w"]:
        return picture.astype(jnp.float32) / 2 ** (bits - 8)

    # In a loop of its own: XLA would see that values from integers cannot be NaN, and remove the
    # comparison in `rounded`.
    return unstack(jax.lax.map(convert, jnp.stack(pictures)))


def check_luma(
    reference: Shaped[Array | np.ndarray, "..."],
    distorted: Shaped[Array | np.ndarray, "..."],
    bits: int,
    gain_limit: float,
) -> None:
    """Raises InputError unless luma of these shapes and settings can be measured."""
    if reference.shape != distorted.shape or reference.ndim != 3 or not len(reference):
        raise InputError(
            f"reference and distorted have shapes {reference.shape} and {distorted.shape}; "
            f"expected luma of the same [frames, height, width]."
        )
    if min(reference.shape[1:]) < MIN_SIZE:
        height, width = reference.shape[1:]
        raise InputError(
            f"pictures of {width}x{height} are too small; ADM needs at least {MIN_SIZE} pixels "
            f"each way."
        )
    if bits not in (8, 10, 12):
        raise InputError(f"bits {bits}: expected 8, 10 or 12.")
    if not gain_limit >= 1:
        raise InputError(f"gain_limit {gain_limit}: expected at least 1.")
