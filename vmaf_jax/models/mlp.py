"""Multilayer perceptrons over the scaled features, and the form in which they are deployed.

Dropout acts on the last hidden layer while training and leaves no trace otherwise.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import OUTPUT_RANGE
from vmaf_jax.models.layers import SCORE_CENTRE, SCORE_SPAN, AnyArray, head_score, sum_of_columns
from vmaf_jax.models.sizes import N_COLUMNS

Layers = list[tuple[Any, Any]]  # kernel [d, k] and bias [k] of each
Activation = Callable[[Float[Array, "n k"]], Float[Array, "n k"]]


def hard_gate(h: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """Computes a piecewise quadratic gate, like SiLU: 0 below -2, `h` above 2.

    `h clip(h / 4 + 1/2, 0, 1)`, of operations that IEEE 754 rounds exactly, so that JAX and ONNX
    Runtime compute the same bits, where Sigmoid, Tanh and Exp differ between the two. The product
    by 1/4 is exact: it does not matter whether a compiler fuses it with the sum after it. In ONNX
    it is HardSigmoid and Mul.
    """
    return h * jnp.clip(0.25 * h + 0.5, 0.0, 1.0)


_OURS = {"hard_gate": hard_gate}
ACTIVATIONS = ("silu", "relu", "gelu", "tanh", "softplus", "elu", *_OURS)


def activation(name: str) -> Activation:
    """Returns the activation of a name: `hard_gate`, or one of jax.nn's.

    It is looked up at each call: jax2onnx replaces those of jax.nn.
    """
    return _OURS[name] if name in _OURS else getattr(jax.nn, name)


class Dropout(nn.Module):
    """Leaves units out at random and scales the others up, so that their mean stays.

    `flax.linen.Dropout` takes no traced rate.

    Attributes:
        rate: the share of units left out, in [0, 1); may be traced.
    """

    rate: float | Array

    @nn.compact
    def __call__(self, h: Float[Array, "k n"]) -> Float[Array, "k n"]:
        share = 1.0 - self.rate
        mask = jax.random.bernoulli(self.make_rng("dropout"), share, h.shape)
        return jax.lax.select(mask, h / share, jnp.zeros_like(h))


class Mlp(nn.Module):
    """Hidden layers of the given widths, then `outputs` linear units.

    In training, rows stand in columns: activations are `[k, n]`, so that all products but one of a
    step have the long axis, the batch, last. XLA's CPU backend hands such products to vector
    kernels, and its loops over activations, biases and gradients run along the batch.

    Attributes:
        hidden: units of each hidden layer.
        outputs: size of the last axis of the result.
        activation: a name in `ACTIVATIONS`.
        dropout: probability of leaving out a unit of the last hidden layer in training; may be
            traced. For a constant 0 no masks are drawn.
    """

    hidden: tuple[int, ...]
    outputs: int
    activation: str = "silu"
    dropout: float | Array = 0.2

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool = False) -> Float[Array, "n k"]:
        sizes = (x.shape[-1], *self.hidden, self.outputs)
        layers = [
            _Dense(*axes, name=f"Dense_{k}")() for k, axes in enumerate(itertools.pairwise(sizes))
        ]
        if not training:
            activate = activation(self.activation)
            for kernel, bias in layers[:-1]:
                x = activate(jnp.dot(x, kernel, precision="highest") + bias)
            kernel, bias = layers[-1]
            return jnp.dot(x, kernel, precision="highest") + bias
        activate = _relu if self.activation == "relu" else activation(self.activation)
        h = x.T
        for kernel, bias in layers[:-1]:
            h = activate(apply_to_columns(kernel, bias, h))
        if isinstance(self.dropout, jax.Array) or self.dropout > 0:
            h = Dropout(self.dropout)(h)
        return apply_to_columns(*layers[-1], h).T


class _Dense(nn.Module):
    """The parameters of a linear layer: kernel `[n_in, n_out]` and bias `[n_out]`.

    Both start uniform within `1 / sqrt(n_in)` of zero, as those of `torch.nn.Linear`, whose
    documentation is the source. Biases of zero put all of ReLU's bends through one point: on the
    recipe of docs/scale.md, Flax's start (LeCun's normal, and zero) left the held-out error half
    as large again.
    """

    n_in: int
    n_out: int

    @nn.compact
    def __call__(self) -> tuple[AnyArray, AnyArray]:
        def uniform(key: Array, shape: tuple[int, ...]) -> Array:
            end = 1 / math.sqrt(self.n_in)
            return jax.random.uniform(key, shape, minval=-end, maxval=end)

        kernel: AnyArray = self.param("kernel", uniform, (self.n_in, self.n_out))
        bias: AnyArray = self.param("bias", uniform, (self.n_out,))
        return kernel, bias


@jax.custom_vjp
def apply_to_columns(
    kernel: Float[AnyArray, "d k"], bias: Float[AnyArray, " k"], x: Float[AnyArray, "d n"]
) -> Float[Array, "k n"]:
    """Returns `kernel.T x + bias`.

    The gradient is written out so that sums over the batch are products (see `sums`).
    """
    return _product(kernel.T, x) + bias[:, None]


def _product(small: AnyArray, columns: AnyArray) -> Array:
    # The barrier has XLA transpose the small side once, before its product: products with a
    # transposed side go to slower kernels.
    return jnp.dot(jax.lax.optimization_barrier(small), columns, precision="highest")


def _apply_forward(
    kernel: AnyArray, bias: AnyArray, x: AnyArray
) -> tuple[Array, tuple[AnyArray, AnyArray]]:
    return apply_to_columns(kernel, bias, x), (kernel, x)


def _apply_backward(saved: tuple[AnyArray, AnyArray], g: Array) -> tuple[Array, Array, Array]:
    kernel, x = saved
    by_kernel = jnp.dot(x, g.T, precision="highest")
    return by_kernel, sum_of_columns(g), jnp.dot(kernel, g, precision="highest")


apply_to_columns.defvjp(_apply_forward, _apply_backward)


@jax.custom_vjp
def _relu(h: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """ReLU whose gradient is taken from its output, so that its input need not be kept."""
    return jax.nn.relu(h)


def _relu_forward(h: Array) -> tuple[Array, Array]:
    y = jax.nn.relu(h)
    return y, y


def _relu_backward(y: Array, g: Array) -> tuple[Array]:
    return (jnp.where(y > 0, g, 0.0),)


_relu.defvjp(_relu_forward, _relu_backward)


def flops_per_row(sizes: Sequence[int]) -> int:
    """Returns the floating-point operations of the products of one row in one training step.

    Three products of `2 in out` a layer: forward, by the kernel and by the input, which the first
    layer does not need.

    Args:
        sizes: of the inputs, the hidden layers and the outputs.
    """
    products = [n_in * n_out for n_in, n_out in itertools.pairwise(sizes)]
    return 6 * sum(products) - 2 * products[0]


def deploy_mlp(exact: Any, head: str, activation_name: str) -> tuple[Any, Layers]:
    """Folds the scaler into the first layer and, with a scalar head, the head's span into the last.

    That layer gets columns of zeros up to `N_COLUMNS`, which a sum takes away again: narrow
    products go to kernels that add in another order, and JAX and ONNX Runtime are to compute the
    same bits.

    Args:
        exact: a student's variables in float64.
    Returns:
        A function of layers and raw features `[n, d]`, which gives clipped scores `[n]`, VMAF
        points; and the layers, float64.
    """
    network, scaler = exact["params"]["network"], exact["scaler"]
    layers = [
        (network[f"Dense_{k}"]["kernel"], network[f"Dense_{k}"]["bias"])
        for k in range(len(network))
    ]
    kernel, bias = layers[0]
    kernel = scaler["inv_std"][:, None] * kernel
    layers[0] = (kernel, bias - scaler["mean"] @ kernel)
    if head == "scalar":
        kernel, bias = layers[-1]
        blank = N_COLUMNS - 1
        layers[-1] = (
            np.pad(SCORE_SPAN * kernel, ((0, 0), (0, blank))),
            np.pad(SCORE_SPAN * bias + SCORE_CENTRE, (0, blank)),
        )

    def predict(layers: Layers, features: Float[Array, "n d"]) -> Float[Array, " n"]:
        activate = activation(activation_name)
        h = features
        for kernel, bias in layers[:-1]:
            h = activate(jnp.dot(h, kernel, precision="highest") + bias)
        kernel, bias = layers[-1]
        z = jnp.dot(h, kernel, precision="highest") + bias
        score = jnp.sum(z, axis=1) if head == "scalar" else head_score(head, z)
        return jnp.clip(score, *OUTPUT_RANGE)

    return predict, layers
