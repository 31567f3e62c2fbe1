"""Folds as row masks, and statistics that see only unmasked rows."""

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from vmaf_jax.models.sums import weighted_sum
from vmaf_jax.tables.categories import encode_sorted


def loso_masks(source: npt.NDArray[np.object_]) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Leave-one-source-out folds.

    Returns:
        The held-out source of each fold, sorted, and masks `[f, n]`, False on its rows.
    """
    sources = sorted(set(source.tolist()))
    return sources, np.stack([source != held_out for held_out in sources])


def source_folds(source: npt.NDArray[np.object_], n_folds: int) -> tuple[tuple[str, ...], ...]:
    """Whole sources dealt into folds of about as many rows each, always alike.

    The source with the most rows (of equal ones the first by name) goes to the fold that has the
    fewest so far, then the next.

    Args:
        n_folds: at most as many as there are sources, so that each fold holds one.

    Returns:
        The sources that each fold holds out, sorted.
    """
    names, number = encode_sorted(source)
    counts = np.bincount(number)
    folds: list[list[str]] = [[] for _ in range(n_folds)]
    n_rows = [0] * n_folds
    for k in np.argsort(-counts, kind="stable").tolist():
        fewest = n_rows.index(min(n_rows))
        folds[fewest].append(names[k])
        n_rows[fewest] += int(counts[k])
    return tuple(tuple(sorted(fold)) for fold in folds)


def source_masks(
    source: npt.NDArray[np.object_], folds: tuple[tuple[str, ...], ...]
) -> npt.NDArray[np.bool_]:
    """`[f, n]`, False on the rows of the sources that a fold holds out."""
    number = {name: k for k, fold in enumerate(folds) for name in fold}
    fold = np.array([number[name] for name in source.tolist()])
    return fold != np.arange(len(folds))[:, None]


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
