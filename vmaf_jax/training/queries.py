"""Feature vectors to ask the teacher about.

Two regions. The span of the training rows: mixtures of two of them, reaching a little past both,
with jitter. And a physical box, the same for every fold and corpus, thinned to plausible
combinations: VIF grows with scale (coarser scales keep more of a picture), motion is mostly small,
and the corners that matter get rows of their own: identical pictures, no motion, heavy blur.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import FeatureSet

SPAN_SHARE = 0.4
_MIXTURE = (-0.2, 1.2)
_JITTER = 0.1  # of each feature's standard deviation over the training rows

DrawRows = Callable[[Array, int], Float[Array, "b d"]]  # training rows, from a key and a count


def draw_queries(
    key: Array,
    draw_rows: DrawRows,
    inv_std: Float[Array | np.ndarray, " d"],
    feature_set: FeatureSet,
    shape: tuple[int, int],
) -> Float[Array, "s b d"]:
    """Draws raw feature vectors: a share `SPAN_SHARE` from the rows' span, the rest from the box.

    Args:
        draw_rows: draws rows that training may see.
        inv_std: reciprocal standard deviation of those rows.
        shape: number of batches, and of vectors in each.
    """
    n_batches, size = shape
    n_span = round(size * SPAN_SHARE)
    span_key, box_key = jax.random.split(key)
    span = _draw_span(span_key, draw_rows, inv_std, n_batches * n_span)
    box = _draw_box(box_key, feature_set, n_batches * (size - n_span))
    parts = [part.reshape(n_batches, -1, len(feature_set)) for part in (span, box)]
    lower, upper = jnp.array(feature_set.lower), jnp.array(feature_set.upper)
    return jnp.clip(jnp.concatenate(parts, axis=1), lower, upper)


def _draw_span(
    key: Array, draw_rows: DrawRows, inv_std: Float[Array | np.ndarray, " d"], count: int
) -> Float[Array, "q d"]:
    first_key, second_key, mix_key, jitter_key = jax.random.split(key, 4)
    first, second = draw_rows(first_key, count), draw_rows(second_key, count)
    low, high = _MIXTURE
    share = jax.random.uniform(mix_key, (count, 1), minval=low, maxval=high)
    jitter = _JITTER * jax.random.normal(jitter_key, first.shape) / inv_std
    return share * first + (1 - share) * second + jitter


def _draw_box(key: Array, feature_set: FeatureSet, count: int) -> Float[Array, "q d"]:
    """Draws rows of the physical box; those of identical pictures lie near its `identical`."""
    ordered_key, free_key, motion_key, kind_key, near_key = jax.random.split(key, 5)
    kind = jax.random.uniform(kind_key, (count, 1))
    near = jnp.square(jax.random.uniform(near_key, (count, 1)))
    identical, blurred = kind < 0.1, (kind >= 0.1) & (kind < 0.2)
    still = (kind >= 0.05) & (kind < 0.25)
    single = set(feature_set.ordered) | set(feature_set.reference_only)
    free = [name for name in feature_set if name not in single]
    of_identical = dict(zip(feature_set, feature_set.identical, strict=True))

    def toward(values: Array, names: tuple[str, ...], reach: float) -> Array:
        ends = jnp.array([of_identical[name] for name in names])
        return jnp.where(identical, ends + reach * near * (values - ends), values)

    ordered = jax.random.uniform(ordered_key, (count, len(feature_set.ordered)))
    ordered = toward(jnp.sort(ordered, axis=1), feature_set.ordered, 0.1)
    ordered = jnp.where(blurred, 0.3 * ordered, ordered)
    drawn = toward(jax.random.uniform(free_key, (count, len(free))), tuple(free), 0.05)
    motion = jax.random.uniform(motion_key, (count, len(feature_set.reference_only)))
    motion = jnp.where(still, 0.0, jnp.square(motion))
    columns = dict(zip(feature_set.ordered, ordered.T, strict=True))
    columns |= dict(zip(free, drawn.T, strict=True))
    columns |= dict(zip(feature_set.reference_only, motion.T, strict=True))
    upper = dict(zip(feature_set, feature_set.upper, strict=True))
    return jnp.stack([columns[name] * upper[name] for name in feature_set], axis=1)
