"""The cheapest choice of one encode for each shot whose mean score reaches a target.

With b_ik the bytes and s_ik the mean score of shot i at setting k, and w_i its share of the frames,

    minimise sum_i b_ik(i)    subject to    sum_i w_i s_ik(i) >= target

For a price l of a point, each shot takes the k of the least b_ik - l w_i s_ik; the lowest l whose
choice reaches the target is found by bisection. What is left above the target is then spent by
exchanging one shot at a time.
Source: Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers" (1988).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_BISECTIONS = 60
_ROUNDING = 1e-9  # points kept, so that another order of sums still reaches the target


def allocate_settings(size: Floats, score: Floats, share: Floats, target: float) -> Ints | None:
    """Chooses a setting for each shot.

    Args:
        size: Bytes of each shot at each setting, `[n, k]`.
        score: Mean score of its frames, points, `[n, k]`.
        share: Of the frames, `[n]`; they sum to 1.
        target: Points, of the mean over all frames.

    Returns:
        The chosen settings' places, `[n]`; None where the best encodes of all shots miss the
        target. No single setting that reaches it takes fewer bytes.
    """
    gain = share[:, None] * score
    best = gain.argmax(axis=1)
    if _take(gain, best) < target:
        return None
    low, high = 0.0, 1.0
    while _take(gain, _priced(size, gain, high)) < target and np.isfinite(2 * high):
        high *= 2
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        if _take(gain, _priced(size, gain, price)) < target:
            low = price
        else:
            high = price
    starts = [best, _priced(size, gain, high)]
    starts += [np.full(len(size), k) for k in range(size.shape[1])]
    reached = [_spend(size, gain, s, target) for s in starts if _take(gain, s) >= target]
    return min(reached, key=lambda choice: _take(size, choice))


def _priced(size: Floats, gain: Floats, price: float) -> Ints:
    return np.asarray((size - price * gain).argmin(axis=1))


def _take(table: Floats, choice: Ints) -> float:
    return float(table[np.arange(len(table)), choice].sum())


def _spend(size: Floats, gain: Floats, choice: Ints, target: float) -> Ints:
    """Returns a choice from which no exchange of one shot saves bytes and keeps the target."""
    choice, rows = choice.copy(), np.arange(len(size))
    while True:
        saved = size[rows, choice][:, None] - size
        lost = gain[rows, choice][:, None] - gain
        slack = _take(gain, choice) - target - _ROUNDING
        saved = np.where(lost <= slack, saved, 0.0)
        shot, place = np.unravel_index(int(saved.argmax()), saved.shape)
        if saved[shot, place] <= 0:
            return choice
        choice[shot] = place
