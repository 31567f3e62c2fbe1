"""Folds as masks by source, and the statistics of the rows that a mask leaves in."""

import numpy as np
import numpy.typing as npt

from vmaf_jax.tables.table import encode_sorted

_BLOCK = 4096  # rows that are read together
# `mean` and `inv_std`, `[d]` each, or `[m, d]`; float32 where a training starts from a saved model.
Scaler = dict[str, npt.NDArray[np.floating]]


def source_folds(source: npt.NDArray[np.object_], n_folds: int) -> tuple[tuple[str, ...], ...]:
    """Deals whole sources into folds of about as many rows each, always alike.

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


def fold_masks(
    sources: list[str], folds: tuple[tuple[str, ...], ...] | None = None
) -> npt.NDArray[np.bool_]:
    """Returns masks `[folds, sources]`, False on the sources that a fold holds out.

    Args:
        folds: the sources that each holds out; None for one source each.
    """
    if folds is None:
        return ~np.eye(len(sources), dtype=bool)
    number = {name: k for k, fold in enumerate(folds) for name in fold}
    fold = np.array([number[name] for name in sources])
    return fold != np.arange(len(folds))[:, None]


def masked_scalers(
    features: npt.NDArray[np.floating],
    source: npt.NDArray[np.integer],
    trains: npt.NDArray[np.bool_],
) -> Scaler:
    """Computes the mean and reciprocal standard deviation `[m, d]` of the rows of some sources.

    One pass over the rows, in float64: count, mean and sum of squares by source, which are then
    joined (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983). Sums of
    a source are taken around its own first row, so that no other source enters them.

    Args:
        features: `[n, d]`, in memory or mapped.
        source: the number of each row's source, `[n]`.
        trains: the sources that each member reads, `[m, k]`.
    """
    n_sources, d = trains.shape[1], features.shape[1]
    count, first = np.zeros(n_sources), np.zeros((n_sources, d))
    total, squares = np.zeros((n_sources, d)), np.zeros((n_sources, d))
    for start in range(0, len(source), _BLOCK):
        x = np.asarray(features[start : start + _BLOCK], np.float64)
        number = source[start : start + _BLOCK]
        if (count[number] == 0).any():
            new, at = np.unique(number, return_index=True)
            unseen = count[new] == 0
            first[new[unseen]] = x[at[unseen]]
        x = x - first[number]
        count += np.bincount(number, minlength=n_sources)
        for k in range(d):
            total[:, k] += np.bincount(number, x[:, k], n_sources)
            squares[:, k] += np.bincount(number, np.square(x[:, k]), n_sources)
    held = np.maximum(count, 1)[:, None]
    mean = first + total / held
    squares = squares - np.square(total) / held  # around the source's own mean
    return _join(trains, count, mean, squares)


def _join(
    trains: npt.NDArray[np.bool_],
    count: npt.NDArray[np.float64],
    mean: npt.NDArray[np.float64],
    squares: npt.NDArray[np.float64],
) -> Scaler:
    """Joins the statistics of each source `[k, d]` to those of each member `[m, d]`."""
    means, inv_stds = [], []
    for own in trains:
        weight = count[own, None]
        together = np.sum(weight * mean[own], axis=0) / weight.sum()
        between = np.sum(weight * np.square(mean[own] - together), axis=0)
        variance = (np.sum(squares[own], axis=0) + between) / weight.sum()
        # A feature that is constant over the rows tells nothing apart; scaling it up would make
        # noise.
        constant = variance < 1e-8
        means.append(together)
        inv_stds.append(np.where(constant, 1.0, 1.0 / np.sqrt(np.where(constant, 1.0, variance))))
    return {"mean": np.stack(means), "inv_std": np.stack(inv_stds)}
