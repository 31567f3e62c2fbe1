"""Label columns of VMAF models that are not what the model says of the features."""

from collections.abc import Mapping

import numpy as np

from vmaf_jax.evaluation.table_faults import Fault, Floats
from vmaf_jax.evaluation.vote_faults import SWAPPED

OTHER_MODEL = "other_model"

_ROUNDING = 0.05  # points; logs have six decimals of features and scores
_TIMES_USUAL = 10.0  # features of other extractors move all clips a little
_MOST_USUAL = 1.0  # points; more is another model's column


def teacher_faults(label: Floats, name: str, scores: Mapping[str, Floats]) -> list[Fault]:
    """Finds clips whose label column `name` does not follow from their features.

    Args:
        label: Of some frames of each clip, points, `[c, s]`.
        scores: What models say of the same frames, points, `[c, s]`, by name; `name` is among them.
    """
    error = np.abs(label - scores[name]).max(1)
    usual = min(float(np.median(error)), _MOST_USUAL)
    limit = max(_ROUNDING, _TIMES_USUAL * usual)
    faults = []
    for k in np.flatnonzero(error > limit).tolist():
        off = np.abs(label[k] - scores[name]).max(1)
        other = int(off.argmin())
        models = [m for m in scores if np.abs(label[k] - scores[m][k]).max() <= limit]
        seen = f"{name} is {error[k]:.2f} points off what the model says of the features"
        if off[other] <= limit and np.ptp(label[k]) > 0:
            seen = f"{seen}; it is that of the other clip"
            faults.append(Fault(k, SWAPPED, seen, 0.99, other))
        elif models:
            faults.append(Fault(k, OTHER_MODEL, f"{seen}; it is the column of {models[0]}", 0.99))
        else:
            faults.append(Fault(k, OTHER_MODEL, f"{seen} (limit {limit:.2f})", 0.9))
    return faults
