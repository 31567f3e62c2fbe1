"""Activations by name.

Most are jax.nn's. `hard_gate` is our own, and looks like SiLU:

    hard_gate(h) = h clip(h / 4 + 1/2, 0, 1)

It is built of operations that IEEE 754 rounds exactly, so that JAX and ONNX Runtime compute the
same bits, where Sigmoid, Tanh and Exp differ between the two. The product by 1/4 is exact: it does
not matter whether a compiler fuses it with the sum after it. In ONNX it is HardSigmoid and Mul.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Activation = Callable[[Float[Array, "n k"]], Float[Array, "n k"]]


def hard_gate(h: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """Computes a piecewise quadratic gate: 0 below -2, `h` above 2."""
    return h * jnp.clip(0.25 * h + 0.5, 0.0, 1.0)


_OURS = {"hard_gate": hard_gate}
ACTIVATIONS = ("silu", "relu", "gelu", "tanh", "softplus", "elu", *_OURS)


def activation(name: str) -> Activation:
    """Returns the function of a name, looked up at each call: jax2onnx replaces those of jax.nn."""
    return _OURS[name] if name in _OURS else getattr(jax.nn, name)
