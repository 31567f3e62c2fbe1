"""Teachers: VMAF's own models as JAX functions."""

from vmaf_jax.teacher.model_file import DEFAULT_TEACHER, known_teachers
from vmaf_jax.teacher.svr import ScoreTransform, SvrParams, svr_score, transform_score
from vmaf_jax.teacher.teacher import Teacher, check_features, load_teacher

__all__ = [
    "DEFAULT_TEACHER",
    "ScoreTransform",
    "SvrParams",
    "Teacher",
    "check_features",
    "known_teachers",
    "load_teacher",
    "svr_score",
    "transform_score",
]
