"""All six features of a clip, whole or chunk by chunk.

A frame's values depend on the frame and the one before it alone, and are computed one frame at a
time on a CPU: the picture's arrays then stay in the cache, and no value depends on the chunk's
length. motion2 looks one frame ahead, so chunks give motion, and `motion2` ends the clip.

Samples are checked first: values that no decoder gives (floats on 0-1, 10-bit samples said to be 8)
would give a score all the same, and a wrong one.
"""

import functools
from typing import Any, NamedTuple

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
from vmaf_jax.features.vif import frame_vif

_SLACK = 1.0  # steps beyond the range, which filters and optimisers overshoot by


class Clip(NamedTuple):
    """A pair of clips that can be measured.

    Attributes:
        reference, distorted: Luma `[t, h, w]`, or planes of it, of types of `to_few_types`.
        nan: Which frames of each plane of both hold a NaN, where that is known before the program.
    """

    reference: Any
    distorted: Any
    nan: tuple[Bool[Array | np.ndarray, " t"] | None, ...]


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


def check_samples(bits: int, **pictures: Any) -> None:
    """Checks type and range of each of `pictures`; of traced ones, the type alone.

    Raises:
        TypeError: not an array of integers or floats; names the argument.
        InputError: values outside the range of `bits`, or on 0-1; integers of another depth.
    """
    for name, picture in pictures.items():
        if not hasattr(picture, "dtype") or not hasattr(picture, "shape"):
            raise TypeError(f"{name}: expected an array, received {type(picture).__name__}")
        is_float = jnp.issubdtype(picture.dtype, jnp.floating)
        if not is_float and not jnp.issubdtype(picture.dtype, jnp.integer):
            raise TypeError(f"{name}: expected integers or floats, received {picture.dtype}")
        if bits not in (8, 10, 12):
            raise InputError(f"bits {bits}: expected 8, 10 or 12.")
        said = {1: bits == 8, 2: bits > 8 or picture.dtype != jnp.uint16}  # by bytes a sample
        if not is_float and not said.get(picture.dtype.itemsize, True):
            raise InputError(
                f"{name}: {picture.dtype} samples with bits={bits}; pass the bits they have."
            )
        if not isinstance(picture, jax.core.Tracer) and picture.size:
            with jax.ensure_compile_time_eval():  # a known picture inside somebody's jit
                _check_range(name, picture, bits, is_float=is_float)


def to_few_types(picture: Shaped[Array | np.ndarray, "..."]) -> Shaped[Array | np.ndarray, "..."]:
    """Converts samples to one of few types, since a program is compiled for each.

    `uint8` and `uint16`, the decoders' own, stay; other integers become `int32`, half precision
    `float32`.
    """
    if jnp.issubdtype(picture.dtype, jnp.floating):
        kind = jnp.promote_types(picture.dtype, jnp.float32)
    else:
        kind = picture.dtype if picture.dtype in (jnp.uint8, jnp.uint16) else jnp.int32
    return picture if picture.dtype == kind else picture.astype(kind)


def make_clip(reference: Any, distorted: Any) -> Clip:
    """Returns a clip of pictures, or of tuples of planes, that were checked."""
    planes = jax.tree.leaves((reference, distorted))
    return Clip(reference, distorted, tuple(find_nan_frames(plane, *planes) for plane in planes))


def nan_frames(clip: Clip) -> Bool[Array, " t"]:
    """Returns which frames hold a NaN in any plane: the features' limits would hide it."""
    planes = jax.tree.leaves(clip[:2])
    found = jnp.zeros(len(planes[0]), bool)
    for plane, known in zip(planes, clip.nan, strict=True):
        if jnp.issubdtype(plane.dtype, jnp.floating):
            found |= jnp.isnan(plane).any((1, 2)) if known is None else known
    return found


def find_nan_frames(picture: Any, *others: Any) -> Any:
    """Returns which frames of floats `[t, h, w]` hold a NaN, where that is known; else None.

    A known picture of a program that is traced for `others` is a constant of it. XLA would look
    for its NaN while it compiles, slowly and with a warning.
    """
    if not jnp.issubdtype(picture.dtype, jnp.floating) or isinstance(picture, jax.core.Tracer):
        return None
    if not any(isinstance(other, jax.core.Tracer) for other in others):
        return None
    return np.isnan(np.asarray(picture)).any((1, 2))


def _check_range(name: str, picture: Any, bits: int, *, is_float: bool) -> None:
    on_cpu = isinstance(picture, jax.Array) and {d.platform for d in picture.devices()} == {"cpu"}
    if on_cpu and picture.dtype != jnp.bfloat16:  # in which NumPy would warn of a NaN
        picture = np.asarray(picture)  # not copied, and searched sooner than by JAX
    library: Any = np if isinstance(picture, np.ndarray) else jnp
    low, high = float(library.min(picture)), float(library.max(picture))
    if np.isnan(low):  # scores of those frames are NaN; the others must be possible
        low, high = float(library.nanmin(picture)), float(library.nanmax(picture))
    most = 2**bits - 1
    if low < -_SLACK or high > most + _SLACK:
        raise InputError(
            f"{name}: values from {low:g} to {high:g}, expected 0 to {most} with bits={bits}."
        )
    if is_float and 0 < high <= 1 and not bool(library.isin(picture, np.array([0, 1])).all()):
        raise InputError(
            f"{name}: values from {low:g} to {high:g} look like a scale of 0-1; multiply by {most}."
        )
