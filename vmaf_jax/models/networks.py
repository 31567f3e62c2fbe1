"""The networks of students: perceptrons, radial basis functions, and attention over frames.

Each reads scaled inputs and gives what a head makes a score of. Beside it stands the form in which
it is deployed, if that differs.
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
from vmaf_jax.models.layers import (
    SCORE_CENTRE,
    SCORE_SPAN,
    TARGET_RANGE,
    AnyArray,
    add_bias,
    head_score,
    scale_columns,
    sum_of_columns,
)
from vmaf_jax.models.sizes import N_COLUMNS
from vmaf_jax.teacher import Teacher
from vmaf_jax.teacher.svr import rescale_decision, svr_kernel

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
    """A multilayer perceptron: hidden layers of the given widths, then `outputs` linear units.

    Dropout acts on the last hidden layer while training and leaves no trace otherwise.
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

    The gradient is written out so that sums over the batch are products (see `layers`).
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


class Rbf(nn.Module):
    """A radial basis function network, which libvmaf can run as a nu-SVR.

        y = sum_j c_j exp(-|s (z - p_j)|^2) + o

    over scaled features `z`, with learned prototypes `p`, one learned scale `s` a feature (the
    shared gamma and a linear scaling of its own in one), coefficients `c` and an offset `o`.

    Attributes:
        prototypes: number of units.
        outputs: size of the last axis of the result.
        activation, dropout: not used; a Gaussian is the activation.
    """

    prototypes: int
    outputs: int
    activation: str = "silu"
    dropout: float | Array = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, training: bool = False) -> Float[Array, "n k"]:
        n_units, d = self.prototypes, x.shape[-1]
        centres = self.param("prototypes", nn.initializers.normal(1.0), (n_units, d))
        log_scale = self.param("log_scale", nn.initializers.constant(-1.2), (d,))
        coefficients = self.param(
            "coefficients", nn.initializers.lecun_normal(), (n_units, self.outputs)
        )
        offset = self.param("offset", nn.initializers.zeros, (self.outputs,))
        scale = jnp.exp(log_scale)
        x, centres = scale_columns(x, scale), scale_columns(centres, scale)
        ones = jnp.ones((d, 1), x.dtype)
        # |x - p|^2 as products of matrices: sums over features that export as MatMul.
        squares = jnp.dot(jnp.square(x), ones, precision="highest")
        distance = squares - 2 * jnp.dot(x, centres.T, precision="highest")
        distance = distance + jnp.dot(jnp.square(centres), ones, precision="highest").T
        kernel = jnp.exp(-distance)
        return add_bias(jnp.dot(kernel, coefficients, precision="highest"), offset)


def deploy_rbf(exact: Any, head: str, _activation_name: str) -> tuple[Any, dict[str, Any]] | None:
    """Returns two affine maps around the exponential; None for a head other than scalar.

    `-|z - p|^2 = (2 z p - |p|^2) - |z|^2`, whose first part is one affine map.

    Args:
        exact: a student's variables in float64.
    Returns:
        A function of constants and raw features `[n, d]`, which gives clipped scores `[n]`, VMAF
        points; and the constants, float64.
    """
    if head != "scalar":
        return None
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


_FIRST_KEY = 1.3  # of the first channel on itself, per standard deviation
_FIRST_WEIGHT, _FIRST_BIAS = 1.5, 0.2
_KEY_STEP = 0.1  # keys move this much slower than weights: a dozen sources cannot teach them
# Taken from the logits of frames outside the mask, whose exp is then 0 in float32. Finite: of a
# real frame, infinity times 0 would be NaN.
_ABSENT = 1e9


class FrameAttention(nn.Module):
    """Attention over the frames of a clip: from a clip's frames to its score in one network.

    Every input channel `x_i` (scaled) has a query of its own, which weighs the frames by softmax
    over all channels of a frame, and the weighted means add up to the clip's latent quality:

        a_it = softmax_t( sum_j k_ij x_jt )        z = b + sum_i w_i sum_t a_it x_it
        score = low + (high - low) sigmoid(z)

    With keys `k = 0` every frame weighs the same, which is mean pooling. Frames outside the mask
    weigh exactly 0. The first channel is a teacher's score, and its query starts where it favours a
    clip's better frames: viewers forgive repeated frames, which full-reference features do not.
    Frames carry no position: with the operators that hosts admit, a graph cannot count its frames,
    and a learnt position was measured to make held-out sources worse (docs/opinion-recipes.md).
    Source of the pooling: "Attention-based deep multiple instance learning", arXiv:1802.04712,
    eq. 7.

    Attributes:
        outputs: size of the last axis of the result; a scalar head's 1.
        activation, dropout: not used.
    """

    outputs: int
    activation: str = "silu"
    dropout: float | Array = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "c t d"], frames: Float[Array, "c t"], *, training: bool = False
    ) -> Float[Array, "c 1"]:
        """The scalar head's output for each clip, from scaled channels and the mask of frames."""
        d = x.shape[-1]
        first = np.eye(d, dtype=np.float32)[0]
        keys = self.param("keys", nn.initializers.zeros, (d, d)) * _KEY_STEP
        weights = self.param("weights", lambda _: jnp.asarray(_FIRST_WEIGHT * first))
        bias = self.param("bias", nn.initializers.constant(_FIRST_BIAS), (1,))
        low = self.param("low", nn.initializers.zeros, (1,))
        high = self.param("high", nn.initializers.zeros, (1,))
        keys = keys + _FIRST_KEY * np.outer(first, first)
        absent = (frames - 1.0)[..., None] * _ABSENT
        logits = jnp.dot(x.reshape(-1, d), keys, precision="highest").reshape(x.shape)
        share = jax.nn.softmax(logits + absent, axis=1)
        pooled = jnp.sum(share * x, axis=1)
        latent = jnp.dot(pooled, weights[:, None], precision="highest") + bias
        score = 100.0 * (low + (1.0 + high - low) * jax.nn.sigmoid(latent))
        return (score - SCORE_CENTRE) / SCORE_SPAN


Channels = Callable[[Float[Array, "*n d"]], Float[Array, "*n m"]]


def teacher_channels(teacher: Teacher) -> Channels:
    """Returns a function from raw features `[..., d]` to the channels `[..., 2]` of attention.

        s = the teacher's unclipped score, limited to [-25, 125] points
        e = vif_scale1 - vif_scale0

    People near a large screen see the loss of the finest detail, which VMAF's models weigh little:
    where `e` is large, they say less than the teacher does. The choice was made beforehand, by what
    the features mean; docs/opinion-recipes.md shows what choosing among many such channels by
    held-out error does.

    Raises:
        KeyError: the teacher's features have no VIF scales.
    """
    names = list(teacher.feature_set)
    fine, coarse = names.index("vif_scale0"), names.index("vif_scale1")
    exact = teacher.params()

    def channels(features: Float[Array, "*n d"]) -> Float[Array, "*n m"]:
        svr = jax.tree.map(lambda value: jnp.asarray(value, features.dtype), exact)
        kernel = svr_kernel(svr, features)
        rows = kernel.reshape(-1, kernel.shape[-1])  # of two axes, so that it exports as MatMul
        decision = jnp.dot(rows, svr.coefficients[:, None], precision="highest")
        decision = decision.reshape(*features.shape[:-1], 1)
        score = jnp.clip(rescale_decision(svr, decision), *TARGET_RANGE)
        detail = features[..., coarse : coarse + 1] - features[..., fine : fine + 1]
        return jnp.concatenate([score, detail], axis=-1)

    return channels
