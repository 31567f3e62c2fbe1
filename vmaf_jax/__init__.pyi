from . import features
from .environment import __version__
from .errors import GateError, InputError
from .extraction.extract import extract_pair
from .features.feature_set import FEATURES
from .jobs.vmaf import vmaf
from .scoring.model import load_model
from .scoring.quality_map import quality_map
from .scoring.score import score
from .teacher.model_file import load_teacher

__all__ = [
    "FEATURES",
    "GateError",
    "InputError",
    "__version__",
    "extract_pair",
    "features",
    "load_model",
    "load_teacher",
    "quality_map",
    "score",
    "vmaf",
]
