"""The features: names and order, the table they are stored in, and what extracts them."""

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
