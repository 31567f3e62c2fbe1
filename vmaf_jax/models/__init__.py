"""Student networks."""

from vmaf_jax.models.activations import ACTIVATIONS
from vmaf_jax.models.deployed import Deployed, deploy
from vmaf_jax.models.heads import HEADS
from vmaf_jax.models.student import MODELS, Student, Variables

__all__ = ["ACTIVATIONS", "HEADS", "MODELS", "Deployed", "Student", "Variables", "deploy"]
