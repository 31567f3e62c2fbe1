from .adm import frame_adm
from .clip import chunk_features, clip_features
from .feature_set import (
    FEATURE_SETS,
    FEATURES,
    FLOAT_FEATURES,
    NEG_FEATURES,
    V1_FEATURES,
    V1_SETS,
    FeatureSet,
)
from .motion import frame_motion, motion2
from .table import FeatureTable, concatenate, read_table
from .vif import frame_vif

__all__ = [
    "FEATURES",
    "FEATURE_SETS",
    "FLOAT_FEATURES",
    "NEG_FEATURES",
    "V1_FEATURES",
    "V1_SETS",
    "FeatureSet",
    "FeatureTable",
    "chunk_features",
    "clip_features",
    "concatenate",
    "frame_adm",
    "frame_motion",
    "frame_vif",
    "motion2",
    "read_table",
]
