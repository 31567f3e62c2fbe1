"""A multilayer perceptron laid out for many small products: rows stand in columns.

Activations are `[k, b]` and kernels `[out, in]`, so that every product of a step but one has the
long axis, the batch, last. On the CPU XLA hands such products to vector kernels, and its loops over
activations, biases and gradients run along the batch; laid out the other way, products with a
transposed side go to slower kernels (docs/scale.md has the figures).
"""

import functools
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
        x = _layer(True, layer, x)
    return _layer(False, layers[-1], x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(rectified: bool, layer: dict[str, Array], x: Float[Array, "d b"]) -> Float[Array, "k b"]:
    """A linear layer, with ReLU where `rectified`.

    Its gradient is written out: ReLU's is taken from its output, so that what went in need not be
    held, and the small kernel is transposed before its product, not within.
    """
    y = jnp.dot(layer["kernel"], x, precision="highest") + layer["bias"][:, None]
    return jax.nn.relu(y) if rectified else y


def _layer_forward(
    rectified: bool, layer: dict[str, Array], x: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    y = _layer(rectified, layer, x)
    return y, (layer["kernel"], x, y)


def _layer_backward(
    rectified: bool, residuals: tuple[Array, Array, Array], g: Array
) -> tuple[dict[str, Array], Array]:
    kernel, x, y = residuals
    g = jnp.where(y > 0, g, 0.0) if rectified else g
    by_kernel = jnp.dot(g, x.T, precision="highest")
    by_x = jnp.dot(jax.lax.optimization_barrier(kernel.T), g, precision="highest")
    return {"kernel": by_kernel, "bias": sum_of_columns(g)}, by_x


_layer.defvjp(_layer_forward, _layer_backward)


def flops_per_row(sizes: Sequence[int]) -> int:
    """Floating-point operations of the products that one row takes part in, a training step.

    Forward, by the kernels and by the activations: three products of `2 in out` a layer; the first
    layer has no gradient by its inputs.
    """
    products = [n_in * n_out for n_in, n_out in itertools.pairwise(sizes)]
    return 6 * sum(products) - 2 * products[0]
