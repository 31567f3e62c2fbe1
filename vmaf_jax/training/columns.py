"""A multilayer perceptron laid out for many small products: rows stand in columns.

Activations are `[k, b]` and kernels `[out, in]`, so that every product of a step but one has the
long axis, the batch, last. On the CPU XLA hands such products to vector kernels, and its loops over
activations, biases and gradients run along the batch; laid out the other way, products with a
transposed side go to slower kernels (docs/scale.md has the figures).
"""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.models.sums import sum_of_columns

Layers = list[dict[str, Array]]  # kernel [out, in] and bias [out] of each


def init_columns(key: Array, sizes: Sequence[int]) -> Layers:
    """Fresh layers between axes of the given sizes, uniform within `1 / sqrt(in)` of zero.

    It is how `torch.nn.Linear` starts, whose documentation is the source.
    """
    keys = jax.random.split(key, len(sizes) - 1)
    return [_fresh(k, *axes) for k, axes in zip(keys, itertools.pairwise(sizes), strict=True)]


def _fresh(key: Array, n_in: int, n_out: int) -> dict[str, Array]:
    kernel_key, bias_key = jax.random.split(key)
    end = 1 / math.sqrt(n_in)
    return {
        "kernel": jax.random.uniform(kernel_key, (n_out, n_in), minval=-end, maxval=end),
        "bias": jax.random.uniform(bias_key, (n_out,), minval=-end, maxval=end),
    }


def apply_columns(layers: Layers, x: Float[Array, "d b"]) -> Float[Array, "k b"]:
    """Linear layers with ReLU between them."""
    for layer in layers[:-1]:
        x = jax.nn.relu(_linear(layer, x))
    return _linear(layers[-1], x)


def _linear(layer: dict[str, Array], x: Float[Array, "d b"]) -> Float[Array, "k b"]:
    return _add_bias(jnp.dot(layer["kernel"], x, precision="highest"), layer["bias"])


@jax.custom_vjp
def _add_bias(x: Float[Array, "k b"], bias: Float[Array, " k"]) -> Float[Array, "k b"]:
    """`x + bias`, whose gradient by `bias` is a product, as every sum of a training is."""
    return x + bias[:, None]


def _add_forward(x: Array, bias: Array) -> tuple[Array, None]:
    return x + bias[:, None], None


def _add_backward(_: None, g: Array) -> tuple[Array, Array]:
    return g, sum_of_columns(g)


_add_bias.defvjp(_add_forward, _add_backward)


def flops_per_row(sizes: Sequence[int]) -> int:
    """Floating-point operations of the products that one row takes part in, a training step.

    Forward, by the kernels and by the activations: three products of `2 in out` a layer; the first
    layer has no gradient by its inputs.
    """
    products = [n_in * n_out for n_in, n_out in itertools.pairwise(sizes)]
    return 6 * sum(products) - 2 * products[0]
