"""Poolings: from the scores of a clip's frames to the score of the clip.

Each takes scores `[c, t]` in VMAF points, a mask of real frames `[c, t]` (1 on real frames, which
come first) and a level in percent, and gives `[c]`. Frames outside the mask never count.
All are differentiable in the scores (a percentile in the two frames that it lies between).
Sources: libvmaf's harmonic mean, `1 / mean(1 / (s + 1)) - 1`; Minkowski's mean of exponent 2;
NumPy's linear percentile; a kernel quantile estimator (Sheather and Marron, 1990) for the soft one.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

Scores = Float[Array, "c t"]
_EXPONENT = 2.0
_BANDWIDTH = 0.1  # of the soft percentile, in ranks from 0 to 1


def mean(scores: Scores, frames: Scores, _level: float) -> Float[Array, " c"]:
    """Arithmetic mean."""
    return jnp.sum(frames * scores, axis=1) / jnp.sum(frames, axis=1)


def harmonic_mean(scores: Scores, frames: Scores, level: float) -> Float[Array, " c"]:
    """libvmaf's harmonic mean; scores below 0 count as 0."""
    return 1.0 / mean(1.0 / (jnp.maximum(scores, 0.0) + 1.0), frames, level) - 1.0


def minkowski(scores: Scores, frames: Scores, level: float) -> Float[Array, " c"]:
    """Root of the mean square, which favours good frames; scores below 0 count as 0."""
    powers = jnp.maximum(scores, 1e-3) ** _EXPONENT  # at a mean of 0 the root has no slope
    return mean(powers, frames, level) ** (1.0 / _EXPONENT)


def percentile(scores: Scores, frames: Scores, level: float) -> Float[Array, " c"]:
    """The score below which `level` percent of the frames lie, linear between ranks."""
    ordered = _ordered(scores, frames)
    position = level / 100.0 * (jnp.sum(frames, axis=1) - 1.0)
    below = jnp.floor(position)
    share = position - below
    index = below.astype(jnp.int32)[:, None]
    above = jnp.ceil(position).astype(jnp.int32)[:, None]
    lower = jnp.take_along_axis(ordered, index, axis=1)[:, 0]
    upper = jnp.take_along_axis(ordered, above, axis=1)[:, 0]
    return (1.0 - share) * lower + share * upper


def soft_percentile(scores: Scores, frames: Scores, level: float) -> Float[Array, " c"]:
    """The mean of scores weighted by the distance of their rank (0 to 1) from `level` percent.

    Weights are a Gaussian's of width 0.1 in rank.
    """
    ordered = _ordered(scores, frames)
    count = jnp.sum(frames, axis=1, keepdims=True)
    rank = jnp.arange(scores.shape[1]) / jnp.maximum(count - 1.0, 1.0)
    weight = frames * jnp.exp(-0.5 * jnp.square((rank - level / 100.0) / _BANDWIDTH))
    return mean(jnp.where(frames > 0, ordered, 0.0), weight, level)


def _ordered(scores: Scores, frames: Scores) -> Scores:
    """Scores in ascending order; those outside the mask behind all others."""
    return jnp.sort(jnp.where(frames > 0, scores, jnp.inf), axis=1)


Pooling = Callable[[Scores, Scores, float], Float[Array, " c"]]

POOLINGS: dict[str, Pooling] = {
    "mean": mean,
    "harmonic_mean": harmonic_mean,
    "minkowski": minkowski,
    "percentile": percentile,
    "soft_percentile": soft_percentile,
}
