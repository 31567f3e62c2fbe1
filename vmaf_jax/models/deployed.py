"""A trained student as it runs: the same function in as few operations as it takes.

A multilayer perceptron takes the scaler into its first layer and, with a scalar head, the head's
centre and span into its last. That layer gets columns of zeros up to `N_COLUMNS`, which a sum takes
away again: narrow products go to kernels that add in another order, and JAX and ONNX Runtime are to
compute the same bits. A radial basis function network becomes two affine maps around its
exponential. Folding is done in float64. Other networks run as they were trained.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.models.activations import activation
from vmaf_jax.models.heads import OUTPUT_RANGE, SCORE_CENTRE, SCORE_SPAN, head_score
from vmaf_jax.models.mlp import Mlp
from vmaf_jax.models.rbf import Rbf
from vmaf_jax.models.student import MODELS, Student, Variables

N_COLUMNS = 64  # of the last product; 32 and 96 were seen to round otherwise


Predict = Callable[[Any, Float[Array, "n d"]], Float[Array, " n"]]


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A pure function and its numbers.

    Attributes:
        predict: from `constants` and raw features `[n, d]` to scores `[n]`, clipped to 0-100.
        constants: float32 arrays.
    """

    predict: Predict
    constants: Any


def deploy(student: Student, variables: Variables) -> Deployed:
    """`student.predict` on `variables`, in the form that is exported and served."""
    network = MODELS[student.network](outputs=1)
    constants: Any
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
    if isinstance(network, Mlp):
        predict, constants = _mlp(student, exact)
    elif isinstance(network, Rbf) and student.head == "scalar":
        predict, constants = _rbf(exact)
    else:
        predict, constants = student.predict, exact
    return Deployed(predict, jax.tree.map(lambda leaf: leaf.astype(np.float32), constants))


def _mlp(student: Student, exact: Any) -> tuple[Predict, list[tuple[Any, Any]]]:
    network, scaler = exact["params"]["network"], exact["scaler"]
    layers = [
        (network[f"Dense_{k}"]["kernel"], network[f"Dense_{k}"]["bias"])
        for k in range(len(network))
    ]
    kernel, bias = layers[0]
    kernel = scaler["inv_std"][:, None] * kernel
    layers[0] = (kernel, bias - scaler["mean"] @ kernel)
    if student.head == "scalar":
        kernel, bias = layers[-1]
        blank = N_COLUMNS - 1
        layers[-1] = (
            np.pad(SCORE_SPAN * kernel, ((0, 0), (0, blank))),
            np.pad(SCORE_SPAN * bias + SCORE_CENTRE, (0, blank)),
        )

    def predict(layers: list[tuple[Any, Any]], features: Float[Array, "n d"]) -> Float[Array, " n"]:
        activate = activation(student.activation)
        h = features
        for kernel, bias in layers[:-1]:
            h = activate(jnp.dot(h, kernel, precision="highest") + bias)
        kernel, bias = layers[-1]
        z = jnp.dot(h, kernel, precision="highest") + bias
        score = jnp.sum(z, axis=1) if student.head == "scalar" else head_score(student.head, z)
        return jnp.clip(score, *OUTPUT_RANGE)

    return predict, layers


def _rbf(exact: Any) -> tuple[Predict, dict[str, Any]]:
    """`-|z - p|^2 = (2 z p - |p|^2) - |z|^2`, whose first part is one affine map."""
    network, scaler = exact["params"]["network"], exact["scaler"]
    scale = np.exp(network["log_scale"])
    centres = network["prototypes"] * scale
    constants = {
        "mean": scaler["mean"],
        "slope": scaler["inv_std"] * scale,
        "kernel": 2 * centres.T,
        "bias": -np.square(centres).sum(axis=1),
        "ones": np.ones((len(scale), 1)),
        "coefficients": SCORE_SPAN * network["coefficients"],
        "offset": SCORE_SPAN * network["offset"] + SCORE_CENTRE,
    }

    def predict(c: dict[str, Any], features: Float[Array, "n d"]) -> Float[Array, " n"]:
        z = (features - c["mean"]) * c["slope"]
        affine = jnp.dot(z, c["kernel"], precision="highest") + c["bias"]
        squares = jnp.dot(jnp.square(z), c["ones"], precision="highest")  # a sum, as a MatMul
        units = jnp.exp(affine - squares)
        score = jnp.dot(units, c["coefficients"], precision="highest") + c["offset"]
        return jnp.clip(jnp.squeeze(score, -1), *OUTPUT_RANGE)

    return predict, constants
