"""VMAF's nu-SVR as a pure function of its features, in JAX and over rows in NumPy.

    z     = slope * x + intercept                                  (per feature)
    raw   = (sum_j coef_j exp(-gamma |z - sv_j|^2) - rho - b0) / s0
    score = clip(transform(raw)), transform(r) = p0 + p1 r + p2 r^2, then knots, then rectified

VMAF v1 takes a chroma that is exactly 0 for one that could not be measured (flat planes, pictures
that are too small), and puts `c (1 - adm3)` in its place.

Scores are in VMAF points. The function is differentiable, and takes the precision of its
parameters: float64 for scoring, float32 inside training. Arrays say which library computes, by
`__array_namespace__`; nothing here loads JAX, which takes longer than scoring a clip's rows.
Source: libvmaf, `predict.c` (normalise, correct, denormalise, transform, clip) and LIBSVM's RBF
kernel.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_BLOCK = 1024  # rows, whose kernel stays in a processor's cache

Array = Any  # NumPy's or JAX's, of floats: a name of JAX's own, or of jaxtyping, is slow to load
Floats = npt.NDArray[np.float64]


class Correction(NamedTuple):
    """A substitute for a feature that is exactly 0: `at_one (1 - guide)`, no unit.

    Attributes:
        at_one: `[features]`, the factor; 0 for features that are taken as they are.
        guide: `[features]`, 1 for the feature that guides it, 0 for the others.
    """

    at_one: Array
    guide: Array


class ScoreTransform(NamedTuple):
    """A model's optional mapping of its scores, applied before the clip.

    Attributes:
        polynomial: p0, p1, p2; None leaves the score as it is.
        at_least_input, at_most_input: rectification against the score before the polynomial.
        knots: points (x, y) with rising x, applied after the polynomial: linear between them, and
            beyond them as the first and the last piece.
    """

    polynomial: tuple[float, float, float] | None
    at_least_input: bool = False
    at_most_input: bool = False
    knots: tuple[tuple[float, float], ...] | None = None


class SvrParams(NamedTuple):
    """A fitted model, in the order of its `FeatureSet`.

    Attributes:
        slope, intercept: `[features]`, the linear rescale of each feature.
        support_vectors: `[support, features]`, rescaled.
        coefficients: `[support]`.
        gamma, rho: scalars of the RBF nu-SVR.
        score_slope, score_intercept: scalars; the rescale of the target, undone at the end.
        correction: of features that could not be measured, or None.
    """

    slope: Array
    intercept: Array
    support_vectors: Array
    coefficients: Array
    gamma: Array
    rho: Array
    score_slope: Array
    score_intercept: Array
    correction: Correction | None = None


def svr_score(params: SvrParams, features: Array) -> Array:
    """Computes raw scores `[n]` in VMAF points, not clipped, of features `[n, d]`, in JAX."""
    import jax.numpy as jnp

    # A product, not a fused sum, whose order would depend on how many folds are mapped.
    kernel = svr_kernel(params, features)
    return rescale_decision(params, jnp.dot(kernel, params.coefficients, precision="highest"))


def precise_score(params: SvrParams, features: Array) -> Array:
    """Computes `svr_score` with a tenth of its rounding, which in float32 is up to 2e-3 points.

    Kernels are near 1 and coefficients cancel, so that what is below 1 is summed:
    `sum_j coef_j kernel_j = sum_j coef_j + sum_j coef_j (kernel_j - 1)`.

    Args:
        params: in float64, as `Teacher.params` gives them.
    """
    import jax
    import jax.numpy as jnp

    params = params._replace(rho=params.rho - params.coefficients.sum())
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, features.dtype), params)
    below_one = jnp.expm1(-params.gamma * _squared_distances(params, features))
    decision = jnp.dot(below_one, params.coefficients, precision="highest")
    return rescale_decision(params, decision)


def score_rows(params: SvrParams, features: Floats, transform: ScoreTransform | None) -> Floats:
    """Computes unclipped scores `[n]` in VMAF points of raw features `[n, d]`, in NumPy.

    Args:
        transform: the one in force.
    """
    decision = np.empty(len(features))
    for start in range(0, len(features), _BLOCK):
        rows = slice(start, start + _BLOCK)
        # A sum, not a product, whose order of sums would depend on how many rows there are.
        decision[rows] = (svr_kernel(params, features[rows]) * params.coefficients).sum(1)
    scores: Floats = rescale_decision(params, decision)
    return scores if transform is None else transform_score(scores, transform)


def svr_kernel(params: SvrParams, features: Array) -> Array:
    """Computes `exp(-gamma |z - sv|^2)` `[..., s]` of raw features `[..., d]`, no unit."""
    xp = features.__array_namespace__()
    return xp.exp(-params.gamma * _squared_distances(params, features))


def _squared_distances(params: SvrParams, features: Array) -> Array:
    xp = features.__array_namespace__()
    if params.correction is not None:
        features = correct_features(params.correction, features)
    scaled = features * params.slope + params.intercept
    # Differences before squares: the expanded form loses four digits in float32.
    distance = xp.square(scaled[..., 0, None] - params.support_vectors[:, 0])
    for k in range(1, features.shape[-1]):
        distance += xp.square(scaled[..., k, None] - params.support_vectors[:, k])
    return distance


def correct_features(correction: Correction, features: Array) -> Array:
    """Replaces features `[..., d]` that are exactly 0 where a model says so; no unit."""
    guide = (features * correction.guide).sum(-1, keepdims=True)
    missing = (features == 0) & (correction.at_one != 0)
    xp = features.__array_namespace__()
    return xp.where(missing, correction.at_one * (1 - guide), features)


def rescale_decision(params: SvrParams, decision: Array) -> Array:
    """Undoes the target's rescale: from `sum_j coef_j kernel_j` to VMAF points."""
    return (decision - params.rho - params.score_intercept) / params.score_slope


def transform_score(scores: Array, transform: ScoreTransform) -> Array:
    """Applies the polynomial, then the rectifications; VMAF points."""
    xp = scores.__array_namespace__()
    out = scores
    if transform.polynomial is not None:
        p0, p1, p2 = transform.polynomial
        out = p0 + p1 * scores + p2 * xp.square(scores)
    if transform.knots is not None:
        (first, slope), *others = bends(transform.knots)
        mapped = transform.knots[0][1] + slope * (out - first)
        for at, bend in others:
            mapped = mapped + bend * xp.maximum(out - at, 0)
        out = mapped
    if transform.at_most_input:
        out = xp.minimum(out, scores)
    if transform.at_least_input:
        out = xp.maximum(out, scores)
    return out


def bends(knots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns where pieces between knots begin, and by how much each is steeper than the last."""
    pairs = list(itertools.pairwise(knots))
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs]
    changes = np.diff(slopes, prepend=0.0).tolist()
    return [(x, change) for ((x, _), _), change in zip(pairs, changes, strict=True)]
