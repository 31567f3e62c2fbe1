"""Folds as row masks, and statistics that see only unmasked rows."""

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from vmaf_jax.errors import InputError


def loso_masks(
    source: npt.NDArray[np.object_],
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Leave-one-source-out folds.

    Returns:
        The held-out source of each fold, sorted, and masks `[f, n]`, False on its rows.

    Raises:
        InputError: fewer than two sources: nothing could be held out.
    """
    sources = sorted(set(source.tolist()))
    if len(sources) < 2:
        raise InputError(
            f"the table has {len(sources)} source ({', '.join(sources)}); leaving one out needs at "
            f"least two, add clips of another."
        )
    return sources, np.stack([source != held_out for held_out in sources])


def masked_scaler(
    features: Float[Array, "n d"], mask: Float[Array, " n"]
) -> dict[str, Float[Array, " d"]]:
    """Mean and reciprocal standard deviation of the rows where `mask` is 1.

    Products, not sums: XLA adds up a fused sum in an order that depends on how many folds are
    mapped, and a fold is to come out the same bits alone and among others.
    """
    count = jnp.sum(mask)  # of ones, so exact in any order
    mean = jnp.dot(mask, features, precision="highest") / count
    variance = jnp.dot(mask, jnp.square(features - mean), precision="highest") / count
    # A feature that is constant over the rows tells nothing apart; scaling it up would make noise.
    constant = variance < 1e-8
    return {"mean": mean, "inv_std": jnp.where(constant, 1.0, 1.0 / jnp.sqrt(variance))}
