"""Held-out predictions to what a model knows of its own errors."""

from collections.abc import Mapping

import numpy as np

from vmaf_jax.evaluation.clip_residuals import residuals_of
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.region import fit_region
from vmaf_jax.export.calibration import Calibration
from vmaf_jax.features.table import FeatureTable


def calibration_of(
    held_out: HeldOut, external: Mapping[str, HeldOut], table: FeatureTable, pooling: str
) -> Calibration | None:
    """The profile of a model's held-out residuals, and its training region.

    Args:
        held_out, external, pooling: as for `residuals_of`.
        table: what it learnt from.

    Returns:
        None where there are no residuals of clips.
    """
    residuals = residuals_of(held_out, external, pooling)
    if residuals is None:
        return None
    means = table.mean_pool()
    _, group = np.unique(means.source.astype(str), return_inverse=True)
    return Calibration(residuals.profile, fit_region(means.features, group))
