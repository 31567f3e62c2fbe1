"""How far two backends' features, and the scores of one model over them, lie apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.ulp import ulp_distance

Columns = Mapping[str, npt.NDArray[np.float64]]

FEATURE_LIMIT = 2e-5  # no unit; what float32 sums in another order may differ by
MOTION_LIMIT = 2e-4  # relative to the greater motion, where FEATURE_LIMIT is passed
SCORE_LIMIT = 1e-3  # VMAF points


def differences(ours: Columns, theirs: Columns, *, ulp: bool = False) -> dict[str, dict[str, Any]]:
    """Per column: maximum and mean absolute difference, and the row of the maximum.

    Args:
        ulp: add the maximum distance in float32 ULP, which says something only where both sides
            were computed, and not read from a log of six decimals.
    """
    found = {}
    for name, values in ours.items():
        gap = np.abs(values - theirs[name])
        row = int(np.argmax(gap))
        entry: dict[str, Any] = {
            "max_abs": float(gap[row]),
            "mean_abs": float(gap.mean()),
            "row": row,
            "ours": float(values[row]),
            "theirs": float(theirs[name][row]),
        }
        if name.startswith("motion"):
            greater = np.maximum(np.abs(values), np.abs(theirs[name]))
            large = ~(gap <= FEATURE_LIMIT)  # motions near zero are held to that
            entry["max_relative"] = float((gap[large] / greater[large]).max(initial=0.0))
        if ulp:
            pair = (values.astype(np.float32), theirs[name].astype(np.float32))
            entry["max_ulp"] = int(ulp_distance(*pair).max())
        found[name] = entry
    return found


def beyond(ours: Columns, integer: Columns, floats: Columns) -> dict[str, float]:
    """By how much, per feature and at most, `ours` is farther from libvmaf's integer extractor than
    libvmaf's own float extractor is on the same frame."""
    return {
        name: float((np.abs(values - integer[name]) - np.abs(floats[name] - integer[name])).max())
        for name, values in ours.items()
    }


def missed(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What of two backends that should agree is over its limit, in words."""
    failures = []
    for name, entry in found.items():
        if name.startswith("motion"):
            value, limit = entry["max_relative"], MOTION_LIMIT
        else:
            value = entry["max_abs"]
            limit = SCORE_LIMIT if name == "score" else FEATURE_LIMIT
        if not value <= limit:  # NaN misses too
            failures.append(f"{name} differs by {value:.2e}, limit {limit:.0e}")
    return failures
