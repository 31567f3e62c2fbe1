import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES, check_features


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((2, 5)), r"shape \(2, 5\); expected \[n, 6\]"),
        ([[1, 1, 1, np.nan, 1, 1]], "row 0, vif_scale2 is nan"),
        ([["a"] * 6], "no array of numbers"),
    ],
)
def test_features_that_cannot_be_are_named(features, message):
    with pytest.raises(InputError, match=message):
        check_features(features, FEATURES)
