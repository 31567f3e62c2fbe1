"""A student: scaler, network and head as one Flax module with pure `init` and `apply`.

Variables are `{"params": ..., "scaler": {"mean": [d], "inv_std": [d]}}`; the scaler is fitted from
training rows and not by gradient. Raw features go in; the scaler multiplies by the reciprocal, the
form that XLA and ONNX Runtime compute alike.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.models.heads import OUTPUT_RANGE, head_outputs, head_score
from vmaf_jax.models.networks import NETWORKS, Network

Variables = Mapping[str, Any]


class _Student(nn.Module):
    network: nn.Module

    @nn.compact
    def __call__(self, features: Float[Array, "n d"], *, training: bool) -> Float[Array, "n k"]:
        d = features.shape[-1]
        mean = self.variable("scaler", "mean", jnp.zeros, (d,))
        inv_std = self.variable("scaler", "inv_std", jnp.ones, (d,))
        scaled = (features - mean.value) * inv_std.value
        return self.network(scaled, training=training)


@dataclasses.dataclass(frozen=True)
class Student:
    """What a student is, without its numbers.

    Attributes:
        network: a key of `NETWORKS`.
        head: one of `HEADS`.
        activation, dropout: of the network.
        n_features: size of the features' last axis.
    """

    network: str
    head: str = "scalar"
    activation: str = "silu"
    dropout: float = 0.2
    n_features: int = 6

    @property
    def spec(self) -> Network:
        """The network's row in `NETWORKS`."""
        return NETWORKS[self.network]

    @property
    def _module(self) -> _Student:
        network = self.spec.module(
            outputs=head_outputs(self.head), activation=self.activation, dropout=self.dropout
        )
        return _Student(network)

    def init(self, key: Array) -> Variables:
        """Fresh float32 variables."""
        blank = jnp.zeros((1, self.n_features), jnp.float32)
        return dict(self._module.init(key, blank, training=False))

    def start_at(self, params: Variables, rows: Float[Array, "p d"]) -> Variables:
        """`params` with the network's prototypes, if it has any, at `rows` of scaled features."""
        if not self.spec.n_prototypes:
            return params
        return {**params, "network": {**params["network"], "prototypes": rows}}

    def outputs(
        self, variables: Variables, features: Float[Array, "n d"], *, key: Array | None = None
    ) -> Float[Array, "n k"]:
        """The head's inputs `[n, k]`; with a `key`, in training mode (dropout drawn from it)."""
        rngs = None if key is None else {"dropout": key}
        return self._module.apply(variables, features, training=key is not None, rngs=rngs)

    def score(self, variables: Variables, features: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Unclipped scores, VMAF points, for raw features."""
        return head_score(self.head, self.outputs(variables, features))

    def predict(self, variables: Variables, features: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Scores clipped to 0-100."""
        return jnp.clip(self.score(variables, features), *OUTPUT_RANGE)

    def n_params(self) -> int:
        """Number of trained parameters; the scaler's are not among them."""
        shapes = jax.eval_shape(self.init, jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
