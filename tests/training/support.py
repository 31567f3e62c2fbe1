"""Members without their final fits, and comparisons of trained bits."""

import jax
import numpy as np

from vmaf_jax.training import cross_validation, masked_scalers


def members_of(rows, masks, seeds=(0,), temperatures=(1.0,), **more):
    """The folds of every seed and temperature."""
    trains = np.concatenate([masks, np.ones_like(masks[:1])])
    features, source = np.asarray(rows.features), np.asarray(rows.source)
    if features.ndim == 3:
        source = np.repeat(source, features.shape[1])
        features = features.reshape(-1, features.shape[-1])
    scalers = masked_scalers(features, source, trains)
    members = cross_validation(masks, scalers, seeds, temperatures, **more)
    return jax.tree.map(lambda leaf: leaf[: -len(temperatures)], members)


def same(a, b):
    """Whether two trees have the same bits."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


class StoppedError(Exception):
    """The training ends after a state was saved."""


class MemorySaver:
    """Keeps the newest state in memory; stops the training once, after `at` states."""

    def __init__(self, at=-1):
        self.state, self.steps, self.left = None, [], at

    def restore(self, like):
        if self.state is None:
            return None
        assert [leaf.shape for leaf in self.state] == [leaf.shape for leaf in like]
        return [leaf.copy() for leaf in self.state]

    def due(self):
        return True

    def save(self, state, step):
        self.state, self.left = [np.array(leaf) for leaf in state], self.left - 1
        self.steps.append(step)
        if self.left == 0:
            raise StoppedError
