from .adm import AdmSettings, frame_adm, frame_adm3
from .cambi import CambiSettings, frame_cambi, soft_cambi
from .feature_set import (
    FEATURE_SETS,
    FEATURES,
    FLOAT_FEATURES,
    FLOAT_NEG_FEATURES,
    NEG_FEATURES,
    V1_FEATURES,
    V1_SETS,
    FeatureSet,
)
from .frames import chunk_features, clip_features
from .motion import MotionSettings, frame_motion, motion2, motion3
from .speed import SpeedSettings, frame_speed
from .v1 import Planes, v1_features
from .vif import frame_vif

__all__ = [
    "FEATURES",
    "FEATURE_SETS",
    "FLOAT_FEATURES",
    "FLOAT_NEG_FEATURES",
    "NEG_FEATURES",
    "V1_FEATURES",
    "V1_SETS",
    "AdmSettings",
    "CambiSettings",
    "FeatureSet",
    "MotionSettings",
    "Planes",
    "SpeedSettings",
    "chunk_features",
    "clip_features",
    "frame_adm",
    "frame_adm3",
    "frame_cambi",
    "frame_motion",
    "frame_speed",
    "frame_vif",
    "motion2",
    "motion3",
    "soft_cambi",
    "v1_features",
]
