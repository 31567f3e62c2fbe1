from .deployed import Deployed, deploy
from .layers import HEADS
from .mlp import ACTIVATIONS
from .student import NETWORKS, ROW_NETWORKS, Network, Student, Variables

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "NETWORKS",
    "ROW_NETWORKS",
    "Deployed",
    "Network",
    "Student",
    "Variables",
    "deploy",
]
