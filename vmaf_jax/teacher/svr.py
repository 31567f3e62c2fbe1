"""VMAF's nu-SVR as a pure JAX function of its features.

    z     = slope * x + intercept                                  (per feature)
    raw   = (sum_j coef_j exp(-gamma |z - sv_j|^2) - rho - b0) / s0
    score = clip(transform(raw)), transform(r) = p0 + p1 r + p2 r^2, then rectified

VMAF v1 takes a chroma that is exactly 0 for one that could not be measured (flat planes, pictures
that are too small), and puts `c (1 - adm3)` in its place.

Scores are in VMAF points. The function is differentiable, and takes the precision of its
parameters: float64 for scoring, float32 inside training.
Source: libvmaf, `predict.c` (normalise, correct, denormalise, transform, clip) and LIBSVM's RBF
kernel.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.teacher.model_file import Correction, ScoreTransform


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

    slope: Float[Array, " d"]
    intercept: Float[Array, " d"]
    support_vectors: Float[Array, "s d"]
    coefficients: Float[Array, " s"]
    gamma: Float[Array, ""]
    rho: Float[Array, ""]
    score_slope: Float[Array, ""]
    score_intercept: Float[Array, ""]
    correction: Correction | None = None


def svr_kernel(params: SvrParams, features: Float[Array, "*n d"]) -> Float[Array, "*n s"]:
    """How near raw features (no unit) are to each support vector, `exp(-gamma |z - sv|^2)`."""
    if params.correction is not None:
        features = corrected(params.correction, features)
    scaled = features * params.slope + params.intercept
    # Differences before squares: the expanded form loses four digits in float32.
    distance = jnp.square(scaled[..., 0, None] - params.support_vectors[:, 0])
    for k in range(1, features.shape[-1]):
        distance += jnp.square(scaled[..., k, None] - params.support_vectors[:, k])
    return jnp.exp(-params.gamma * distance)


def corrected(correction: Correction, features: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """Raw features with those that are exactly 0 replaced, where a model says so; no unit."""
    guide = (features * correction.guide).sum(-1, keepdims=True)
    missing = (features == 0) & (correction.at_one != 0)
    return jnp.where(missing, correction.at_one * (1 - guide), features)


def svr_score(params: SvrParams, features: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Unclipped, untransformed scores in VMAF points for raw features (no unit)."""
    # A product, not a fused sum, whose order would depend on how many folds are mapped.
    kernel = svr_kernel(params, features)
    return from_decision(params, jnp.dot(kernel, params.coefficients, precision="highest"))


def from_decision(params: SvrParams, decision: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The target's rescale undone: from `sum_j coef_j kernel_j` to VMAF points."""
    return (decision - params.rho - params.score_intercept) / params.score_slope


def transform_score(scores: Float[Array, " n"], transform: ScoreTransform) -> Float[Array, " n"]:
    """Scores after the polynomial and the rectifications, VMAF points."""
    out = scores
    if transform.polynomial is not None:
        p0, p1, p2 = transform.polynomial
        out = p0 + p1 * scores + p2 * jnp.square(scores)
    if transform.at_most_input:
        out = jnp.minimum(out, scores)
    if transform.at_least_input:
        out = jnp.maximum(out, scores)
    return out
