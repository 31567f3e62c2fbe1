"""VMAF as one differentiable function, from pixels to a teacher's score."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from vmaf_jax.features.frames import (
    Clip,
    check_clip,
    checked_features,
    clip_motion2,
    frame_row,
    make_clip,
    nan_frames,
)
from vmaf_jax.features.v1 import (
    check_gradient,
    check_planes,
    checked_v1_features,
    clip_cambi,
    clip_motion3,
    settings_of,
    v1_frame_row,
)
from vmaf_jax.teacher.model_file import Teacher, load_teacher
from vmaf_jax.teacher.svr import precise_score, transform_score


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
    return _clip_scores(*_check(reference, distorted, _Scoring(model, bits, clip, cambi_gradient)))


def luma_scores_and_slopes(
    references: Sequence[Any], distorted: Sequence[Any], *, model: str, bits: int, clip: bool
) -> list[tuple[Float[Array, " t"], Float[Array, "t h w"]]]:
    """Computes `vmaf` of clips of luma, and the derivative of each score by its distorted picture.

    It is what `jax.vjp` of `vmaf` computes, without the time that JAX takes to trace a function.
    JAX returns before it has computed, so that the clips are computed side by side. A check waits
    for its result, and so all of them come first.

    Raises:
        TypeError, InputError: as `vmaf`; the model measures chroma.
    """
    scoring = _Scoring(model, bits, clip, "stopped")
    checked = [_check(x, y, scoring) for x, y in zip(references, distorted, strict=True)]
    found = [_slopes(Clip(*pair), scoring, (True,)) for *pair, scoring in checked]
    return [(scores, slopes) for scores, (slopes,) in found]


def _check(reference: Any, distorted: Any, scoring: "_Scoring") -> tuple[Any, Any, Any, "_Scoring"]:
    """Returns a clip that was checked, on the scale of bits on which it is scored."""
    feature_set, bits = _teacher(scoring.model).feature_set, scoring.bits
    if feature_set.planes == 1:
        return *check_clip(reference, distorted, bits, feature_set.gain_limit), scoring
    pair = check_planes(reference, distorted, bits, feature_set)
    check_gradient(scoring.cambi_gradient)
    more = max(feature_set.least_bits - bits, 0)
    checked = make_clip(*jax.tree.map(lambda plane: _deepen(plane, more), pair))
    return *checked, scoring._replace(bits=bits + more)


def _deepen(plane: Any, more: int) -> Any:
    """Returns samples on a scale of so many more bits."""
    if not more:
        return plane
    library: Any = np if isinstance(plane, np.ndarray) else jnp
    if not library.issubdtype(plane.dtype, library.floating):
        plane = plane.astype(library.uint16)
    return plane * 2**more


class _Scoring(NamedTuple):
    model: str
    bits: int
    clip: bool  # whether scores are limited to the model's range
    cambi_gradient: str


class _Features(NamedTuple):
    """The features of a model: of a clip; of a frame, given its motion and perhaps its CAMBI."""

    of_clip: Callable[[Clip], Array]
    of_frame: Callable[..., Array]
    motion: Callable[[Any], Array]  # looks at other frames


def _features(scoring: _Scoring) -> _Features:
    feature_set, bits = _teacher(scoring.model).feature_set, scoring.bits
    if feature_set.planes == 1:
        limit = feature_set.gain_limit
        return _Features(
            functools.partial(checked_features, bits=bits, gain_limit=limit),
            functools.partial(frame_row, bits=bits, gain_limit=limit),
            functools.partial(clip_motion2, bits=bits),
        )
    settings, soft = settings_of(feature_set), scoring.cambi_gradient
    return _Features(
        functools.partial(
            checked_v1_features, bits=bits, feature_set=feature_set, cambi_gradient=soft
        ),
        functools.partial(v1_frame_row, bits=bits, settings=settings, cambi_gradient=soft),
        lambda reference: clip_motion3(reference.y, bits, settings.motion),
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _clip_scores(reference: Any, distorted: Any, nan: Any, scoring: _Scoring) -> Float[Array, " t"]:
    """Computes the score of each frame.

    A frame's score depends on no other distorted frame, so its derivatives by `distorted` are a
    picture a frame, which is computed with the score: in one loop and one program, without saved
    maps.
    """
    rows = _features(scoring).of_clip(Clip(reference, distorted, nan))
    return _scores(rows, model=scoring.model, clip=scoring.clip)


def _scores_and_slopes(
    clip: Clip,
    cambi: Float[Array, " t"] | None,
    scoring: _Scoring,
    moving: tuple[bool, ...],
) -> tuple[Float[Array, " t"], list[Float[Array, "t h w"]]]:
    """Computes the score of each frame, and its derivatives by its distorted planes that move.

    Args:
        cambi: CAMBI of each frame, where the model has it and it is known.
    """
    features = _features(scoring)
    reference, planes = jax.tree.map(jnp.asarray, (clip.reference, jax.tree.leaves(clip.distorted)))

    def score(
        moved: list[Array], planes: list[Array], x: Any, given: tuple[Array, ...]
    ) -> Float[Array, ""]:
        rest = iter(moved)
        planes = [next(rest) if m else plane for m, plane in zip(moving, planes, strict=True)]
        y = jax.tree.unflatten(jax.tree.structure(clip.distorted), planes)
        row = features.of_frame(x, y, *given)
        return _scores(row[None], model=scoring.model, clip=scoring.clip)[0]

    moved = [plane for m, plane in zip(moving, planes, strict=True) if m]
    given = (features.motion(reference), *(() if cambi is None else (cambi,)))
    frames = (moved, planes, reference, given)
    scores, slopes = jax.lax.map(lambda frame: jax.value_and_grad(score)(*frame), frames)
    return jnp.where(nan_frames(clip), jnp.nan, scores), slopes


_slopes_inside = jax.jit(  # of a caller's program
    _scores_and_slopes, static_argnames=("scoring", "moving")
)
# LLVM's costliest passes took a third of the time to compile, and made no step faster. Neither did
# XLA's emitters of fusions by MLIR, and they took another third; but the loops of CAMBI are slow
# without them: a step takes three times as long. So CAMBI, which has no slope, is a program of its
# own, and its smooth form is compiled with them.
_QUICK = {"xla_llvm_disable_expensive_passes": True}
_slopes_by_old_emitters = jax.jit(
    _scores_and_slopes,
    static_argnames=("scoring", "moving"),
    compiler_options={**_QUICK, "xla_cpu_use_fusion_emitters": False},
)
_slopes_by_new_emitters = jax.jit(
    _scores_and_slopes, static_argnames=("scoring", "moving"), compiler_options=_QUICK
)


@functools.partial(jax.jit, static_argnames="scoring", compiler_options=_QUICK)
def _cambi(luma: Any, scoring: _Scoring) -> Float[Array, " t"]:
    settings = settings_of(_teacher(scoring.model).feature_set)
    return clip_cambi(jnp.asarray(luma), scoring.bits, settings.cambi)


def _slopes(
    clip: Clip, scoring: _Scoring, moving: tuple[bool, ...]
) -> tuple[Float[Array, " t"], list[Float[Array, "t h w"]]]:
    """Computes `_scores_and_slopes` by programs that compile in little time."""
    if _teacher(scoring.model).feature_set.planes == 1:
        return _slopes_by_old_emitters(clip, None, scoring, moving)
    soft = scoring.cambi_gradient == "soft"
    program = _slopes_by_new_emitters if soft else _slopes_by_old_emitters
    return program(clip, _cambi(clip.distorted.y, scoring), scoring, moving)


def _clip_scores_jvp(
    scoring: _Scoring, primals: tuple[Any, Any, Any], tangents: tuple[Any, Any, Any]
) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    """Returns scores and their change: by what moves in `distorted` alone, in one pass."""
    clip = Clip(*primals)
    by_reference, by_distorted = (jax.tree.leaves(tangent) for tangent in tangents[:2])
    if any(_moves(tangent) for tangent in by_reference):
        pair, by_pair = clip[:2], jax.tree.map(_fill, tangents[:2])
        return jax.jvp(lambda x, y: _clip_scores.fun(x, y, clip.nan, scoring), pair, by_pair)
    moving = tuple(map(_moves, by_distorted))
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(clip))
    if traced:
        scores, slopes = _slopes_inside(clip, None, scoring, moving)
    else:
        scores, slopes = _slopes(clip, scoring, moving)
    change = [
        _weigh(slope, by) for slope, by in zip(slopes, filter(_moves, by_distorted), strict=True)
    ]
    return scores, sum(change, jnp.zeros_like(scores))


_clip_scores.defjvp(_clip_scores_jvp, symbolic_zeros=True)


def _moves(tangent: Array | np.ndarray | SymbolicZero) -> bool:
    return not isinstance(tangent, SymbolicZero)


def _fill(tangent: Array | np.ndarray | SymbolicZero) -> Array | np.ndarray:
    if isinstance(tangent, SymbolicZero):
        return np.zeros(tangent.shape, tangent.dtype)
    return tangent


@jax.jit
def _weigh(
    slopes: Float[Array, "t h w"], change: Float[Array, "t h w"] | Float[np.ndarray, "t h w"]
) -> Float[Array, " t"]:
    return (slopes * change).sum((1, 2))


@functools.partial(jax.jit, static_argnames=("model", "clip"))
def _scores(rows: Float[Array, "t f"], *, model: str, clip: bool) -> Float[Array, " t"]:
    teacher = _teacher(model)
    scores = precise_score(teacher.params(), rows)
    if teacher.transform is not None:
        scores = transform_score(scores, teacher.transform)
    return jnp.clip(scores, *teacher.model.clip) if clip and teacher.model.clip else scores


@functools.lru_cache
def _teacher(model: str) -> Teacher:
    return load_teacher(model)
