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
_JITTER = 0.1  # of each feature's standard deviation over the training rows


def draw_rows(key: Array, mask: Float[Array, " n"], count: int) -> Array:
    """Indices `[count]` of rows where `mask` is 1, uniform, by inverting its cumulative sum."""
    cumulative = jnp.cumsum(mask)
    drawn = jax.random.uniform(key, (count,)) * cumulative[-1]
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
    vif_key, adm_key, motion_key, kind_key, near_key = jax.random.split(key, 5)
    upper = dict(zip(feature_set, feature_set.upper, strict=True))
    kind = jax.random.uniform(kind_key, (count,))
    near = jnp.square(jax.random.uniform(near_key, (count,)))
    identical, blurred = kind < 0.1, (kind >= 0.1) & (kind < 0.2)
    still = (kind >= 0.05) & (kind < 0.25)
    vif = jnp.sort(jax.random.uniform(vif_key, (count, 4)), axis=1)
    vif = jnp.where(identical[:, None], 1 - 0.1 * near[:, None] * (1 - vif), vif)
    vif = jnp.where(blurred[:, None], 0.3 * vif, vif)
    adm = jax.random.uniform(adm_key, (count,))
    adm = jnp.where(identical, 1 - 0.05 * near * (1 - adm), adm)
    motion = jnp.square(jax.random.uniform(motion_key, (count,)))
    motion = jnp.where(still, 0.0, motion)
    columns = {"adm2": adm, "motion2": motion} | {f"vif_scale{k}": vif[:, k] for k in range(4)}
    return jnp.stack([columns[name] * upper[name] for name in feature_set], axis=1)
