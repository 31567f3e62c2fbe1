"""The features: names and order, the table they are stored in, and what extracts them.

The package can be called: `vmaf_jax.features(reference, distorted)` is
`vmaf_jax.features.jax_native.features`, the features of luma as a JAX function.
"""

import sys
from types import ModuleType
from typing import Any

from vmaf_jax.features.feature_set import (
    FEATURE_SETS,
    FEATURES,
    FLOAT_FEATURES,
    NEG_FEATURES,
    FeatureSet,
)
from vmaf_jax.features.table import FeatureTable, concatenate, read_table

__all__ = [
    "FEATURES",
    "FEATURE_SETS",
    "FLOAT_FEATURES",
    "NEG_FEATURES",
    "FeatureSet",
    "FeatureTable",
    "concatenate",
    "read_table",
]


class _Features(ModuleType):
    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        from vmaf_jax.features.jax_native import features

        return features(*arguments, **settings)


sys.modules[__name__].__class__ = _Features
