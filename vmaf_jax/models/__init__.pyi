from .layers import HEADS
from .networks import ACTIVATIONS
from .student import NETWORKS, ROW_NETWORKS, Deployed, Network, Student, Variables, deploy

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
