from .model_file import DEFAULT_TEACHER, Teacher, known_teachers, load_teacher
from .svr import ScoreTransform, SvrParams, svr_score, transform_score

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
