"""A student: scaler, network, head and pooling, with pure `init` and `apply`; and its deployment.

Variables are `{"params": ..., "scaler": {"mean": [m], "inv_std": [m]}}`; the scaler is fitted from
training rows and not by gradient. Raw features go in; the scaler multiplies by the reciprocal, the
form that XLA and ONNX Runtime compute alike.

Rows are frames `[n, d]`, or clips: frames `[c, t, d]` with a mask `[c, t]`. A network of frames
scores each, and a pooling makes the clip's score of them; a network over frames gives the clip's
score itself, and takes a lone row as a clip of one frame.

Deployed, the trained function is in few operations, alone or as an ensemble. What a network becomes
is said beside it (`Network.deploy`), and computed in float64. It is this form that is exported,
served and judged.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import OUTPUT_RANGE
from vmaf_jax.models.frame_pooling import POOLINGS
from vmaf_jax.models.layers import SCORE_CENTRE, SCORE_SPAN, AnyArray, head_outputs, head_score
from vmaf_jax.models.networks import (
    ACTIVATIONS,
    Channels,
    FrameAttention,
    Mlp,
    Rbf,
    deploy_mlp,
    deploy_rbf,
    teacher_channels,
)
from vmaf_jax.models.sizes import HIDDEN_LAYERS, N_CHANNELS, RBF_UNITS
from vmaf_jax.models.viewing_distance import move_scores
from vmaf_jax.teacher import load_teacher


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
            it then reads a teacher's channels (`teacher_channels`) in place of the features.
    """

    module: Callable[..., nn.Module]
    deploy: Callable[[Any, str, str], tuple[Any, Any] | None] = lambda exact, head, activation: None
    activations: tuple[str, ...] = ACTIVATIONS
    hidden: tuple[int, ...] | None = None
    n_prototypes: int = 0
    tunable: bool = False
    is_svr: bool = False
    over_frames: bool = False


# By name; a new network is a row here, and nothing elsewhere.
NETWORKS: dict[str, Network] = {
    "mlp": Network(Mlp, deploy_mlp, hidden=HIDDEN_LAYERS["mlp"], tunable=True),
    "nano": Network(Mlp, deploy_mlp, hidden=HIDDEN_LAYERS["nano"], tunable=True),
    "tiny": Network(Mlp, deploy_mlp, hidden=HIDDEN_LAYERS["tiny"], tunable=True),
    "rbf": Network(
        functools.partial(Rbf, RBF_UNITS),
        deploy_rbf,
        activations=(),
        n_prototypes=RBF_UNITS,
        is_svr=True,
    ),
    "attention": Network(FrameAttention, activations=(), over_frames=True),
}
ROW_NETWORKS = tuple(name for name, network in NETWORKS.items() if not network.over_frames)


Variables = Mapping[str, Any]
_DISTANCE = "distance"
# Adam moves a parameter by about the learning rate a step, so the gain needs a unit of its own.
_FIRST_GAIN, _GAIN_UNIT = 0.5, 10.0


class _Student(nn.Module):
    network: nn.Module

    @nn.compact
    def __call__(self, x: Float[Array, "*n m"], *frames: Array, training: bool) -> Array:
        mean = self.variable("scaler", "mean", jnp.zeros, x.shape[-1:])
        inv_std = self.variable("scaler", "inv_std", jnp.ones, x.shape[-1:])
        scaled = (x - mean.value) * inv_std.value
        return self.network(scaled, *frames, training=training)


@functools.cache
def _channels(teacher: str) -> Channels:
    return teacher_channels(load_teacher(teacher))


@dataclasses.dataclass(frozen=True)
class Student:
    """The specification of a student: network, head and pooling, without its variables.

    Attributes:
        network: a key of `NETWORKS`.
        head: one of `HEADS`.
        activation, dropout: of the network.
        hidden: units of each hidden layer of `mlp`; empty for those of `NETWORKS`.
        n_features: size of the features' last axis.
        pooling: of frames to a clip, a key of `POOLINGS`; a network over frames has its own.
        percentile: the level of the poolings that have one, 0-100.
        teacher: the model whose score a network over frames reads.
        knows_distance: whether it learns what viewing distance does (`viewing_distance`).
        log_distance: where its scores hold, the logarithm of a distance over its own.
    """

    network: str
    head: str = "scalar"
    activation: str = "silu"
    dropout: float = 0.2
    n_features: int = 6
    pooling: str = "mean"
    percentile: float = 90.0
    teacher: str = ""
    hidden: tuple[int, ...] = ()
    knows_distance: bool = False
    log_distance: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden and self.network != "mlp":
            raise ValueError(f"{self.network} has its own layers; set network mlp, or drop hidden")

    @property
    def layer_sizes(self) -> tuple[int, ...] | None:
        """Units of a perceptron's hidden layers; None for other networks."""
        return self.hidden or self.spec.hidden

    @property
    def spec(self) -> Network:
        """The network's row in `NETWORKS`."""
        return NETWORKS[self.network]

    @property
    def pooling_name(self) -> str:
        """Name of the pooling of frames to a clip's score, with its level where it has one."""
        if self.spec.over_frames:
            return self.network
        level = f" {self.percentile:g}" if self.pooling.endswith("percentile") else ""
        return self.pooling + level

    def shared(self) -> "Student":
        """Returns this student without what members of one program may differ in: its dropout."""
        return dataclasses.replace(self, dropout=type(self).dropout)

    def _module(self, dropout: float | AnyArray | None = None) -> _Student:
        dropout = self.dropout if dropout is None else dropout
        layers = {} if self.layer_sizes is None else {"hidden": self.layer_sizes}
        network = self.spec.module(
            outputs=head_outputs(self.head), activation=self.activation, dropout=dropout, **layers
        )
        return _Student(network)

    def inputs(self, features: Float[Array, "*n d"]) -> Float[Array, "*n m"]:
        """Returns what the network reads of raw features: themselves, or a teacher's channels."""
        return _channels(self.teacher)(features) if self.spec.over_frames else features

    def init(self, key: Array) -> Variables:
        """Returns fresh float32 variables."""
        if self.spec.over_frames:
            clip, frames = jnp.zeros((1, 1, N_CHANNELS)), jnp.ones((1, 1))
            inputs: tuple[Array, ...] = (clip, frames)
        else:
            inputs = (jnp.zeros((1, self.n_features), jnp.float32),)
        return self.with_distance(dict(self._module().init(key, *inputs, training=False)))

    def with_distance(self, variables: Variables) -> Variables:
        """Returns variables with the parameter of viewing distance, 0, or without it."""
        params = {name: leaf for name, leaf in variables["params"].items() if name != _DISTANCE}
        if self.knows_distance:
            params[_DISTANCE] = variables["params"].get(_DISTANCE, jnp.zeros((), jnp.float32))
        return {**variables, "params": params}

    def distance_gain(self, params: Variables) -> Float[Array, ""]:
        """Returns the gain of `viewing_distance` that parameters hold, > 0."""
        return _FIRST_GAIN * jnp.exp(_GAIN_UNIT * params[_DISTANCE])

    def start_at(self, params: Variables, rows: Float[Array, "p d"]) -> Variables:
        """Returns `params` with the network's prototypes, if any, at rows of scaled features."""
        if not self.spec.n_prototypes:
            return params
        return {**params, "network": {**params["network"], "prototypes": rows}}

    def outputs(
        self,
        variables: Variables,
        x: Float[Array, "n *t m"],
        frames: Float[Array, "n t"] | None = None,
        *,
        key: Array | None = None,
        dropout: float | AnyArray | None = None,
    ) -> Float[Array, "n k"]:
        """Computes the inputs of the head, `[n, k]`, for rows or clips of `inputs`.

        Args:
            frames: mask of the frames, for clips.
            key: for training mode (dropout drawn from it).
            dropout: the share of units left out then; may be traced. None for the student's own.
        """
        rngs = None if key is None else {"dropout": key}
        apply = functools.partial(
            self._module(dropout).apply, variables, training=key is not None, rngs=rngs
        )
        if self.spec.over_frames:
            if frames is None:
                x, frames = x[:, None], jnp.ones((len(x), 1), x.dtype)
            return apply(x, frames)
        if frames is None:
            return apply(x)
        n_clips, n_frames = frames.shape
        outputs = apply(x.reshape(n_clips * n_frames, -1))
        scores = head_score(self.head, outputs).reshape(n_clips, n_frames)
        pooled = POOLINGS[self.pooling](scores, frames, self.percentile)
        return (pooled[:, None] - SCORE_CENTRE) / SCORE_SPAN

    def score(
        self,
        variables: Variables,
        x: Float[Array, "n *t m"],
        frames: Float[Array, "n t"] | None = None,
    ) -> Float[Array, " n"]:
        """Computes unclipped scores of rows or clips of `inputs`, VMAF points."""
        head = self.head if frames is None else "scalar"  # a pooled score is one number
        return head_score(head, self.outputs(variables, x, frames))

    def predict(
        self,
        variables: Variables,
        features: Float[AnyArray, "n *t d"],
        frames: Float[AnyArray, "n t"] | None = None,
        log_distance: Float[AnyArray, " n"] | None = None,
    ) -> Float[Array, " n"]:
        """Computes scores of raw features, rows or clips, clipped to 0-100.

        The frames of a clip are clipped before they are pooled too: it is what a host does.

        Args:
            log_distance: logarithm of each row's viewing distance over the student's own, by
                default that of the student.
        """
        x = self.inputs(jnp.asarray(features))
        mask = None if frames is None else jnp.asarray(frames)
        return self.predict_inputs(variables, x, mask, log_distance)

    def predict_inputs(
        self,
        variables: Variables,
        x: Float[Array, "n *t m"],
        frames: Float[Array, "n t"] | None = None,
        log_distance: Float[AnyArray, " n"] | None = None,
    ) -> Float[Array, " n"]:
        """Computes scores of `inputs`, rows or clips, clipped to 0-100."""
        if frames is None or self.spec.over_frames:
            scores = jnp.clip(self.score(variables, x, frames), *OUTPUT_RANGE)
            if not self.knows_distance or (log_distance is None and not self.log_distance):
                return scores
            gain = self.distance_gain(variables["params"])
            own = self.log_distance if log_distance is None else jnp.asarray(log_distance)
            return move_scores(scores, gain * own)
        n_clips, n_frames = frames.shape
        away = None if log_distance is None else jnp.repeat(jnp.asarray(log_distance), n_frames)
        rows = self.predict_inputs(variables, x.reshape(n_clips * n_frames, -1), None, away)
        return POOLINGS[self.pooling](rows.reshape(n_clips, n_frames), frames, self.percentile)

    def n_params(self) -> int:
        """Returns the number of trained parameters; the scaler's are not among them."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.param_shapes()))

    def param_shapes(self) -> Variables:
        """Returns the shapes and types of the trained parameters, in place of their numbers."""
        return _param_shapes(self)


@functools.cache  # Flax takes some 30 ms, and every round of a training asks
def _param_shapes(student: Student) -> Variables:
    with jax.enable_x64(False):
        shapes: Variables = jax.eval_shape(student.init, jax.random.key(0))["params"]
    return shapes


Predict = Callable[..., Float[Array, " n"]]


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A pure function and its numbers.

    Attributes:
        predict: from `constants` and raw features `[n, d]` to scores `[n]`, clipped to 0-100; of a
            network over frames also from clips `[n, t, d]` and their mask `[n, t]`.
        constants: float32 arrays.
    """

    predict: Predict
    constants: Any


def deploy(student: Student, variables: Variables) -> Deployed:
    """Returns `student.predict` on `variables`, in the form that is exported and served."""
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
    folded = student.spec.deploy(exact, student.head, student.activation)
    predict, constants = folded or (student.predict, exact)
    if folded and student.knows_distance and student.log_distance:
        near = predict
        gain = np.asarray(student.distance_gain(exact["params"]))
        constants = {"near": constants, "strength": gain * np.float64(student.log_distance)}

        def predict(constants: Any, features: Float[Array, "n d"]) -> Float[Array, " n"]:
            return move_scores(near(constants["near"], features), constants["strength"])

    return Deployed(predict, jax.tree.map(lambda leaf: leaf.astype(np.float32), constants))


Rows = np.ndarray


def in_batches(function: Callable[[Rows], Rows | jax.Array], rows: Rows, size: int) -> Rows:
    """Maps `function` over `rows` `[n, d]`, `size` at a time; the last row fills the last batch."""
    padding = -len(rows) % size
    padded = np.concatenate([rows, np.repeat(rows[-1:], padding, axis=0)])
    parts = [function(padded[k : k + size]) for k in range(0, len(padded), size)]
    return np.concatenate([np.asarray(part) for part in parts])[: len(rows)]


MIN_MEMBERS, MAX_MEMBERS = 2, 16


def deploy_ensemble(members: Sequence[Deployed]) -> Deployed:
    """Returns a function of raw features `[n, d]` that gives means and spreads, each `[n]`, points.

        vmaf = sum_k s_k / K        vmaf_std = sqrt(sum_k (s_k - vmaf)^2 / (K - 1))

    of the members' clipped scores, which are added up one after the other, so that every runtime
    rounds alike. The spread says where students that learnt the same disagree; it is no interval
    (`evaluation.conformal` makes those).

    Args:
        members: of rows, over the same features; two or more.

    Source: Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using
    deep ensembles" (2017).
    """
    functions = [member.predict for member in members]

    def predict(constants: Sequence[Any], features: Float[Array, "n d"]) -> Any:
        scores = [f(c, features) for f, c in zip(functions, constants, strict=True)]
        mean = _sum(scores) * (1 / len(scores))
        # The maximum changes nothing, and keeps XLA from rounding a product and a sum at once.
        squares = [jnp.maximum(jnp.square(score - mean), 0.0) for score in scores]
        return mean, jnp.sqrt(_sum(squares) * (1 / (len(scores) - 1)))

    return Deployed(predict, [member.constants for member in members])


def _sum(values: Sequence[Float[Array, " n"]]) -> Float[Array, " n"]:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
