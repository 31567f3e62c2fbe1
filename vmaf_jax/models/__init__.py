"""Student networks."""

from vmaf_jax.models.heads import HEADS
from vmaf_jax.models.mlp import ACTIVATIONS
from vmaf_jax.models.student import MODELS, Student, Variables

__all__ = ["ACTIVATIONS", "HEADS", "MODELS", "Student", "Variables"]
