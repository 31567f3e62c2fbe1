"""How far two backends' features, and the scores of one model over them, lie apart."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.ulp import ulp_distance

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Floats]

FEATURE_LIMIT = 2e-5  # no unit; what float32 sums in another order may differ by
MOTION_LIMIT = 2e-4  # relative to the greater motion, where FEATURE_LIMIT is passed
SCORE_LIMIT = 1e-3  # VMAF points
SPEED_LIMIT = 1e-4  # relative, of SpEED, where FEATURE_LIMIT is passed
OFFICIAL_SCORE_LIMIT = 0.02  # VMAF points, against libvmaf's integer features
_RELATIVE = {"motion2": MOTION_LIMIT, "speed": SPEED_LIMIT}
_LIMITS = {"adm3": 5e-5, "cambi": 1e-5, "motion3": 5e-4}  # of what only integer extractors measure


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far one column of two backends lies apart.

    Attributes:
        max_abs, mean_abs: absolute differences, in the column's unit.
        row: of the maximum; `ours` and `theirs` are the values there.
        max_relative: of motion2 and SpEED, where it exceeds `FEATURE_LIMIT`; 0 elsewhere.
        max_ulp: distance in float32 ULP; None where a side was read from a log of six decimals.
    """

    max_abs: float
    mean_abs: float
    row: int
    ours: float
    theirs: float
    max_relative: float = 0.0
    max_ulp: int | None = None


def differences(ours: Columns, theirs: Columns, *, ulp: bool = False) -> dict[str, Difference]:
    """Per column, how far two backends lie apart.

    Args:
        ulp: add ULP distances, which say something only where both sides were computed.
    """
    return {name: _difference(name, values, theirs[name], ulp) for name, values in ours.items()}


def _difference(name: str, ours: Floats, theirs: Floats, ulp: bool) -> Difference:
    gap = np.abs(ours - theirs)
    row = int(np.argmax(gap))
    max_relative = 0.0
    if name.startswith(tuple(_RELATIVE)):
        greater = np.maximum(np.abs(ours), np.abs(theirs))
        large = ~(gap <= FEATURE_LIMIT)  # values near zero are held to that
        max_relative = float((gap[large] / greater[large]).max(initial=0.0))
    return Difference(
        max_abs=float(gap[row]),
        mean_abs=float(gap.mean()),
        row=row,
        ours=float(ours[row]),
        theirs=float(theirs[row]),
        max_relative=max_relative,
        max_ulp=int(ulp_distance(ours.astype(np.float32), theirs.astype(np.float32)).max())
        if ulp
        else None,
    )


def beyond(ours: Columns, integer: Columns, floats: Columns) -> dict[str, float]:
    """By how much, per feature and at most, `ours` is farther from libvmaf's integer extractor than
    libvmaf's own float extractor is on the same frame."""
    return {
        name: float((np.abs(values - integer[name]) - np.abs(floats[name] - integer[name])).max())
        for name, values in ours.items()
    }


def missed(differences: Mapping[str, Difference], score_limit: float = SCORE_LIMIT) -> list[str]:
    """What of two backends that should agree is over its limit, in words."""
    failures = []
    for name, difference in differences.items():
        relative = next((_RELATIVE[kind] for kind in _RELATIVE if name.startswith(kind)), None)
        if relative is not None:
            value, limit = difference.max_relative, relative
        else:
            value = difference.max_abs
            limit = score_limit if name == "score" else _LIMITS.get(name, FEATURE_LIMIT)
        if not value <= limit:  # NaN misses too
            failures.append(f"{name} differs by {value:.2e}, limit {limit:.0e}")
    return failures
