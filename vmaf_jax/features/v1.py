"""VMAF v1's features of a clip, whole or chunk by chunk: CAMBI, SpEED of chroma, ADM3, motion3.

Pictures are planes Y, U and V. A frame's row depends on its own planes, and on the luma one or two
frames before it. motion3 looks one frame ahead and gives the first frame the second one's value, so
chunks give motion, and `finish` ends the clip.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int, Shaped

from vmaf_jax.environment import keep_programs_by_default
from vmaf_jax.errors import InputError
from vmaf_jax.features.adm import AdmSettings, frame_adm3
from vmaf_jax.features.cambi import MIN_SIZE as CAMBI_MIN_SIZE
from vmaf_jax.features.cambi import CambiSettings, frame_cambi, soft_cambi
from vmaf_jax.features.feature_set import MIN_SIZE, V1_FEATURES, FeatureSet
from vmaf_jax.features.frames import Clip, check_samples, make_clip, nan_frames, to_few_types
from vmaf_jax.features.motion import MotionSettings, frame_motion, motion3
from vmaf_jax.features.speed import BLOCK, DECIMATION, SpeedSettings, blocks_of, frame_speed

GRADIENTS = ("stopped", "soft")  # of CAMBI


class Planes(NamedTuple):
    """The planes of consecutive frames, each `[t, h, w]`; U and V are of one size."""

    y: Any
    u: Any
    v: Any


class Settings(NamedTuple):
    """The options of each feature that a feature set asks for."""

    cambi: CambiSettings
    speed: SpeedSettings
    adm: AdmSettings
    motion: MotionSettings


@functools.lru_cache
def settings_of(feature_set: FeatureSet, encode: tuple[int, int, int] | None = None) -> Settings:
    """Converts libvmaf's options of a set of VMAF v1 to settings.

    Args:
        encode: width, height and bits of the encode, where the pictures were scaled from it.
    """
    option: Any = feature_set.option
    return Settings(
        CambiSettings(
            dark=option("cambi_vis_lum_threshold"),
            speedup_from=option("cambi_high_res_speedup"),
            most=option("cambi_max_val"),
            encode=encode,
        ),
        SpeedSettings(
            prescale=option("speed_prescale"),
            noise=option("speed_sigma_nn"),
            noise_floor=option("speed_nn_floor"),
            most=option("speed_max_val"),
        ),
        AdmSettings(
            distance=option("adm_norm_view_dist"),
            lines=option("adm_ref_display_height"),
            dlm_weight=option("adm_dlm_weight"),
            noise_weight=option("adm_noise_weight"),
            least=option("adm_min_val"),
        ),
        MotionSettings(
            apart=2 if option("motion_five_frame_window") else 1,
            average=option("motion_moving_average"),
            most=option("motion_max_val"),
        ),
    )


def v1_features(
    reference: Any,
    distorted: Any,
    *,
    bits: int = 8,
    feature_set: FeatureSet = V1_FEATURES,
    cambi_gradient: str = "stopped",
) -> Float[Array, "t f"]:
    """Computes cambi, speed_chroma_uv, adm3 and motion3 of each frame of a whole clip.

    Jitted, and differentiable in all planes, with gradients that are finite everywhere. Compiled
    programs are kept in the user's cache, unless JAX is configured with another or none.

    Args:
        reference, distorted: planes (Y, U, V) of consecutive frames, `[t, h, w]` each, integers or
            floats on the scale of `bits`; U and V of one size, as in 4:2:0, 4:2:2 or 4:4:4.
        bits: 8, 10 or 12.
        feature_set: one of `V1_SETS`, which has the viewing condition.
        cambi_gradient: `stopped`, since CAMBI counts and has no slope, or `soft`: that of
            `soft_cambi`, while the value stays CAMBI's.

    Raises:
        TypeError: not arrays of numbers.
        InputError: the planes have no such shapes, are too small for the features, are on another
            scale than `bits` says, or a setting is unknown.
    """
    clip = make_clip(*check_planes(reference, distorted, bits, feature_set))
    check_gradient(cambi_gradient)
    return checked_v1_features(
        clip, bits=bits, feature_set=feature_set, cambi_gradient=cambi_gradient
    )


def check_gradient(cambi_gradient: str) -> None:
    """Raises InputError unless CAMBI has such a gradient."""
    if cambi_gradient not in GRADIENTS:
        raise InputError(f"cambi_gradient {cambi_gradient!r}: expected {' or '.join(GRADIENTS)}.")


@functools.partial(jax.jit, static_argnames=("bits", "feature_set", "cambi_gradient"))
def checked_v1_features(
    clip: Clip, *, bits: int, feature_set: FeatureSet, cambi_gradient: str
) -> Float[Array, "t f"]:
    """Computes `v1_features` of a clip that was checked."""
    settings, luma = settings_of(feature_set), clip.reference.y
    before = jnp.stack([luma[0]] * settings.motion.apart)
    rows = v1_chunk(
        clip.reference,
        clip.distorted,
        before,
        bits=bits,
        settings=settings,
        cambi_gradient=cambi_gradient,
    )
    rows = rows.at[:, -1].set(motion3(rows[:, -1], settings.motion))
    return jnp.where(nan_frames(clip)[:, None], jnp.nan, rows)


def clip_motion3(
    luma: Shaped[Array, "t h w"], bits: int, settings: MotionSettings
) -> Float[Array, " t"]:
    """Computes motion3 of each frame of a whole clip, 8-bit luma steps."""
    before = jnp.concatenate([luma[:1]] * settings.apart + [luma])[: len(luma)]

    def motion(frames: tuple[Array, Array]) -> Float[Array, ""]:
        frame, earlier = frames
        return frame_motion(_to_eight_bits(frame, bits), _to_eight_bits(earlier, bits))

    return motion3(jax.lax.map(motion, (luma, before)), settings)


def clip_cambi(
    luma: Shaped[Array, "t h w"], bits: int, settings: CambiSettings
) -> Float[Array, " t"]:
    """Computes CAMBI of each frame."""
    return jax.lax.map(lambda frame: frame_cambi(frame, bits, settings), luma)


def v1_chunk(
    reference: Planes,
    distorted: Planes,
    previous: Shaped[Array, "k h w"],
    *,
    bits: int,
    settings: Settings,
    block: int = 1,
    count: int | Int[Array, ""] | None = None,
    cambi_gradient: str = "stopped",
) -> Float[Array, "t f"]:
    """Computes `v1_features` with motion in place of motion3; each row from its frames alone.

    Args:
        previous: luma of the reference's frames before the chunk, as many as motion is apart.
        block: frames computed side by side, a divisor of `t`.
        count: frames that are wanted; rows behind them are 0.
    """
    t = len(reference.y)
    wanted = jnp.arange(t) < (t if count is None else count)
    before = jnp.concatenate([previous, reference.y])[:t]
    of_frame = functools.partial(
        _frame, bits=bits, settings=settings, cambi_gradient=cambi_gradient
    )
    none = jnp.zeros(len(V1_FEATURES), jnp.float32)

    def step(_: None, frames: tuple[Any, ...]) -> tuple[None, Array]:
        *operands, wanted = frames
        if block > 1:
            return None, jax.vmap(of_frame)(*operands)
        if count is None:
            return None, of_frame(*operands)
        return None, jax.lax.cond(wanted, of_frame, lambda *_: none, *operands)

    frames: Any = (reference, distorted, before, wanted)
    if block > 1:
        frames = jax.tree.map(lambda x: x.reshape(-1, block, *x.shape[1:]), frames)
    _, rows = jax.lax.scan(step, None, frames)
    return rows.reshape(t, -1)


def _frame(
    reference: Planes,
    distorted: Planes,
    before: Shaped[Array, "h w"],
    *,
    bits: int,
    settings: Settings,
    cambi_gradient: str,
) -> Float[Array, " f"]:
    motion = frame_motion(_to_eight_bits(reference.y, bits), _to_eight_bits(before, bits))
    return v1_frame_row(
        reference, distorted, motion, bits=bits, settings=settings, cambi_gradient=cambi_gradient
    )


def v1_frame_row(
    reference: Planes,
    distorted: Planes,
    motion: Float[Array, ""],
    cambi: Float[Array, ""] | None = None,
    *,
    bits: int,
    settings: Settings,
    cambi_gradient: str,
) -> Float[Array, " f"]:
    """Computes the features of a frame whose motion or motion3, and perhaps CAMBI, is known."""

    def chroma(planes: Planes) -> Float[Array, "2 h w"]:
        return jnp.stack([_to_eight_bits(planes.u, bits), _to_eight_bits(planes.v, bits)])

    x, y = _to_eight_bits(reference.y, bits), _to_eight_bits(distorted.y, bits)
    if cambi is None:
        cambi = frame_cambi(distorted.y, bits, settings.cambi)
    if cambi_gradient == "soft":
        soft = soft_cambi(distorted.y, bits, settings.cambi)
        cambi = cambi + (soft - jax.lax.stop_gradient(soft))
    speed = frame_speed(chroma(reference), chroma(distorted), settings.speed)
    (adm,) = frame_adm3(x, y, (settings.adm,))
    return jnp.stack([cambi.astype(adm.dtype), speed.astype(adm.dtype), adm, motion])


def _to_eight_bits(plane: Shaped[Array, "h w"], bits: int) -> Float[Array, "h w"]:
    return plane.astype(jnp.promote_types(plane.dtype, jnp.float32)) / 2 ** (bits - 8)


def finish(rows: npt.NDArray[np.float64], feature_set: FeatureSet) -> npt.NDArray[np.float64]:
    """Replaces motion by motion3 in a whole clip's rows of `v1_chunk`."""
    motion = motion3(rows[:, -1], settings_of(feature_set).motion)
    return np.concatenate([rows[:, :-1], motion[:, None]], axis=1)


def check_planes(
    reference: Any, distorted: Any, bits: int, feature_set: FeatureSet
) -> tuple[Planes, Planes]:
    """Returns the planes of both; raises as `v1_features`."""
    keep_programs_by_default()
    pair = []
    for name, planes in (("reference", reference), ("distorted", distorted)):
        if not isinstance(planes, (tuple, list)) or len(planes) != 3:
            kind = f"{len(planes)} planes" if isinstance(planes, (tuple, list)) else "an array"
            raise InputError(
                f"{name}: {feature_set.teacher} reads chroma; expected planes (Y, U, V), each "
                f"[frames, height, width], received {kind}."
            )
        check_samples(bits, **{f"{name} {k}": p for k, p in zip("YUV", planes, strict=True)})
        pair.append(Planes(*map(to_few_types, planes)))
    shapes = [tuple(plane.shape for plane in planes) for planes in pair]
    luma, *chroma = shapes[0]
    sound = all(len(shape) == 3 and shape[0] == luma[0] > 0 for shape in shapes[0])
    if shapes[0] != shapes[1] or not sound or chroma[0] != chroma[1]:
        raise InputError(
            f"reference and distorted have planes of {shapes[0]} and {shapes[1]}; expected the "
            f"same [frames, height, width] in both, U and V of one size."
        )
    if problem := too_small(luma[1:], chroma[0][1:], feature_set):
        raise InputError(problem)
    return pair[0], pair[1]


def too_small(
    luma: tuple[int, int], chroma: tuple[int, int], feature_set: FeatureSet
) -> str | None:
    """Returns why pictures of these heights and widths cannot be measured; None if they can."""
    (height, width), settings = luma, settings_of(feature_set)
    if max(height, width) < CAMBI_MIN_SIZE:
        return (
            f"pictures of {width}x{height} are too small for {feature_set.teacher}; CAMBI needs "
            f"{CAMBI_MIN_SIZE} pixels one way at least."
        )
    if not all(blocks_of(*chroma, settings.speed.prescale)) or min(luma) < MIN_SIZE:
        least = int(2 * DECIMATION * BLOCK / settings.speed.prescale)
        return (
            f"pictures of {width}x{height} are too small for {feature_set.teacher}; SpEED needs "
            f"{least} pixels each way at 4:2:0."
        )
    return None
