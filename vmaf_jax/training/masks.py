"""Folds as row masks, and statistics that see only unmasked rows."""

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from vmaf_jax.models.sums import weighted_sum


def loso_masks(source: npt.NDArray[np.object_]) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Leave-one-source-out folds.

    Returns:
        The held-out source of each fold, sorted, and masks `[f, n]`, False on its rows.
    """
    sources = sorted(set(source.tolist()))
    return sources, np.stack([source != held_out for held_out in sources])


def frame_scaler(
    features: Float[Array, "n t d"], mask: Float[Array, " n"], frames: Float[Array, "n t"]
) -> dict[str, Float[Array, " d"]]:
    """`masked_scaler` over the real frames of the clips where `mask` is 1."""
    rows = features.reshape(-1, features.shape[-1])
    return masked_scaler(rows, (mask[:, None] * frames).reshape(-1))


def masked_scaler(
    features: Float[Array, "n d"], mask: Float[Array, " n"]
) -> dict[str, Float[Array, " d"]]:
    """Mean and reciprocal standard deviation of the rows where `mask` is 1."""
    count = jnp.sum(mask)  # of ones, so exact in any order
    mean = weighted_sum(mask, features) / count
    variance = weighted_sum(mask, jnp.square(features - mean)) / count
    # A feature that is constant over the rows tells nothing apart; scaling it up would make noise.
    constant = variance < 1e-8
    return {"mean": mean, "inv_std": jnp.where(constant, 1.0, 1.0 / jnp.sqrt(variance))}
