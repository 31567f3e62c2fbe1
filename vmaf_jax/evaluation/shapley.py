"""Shapley values: how much each feature of a row adds to a model's value, exactly."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_ROWS = 4096  # of one call of the model, over all coalitions


def shapley_values(value: Callable[[Floats], Floats], rows: Floats, baseline: Floats) -> Floats:
    """Computes the Shapley value of each feature for the step from `baseline` to `rows`.

    `phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! * (v(S and i) - v(S))`, where `v(S)`
    is the value of a row whose features in S are its own and whose others are the baseline's. The
    values of a row add up to `value(rows) - value(baseline)`; a feature that is the baseline's
    everywhere has 0. The model scores each of the `2^d` coalitions.

    Args:
        value: from features `[n, d]` to values `[n]`.
        rows, baseline: features `[n, d]`.

    Returns:
        `[n, d]`, in the unit of `value`.

    Source: Shapley, "A value for n-person games", 1953.
    """
    n, d = rows.shape
    players = np.flatnonzero((rows != baseline).any(axis=0))
    k = len(players)
    shares = np.zeros((n, d))
    if not k:
        return shares
    inside = (np.arange(2**k)[:, None] >> np.arange(k)) & 1 == 1
    coalitions = np.zeros((2**k, d), bool)
    coalitions[:, players] = inside
    sizes = inside.sum(axis=1)
    joins = [math.factorial(s - 1) * math.factorial(k - s) if s else 0 for s in sizes]
    stays = [math.factorial(s) * math.factorial(k - s - 1) if s < k else 0 for s in sizes]
    weights = np.where(inside.T, joins, -np.array(stays, np.float64)) / math.factorial(k)
    step = max(1, _ROWS // 2**k)
    for first in range(0, n, step):
        part = slice(first, first + step)
        mixed = np.where(coalitions[:, None], rows[part], baseline[part])
        values = value(mixed.reshape(-1, d)).reshape(2**k, -1)
        shares[part, players] = (weights @ values).T
    return shares
