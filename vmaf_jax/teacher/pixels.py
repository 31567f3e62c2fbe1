"""VMAF as one differentiable function, from pixels to a teacher's score."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from vmaf_jax.errors import InputError
from vmaf_jax.features.clip import clip_features
from vmaf_jax.features.samples import check_samples
from vmaf_jax.teacher.svr import svr_score, transform_score
from vmaf_jax.teacher.teacher import Teacher, load_teacher


def vmaf(
    reference: Any,
    distorted: Any,
    *,
    model: str = "vmaf_v0.6.1",
    bits: int = 8,
    clip: bool = True,
) -> Float[Array, " t"]:
    """A VMAF model's score of each frame, VMAF points; jitted, and differentiable in the pictures.

    Features come from JAX, so scores lie within 1e-3 of libvmaf's with its float extractors.

    Args:
        reference, distorted: luma of consecutive frames of one clip, integers or floats on the
            scale of `bits` (0-255 for 8), at least 17 pixels high and wide.
        model: as for `load_teacher`, e.g. `vmaf_v0.6.1neg`, whose gain limits go with it.
        bits: 8, 10 or 12.
        clip: limit scores to the model's range; beyond it their gradient is then 0. False gives
            the score before that.

    Raises:
        TypeError, InputError: as `clip_features` and `load_teacher` do.
    """
    check_samples(bits, reference=reference, distorted=distorted)
    if load_teacher(model).feature_set.planes > 1:
        raise InputError(f"model {model}: reads chroma, and pixels here are luma; use `score`.")
    return _vmaf(reference, distorted, model=model, bits=bits, clip=clip)


@functools.partial(jax.jit, static_argnames=("model", "bits", "clip"))
def _vmaf(
    reference: Shaped[Array, "..."],
    distorted: Shaped[Array, "..."],
    *,
    model: str,
    bits: int,
    clip: bool,
) -> Float[Array, " t"]:
    teacher = _teacher(model)
    rows = clip_features(reference, distorted, bits=bits, gain_limit=teacher.feature_set.gain_limit)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, rows.dtype), teacher.params())
    scores = svr_score(params, rows)
    if teacher.transform is not None:
        scores = transform_score(scores, teacher.transform)
    return jnp.clip(scores, *teacher.model.clip) if clip and teacher.model.clip else scores


@functools.lru_cache
def _teacher(model: str) -> Teacher:
    return load_teacher(model)
