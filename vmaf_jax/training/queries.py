"""Feature vectors to ask the teacher about, drawn inside the training step.

Two regions. The span of the training rows: mixtures of two of them, reaching a little past both,
with jitter. And a physical box, the same for every fold and corpus, thinned to plausible
combinations: VIF grows with scale (coarser scales keep more of a picture), motion is mostly small,
and the corners that matter get rows of their own: identical pictures, no motion, heavy blur. Rows
outside the mask are never read, so nothing of a held-out source enters.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import FeatureSet

SPAN_SHARE = 0.4
_MIXTURE = (-0.2, 1.2)
# Up to here the 2^23 levels of a uniform float32 give every row its share within 0.1 %, and draws
# stay those that the shipped models were trained with; beyond, integers are drawn.
_FEW_ROWS = 1 << 13
_JITTER = 0.1  # of each feature's standard deviation over the training rows


def draw_rows(key: Array, mask: Float[Array, " n"], count: int) -> Array:
    """Draws `count` rows where `mask` is 1, each equally likely; returns their indices `[count]`.

    The k-th row of the mask is found in the mask's cumulative sum.
    """
    if len(mask) <= _FEW_ROWS:
        cumulative = jnp.cumsum(mask)
        drawn = jax.random.uniform(key, (count,)) * cumulative[-1]
    else:
        cumulative = jnp.cumsum(mask > 0, dtype=jnp.int32)
        drawn = jax.random.randint(key, (count,), 0, cumulative[-1])
    return jnp.searchsorted(cumulative, drawn, side="right")


def draw_queries(
    key: Array,
    features: Float[Array, "n d"],
    mask: Float[Array, " n"],
    inv_std: Float[Array, " d"],
    feature_set: FeatureSet,
    count: int,
) -> Float[Array, "q d"]:
    """`count` raw feature vectors; a share `SPAN_SHARE` from the rows' span, the rest from the box.

    Args:
        features: training rows; those where `mask` is 0 are not used.
        inv_std: reciprocal standard deviation of the masked rows.
    """
    span_key, box_key = jax.random.split(key)
    n_span = round(count * SPAN_SHARE)
    span = _draw_span(span_key, features, mask, inv_std, n_span)
    lower, upper = jnp.array(feature_set.lower), jnp.array(feature_set.upper)
    box = _draw_box(box_key, feature_set, count - n_span)
    return jnp.clip(jnp.concatenate([span, box]), lower, upper)


def _draw_span(
    key: Array,
    features: Float[Array, "n d"],
    mask: Float[Array, " n"],
    inv_std: Float[Array, " d"],
    count: int,
) -> Float[Array, "q d"]:
    first_key, second_key, mix_key, jitter_key = jax.random.split(key, 4)
    first = features[draw_rows(first_key, mask, count)]
    second = features[draw_rows(second_key, mask, count)]
    low, high = _MIXTURE
    share = jax.random.uniform(mix_key, (count, 1), minval=low, maxval=high)
    jitter = _JITTER * jax.random.normal(jitter_key, first.shape) / inv_std
    return share * first + (1 - share) * second + jitter


def _draw_box(key: Array, feature_set: FeatureSet, count: int) -> Float[Array, "q d"]:
    """Rows of the physical box; those of identical pictures lie near `feature_set.identical`."""
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
