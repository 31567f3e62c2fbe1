"""The networks a student can have, by name: a new one is a row here, and nothing elsewhere."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from flax import linen as nn

from vmaf_jax.models.attention import FrameAttention
from vmaf_jax.models.mlp import ACTIVATIONS, Mlp, deploy_mlp
from vmaf_jax.models.rbf import Rbf, deploy_rbf


@dataclasses.dataclass(frozen=True)
class Network:
    """An architecture, and what can be done with it.

    Attributes:
        module: makes the Flax module, called with outputs=, activation=, dropout=, and with hidden=
            where it is a perceptron.
        deploy: from variables in float64, head and activation to the deployed function and its
            constants, or None where it runs as it was trained.
        activations: those it can take; a network with one of its own takes none.
        hidden: units of a perceptron's hidden layers, for `mlp` where the student names none; None
            for other networks.
        n_prototypes: rows of features that its training starts at, 0 for a network without.
        tunable: whether its deployed form is layers, which can be fine-tuned for 8 bits.
        is_svr: whether libvmaf computes it as a nu-SVR.
        over_frames: whether it takes the frames of a clip together, and gives the clip's score;
            it then reads a teacher's channels (`channels.py`) in place of the features.
    """

    module: Callable[..., nn.Module]
    deploy: Callable[[Any, str, str], tuple[Any, Any] | None] = lambda exact, head, activation: None
    activations: tuple[str, ...] = ACTIVATIONS
    hidden: tuple[int, ...] | None = None
    n_prototypes: int = 0
    tunable: bool = False
    is_svr: bool = False
    over_frames: bool = False


_RBF_UNITS = 32

NETWORKS: dict[str, Network] = {
    "mlp": Network(Mlp, deploy_mlp, hidden=(64, 32, 16), tunable=True),
    "nano": Network(Mlp, deploy_mlp, hidden=(64, 64), tunable=True),
    "tiny": Network(Mlp, deploy_mlp, hidden=(128, 128, 128), tunable=True),
    "rbf": Network(
        functools.partial(Rbf, _RBF_UNITS),
        deploy_rbf,
        activations=(),
        n_prototypes=_RBF_UNITS,
        is_svr=True,
    ),
    "attention": Network(FrameAttention, activations=(), over_frames=True),
}
ROW_NETWORKS = tuple(name for name, network in NETWORKS.items() if not network.over_frames)
