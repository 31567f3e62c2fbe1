from .deployed import Deployed, deploy
from .heads import HEADS
from .mlp import ACTIVATIONS
from .networks import NETWORKS, ROW_NETWORKS, Network
from .student import Student, Variables

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
