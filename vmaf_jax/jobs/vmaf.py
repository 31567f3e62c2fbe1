"""`vmaf_jax.vmaf`: VMAF of arrays or files, computed in JAX."""

import os
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.teacher import load_teacher, pixels
from vmaf_jax.video.inputs import Video


def vmaf(
    reference: Any,
    distorted: Any,
    *,
    model: str = "vmaf_v0.6.1",
    bits: int = 8,
    clip: bool = True,
    cambi_gradient: str = "stopped",
) -> Float[Array, " t"]:
    """Computes a VMAF model's score of each frame, VMAF points; differentiable for arrays.

    Features come from JAX, so scores lie within 1e-3 of libvmaf's with its float extractors, and of
    VMAF v1's models within 0.02 of libvmaf's. Reverse mode differentiates in both pictures, forward
    mode (`jax.jvp`) in the distorted one; there are no second derivatives.

    Examples:
        >>> vmaf(luma, luma).shape
        (3,)
        >>> bool(vmaf(luma, luma // 2)[0] < vmaf(luma, luma)[0])
        True

    Args:
        reference, distorted: luma of consecutive frames of one clip, integers or floats on the
            scale of `bits` (0-255 for 8), at least 17 pixels high and wide; for the models of VMAF
            v1, planes (Y, U, V) of such frames, as `v1_features` takes them. Or files, both, which
            are decoded in chunks and have no gradient.
        model: as for `load_teacher`, e.g. `vmaf_v0.6.1neg`, whose gain limits go with it, or
            `vmaf_v1.0.16_3d0h`, whose viewing condition does.
        bits: of arrays: 8, 10 or 12.
        clip: limit scores to the model's range; beyond it their gradient is then 0. False gives
            the score before that.
        cambi_gradient: `stopped` or `soft`, as for `v1_features`; of no meaning to other models.

    Raises:
        TypeError, InputError: as `clip_features`, `v1_features`, `load_teacher` and, of files,
            `extract_pair` do.
    """
    if not all(isinstance(video, (str, os.PathLike, Video)) for video in (reference, distorted)):
        return pixels.vmaf(
            reference, distorted, model=model, bits=bits, clip=clip, cambi_gradient=cambi_gradient
        )
    teacher = load_teacher(model)
    table = extract_pair(
        reference, distorted, backend="jax", teachers=(), feature_set=teacher.feature_set
    )
    return jnp.asarray(teacher(table.features, clip=clip), jnp.float32)
