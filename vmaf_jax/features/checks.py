"""The check of rows of features.

Apart from the sets of features, which `--help` and a server load without NumPy.
"""

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet


def check_features(features: npt.ArrayLike, feature_set: FeatureSet) -> npt.NDArray[np.float64]:
    """`features` as float64 `[n, features]`.

    Raises:
        InputError: another shape, or a value that is NaN or infinite; names row and feature.
    """
    try:
        x = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"features are no array of numbers ({error}); pass [n, d].") from error
    if x.ndim != 2 or x.shape[1] != len(feature_set):
        raise InputError(
            f"features have shape {x.shape}; expected [n, {len(feature_set)}], in the order "
            f"{', '.join(feature_set)}."
        )
    bad = np.argwhere(~np.isfinite(x))
    if bad.size:
        row, column = bad[0]
        raise InputError(
            f"features: row {row}, {feature_set.names[column]} is {x[row, column]}, expected a "
            f"finite number; extract that clip again."
        )
    return x
