from .model_file import DEFAULT_TEACHER, known_teachers
from .svr import ScoreTransform, SvrParams, svr_score, transform_score
from .teacher import Teacher, load_teacher

__all__ = [
    "DEFAULT_TEACHER",
    "ScoreTransform",
    "SvrParams",
    "Teacher",
    "known_teachers",
    "load_teacher",
    "svr_score",
    "transform_score",
]
