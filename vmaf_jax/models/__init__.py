"""Students: networks, heads, and the form in which they are deployed."""

from vmaf_jax.models.activations import ACTIVATIONS
from vmaf_jax.models.deployed import Deployed, deploy
from vmaf_jax.models.heads import HEADS
from vmaf_jax.models.networks import NETWORKS, Network
from vmaf_jax.models.student import Student, Variables

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "NETWORKS",
    "Deployed",
    "Network",
    "Student",
    "Variables",
    "deploy",
]
