"""VMAF as one differentiable function, from pixels to a teacher's score."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero
from jaxtyping import Array, Float

from vmaf_jax.features.adm import frame_adm
from vmaf_jax.features.frames import (
    Clip,
    check_clip,
    checked_features,
    clip_motion2,
    nan_frames,
    to_eight_bits,
)
from vmaf_jax.features.v1 import check_planes, v1_features
from vmaf_jax.features.vif import frame_vif
from vmaf_jax.teacher.model_file import Teacher, load_teacher
from vmaf_jax.teacher.svr import svr_score, transform_score


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
        checked = check_clip(reference, distorted, bits, feature_set.gain_limit)
        return _clip_scores(*checked, _Scoring(model, bits, clip, feature_set.gain_limit))
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


class _Scoring(NamedTuple):
    model: str
    bits: int
    clip: bool  # whether scores are limited to the model's range
    gain_limit: float


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _clip_scores(
    reference: Array | np.ndarray, distorted: Array | np.ndarray, nan: Any, scoring: _Scoring
) -> Float[Array, " t"]:
    """Computes the score of each frame.

    A frame's score depends on no other distorted frame, so the gradient in `distorted` is a picture
    a frame, which is computed with the score: in one loop and one program, without saved maps.
    """
    clip = Clip(reference, distorted, nan)
    rows = checked_features(clip, bits=scoring.bits, gain_limit=scoring.gain_limit)
    return _scores(rows, model=scoring.model, clip=scoring.clip)


def _scores_and_slopes(
    clip: Clip, scoring: _Scoring
) -> tuple[Float[Array, " t"], Float[Array, "t h w"]]:
    """Computes the score of each frame, and its derivatives by the frame's distorted samples."""

    def score(y: Array, reference: Array, motion: Array) -> Float[Array, ""]:
        (x,), (y,) = to_eight_bits([reference], scoring.bits), to_eight_bits([y], scoring.bits)
        adm, vif = frame_adm(x, y, scoring.gain_limit), frame_vif(x, y, scoring.gain_limit)
        row = jnp.concatenate([adm[None], vif, motion[None]])
        return _scores(row[None], model=scoring.model, clip=scoring.clip)[0]

    reference, distorted = jnp.asarray(clip.reference), jnp.asarray(clip.distorted)
    motion = clip_motion2(reference, scoring.bits)
    scores, slopes = jax.lax.map(
        lambda frame: jax.value_and_grad(score)(*frame), (distorted, reference, motion)
    )
    return jnp.where(nan_frames(clip), jnp.nan, scores), slopes


_slopes_inside = jax.jit(_scores_and_slopes, static_argnames="scoring")  # of a caller's program
# LLVM's costliest passes took a third of the time to compile, and made no step faster.
_slopes_alone = jax.jit(
    _scores_and_slopes,
    static_argnames="scoring",
    compiler_options={"xla_llvm_disable_expensive_passes": True},
)


class _Saved(NamedTuple):
    slopes: Array | None  # of the scores by `distorted`
    pull: Callable[[Array], tuple[Array, Array]] | None  # where the reference has a gradient too


def _clip_scores_forward(
    reference: CustomVJPPrimal, distorted: CustomVJPPrimal, nan: Any, scoring: _Scoring
) -> tuple[Float[Array, " t"], _Saved]:
    nan = jax.tree.map(lambda known: known.value, nan)
    if not reference.perturbed:
        clip = Clip(reference.value, distorted.value, nan)
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(clip))
        scores, slopes = (_slopes_inside if traced else _slopes_alone)(clip, scoring)
        return scores, _Saved(slopes, None)

    def score(reference: Array, distorted: Array) -> Float[Array, " t"]:
        return _clip_scores.fun(reference, distorted, nan, scoring)

    scores, pull = jax.vjp(score, reference.value, distorted.value)
    return scores, _Saved(None, pull)


def _clip_scores_backward(
    scoring: _Scoring, saved: _Saved, gradient: Array | np.ndarray | SymbolicZero
) -> tuple[Array | None, Array | None, None]:
    if isinstance(gradient, SymbolicZero):
        return None, None, None
    by_score = jnp.asarray(gradient)
    if saved.pull is not None:
        return *saved.pull(by_score), None
    return None, _weigh(saved.slopes, by_score), None


@jax.jit
def _weigh(slopes: Float[Array, "t h w"], gradient: Float[Array, " t"]) -> Float[Array, "t h w"]:
    return slopes * gradient[:, None, None]


_clip_scores.defvjp(_clip_scores_forward, _clip_scores_backward, symbolic_zeros=True)


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
