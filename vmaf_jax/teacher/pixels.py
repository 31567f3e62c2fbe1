"""VMAF as one differentiable function, from pixels to a teacher's score."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.features.frames import clip_features
from vmaf_jax.features.v1 import check_planes, v1_features
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
    """Computes `vmaf_jax.vmaf` of arrays that JAX can differentiate.

    Raises:
        TypeError, InputError: as `clip_features`, `v1_features` and `load_teacher` do.
    """
    feature_set = _teacher(model).feature_set
    if feature_set.planes == 1:
        limit = feature_set.gain_limit
        rows = clip_features(reference, distorted, bits=bits, gain_limit=limit)
    else:
        pair = check_planes(reference, distorted, bits, feature_set)
        more = max(feature_set.least_bits - bits, 0)
        if more:
            pair = jax.tree.map(lambda plane: _deepen(plane, more), pair)
        rows = v1_features(
            *pair,
            bits=bits + more,
            feature_set=feature_set,
            cambi_gradient=cambi_gradient,
        )
    return _scores(rows, model=model, clip=clip)


def _deepen(plane: Any, more: int) -> Any:
    """Returns samples on a scale of so many more bits."""
    library: Any = np if isinstance(plane, np.ndarray) else jnp
    if not library.issubdtype(plane.dtype, library.floating):
        plane = plane.astype(library.uint16)
    return plane * 2**more


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
