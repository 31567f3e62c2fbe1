"""VMAF as one differentiable function, from pixels to a teacher's score."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.clip import clip_features
from vmaf_jax.features.v1 import v1_features
from vmaf_jax.teacher.svr import svr_score, transform_score
from vmaf_jax.teacher.teacher import Teacher, load_teacher


def vmaf(
    reference: Any,
    distorted: Any,
    *,
    model: str = "vmaf_v0.6.1",
    bits: int = 8,
    clip: bool = True,
    cambi_gradient: str = "stopped",
) -> Float[Array, " t"]:
    """A VMAF model's score of each frame, VMAF points; jitted, and differentiable in the pictures.

    Features come from JAX, so scores lie within 1e-3 of libvmaf's with its float extractors, and of
    VMAF v1's models within 0.02 of libvmaf's.

    Args:
        reference, distorted: luma of consecutive frames of one clip, integers or floats on the
            scale of `bits` (0-255 for 8), at least 17 pixels high and wide; for the models of VMAF
            v1, planes (Y, U, V) of such frames, as `v1_features` takes them.
        model: as for `load_teacher`, e.g. `vmaf_v0.6.1neg`, whose gain limits go with it, or
            `vmaf_v1.0.16_3d0h`, whose viewing condition does.
        bits: 8, 10 or 12.
        clip: limit scores to the model's range; beyond it their gradient is then 0. False gives
            the score before that.
        cambi_gradient: `stopped` or `soft`, as for `v1_features`; of no meaning to other models.

    Raises:
        TypeError, InputError: as `clip_features`, `v1_features` and `load_teacher` do.
    """
    feature_set = _teacher(model).feature_set
    if feature_set.planes == 1:
        limit = feature_set.gain_limit
        rows = clip_features(reference, distorted, bits=bits, gain_limit=limit)
    else:
        rows = v1_features(
            reference,
            distorted,
            bits=bits,
            feature_set=feature_set,
            cambi_gradient=cambi_gradient,
        )
    return _scores(rows, model=model, clip=clip)


@functools.partial(jax.jit, static_argnames=("model", "clip"))
def _scores(rows: Float[Array, "t f"], *, model: str, clip: bool) -> Float[Array, " t"]:
    teacher = _teacher(model)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, rows.dtype), teacher.params())
    scores = svr_score(params, rows)
    if teacher.transform is not None:
        scores = transform_score(scores, teacher.transform)
    return jnp.clip(scores, *teacher.model.clip) if clip and teacher.model.clip else scores


@functools.lru_cache
def _teacher(model: str) -> Teacher:
    return load_teacher(model)
