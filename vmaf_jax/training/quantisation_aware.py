"""Fine-tuning of a deployed perceptron for 8-bit arithmetic.

The forward pass rounds hidden weights (per column, symmetric, 7 bits, as the quantiser does with a
reduced range) and the activations they meet (8 bits, over the range they have at the start);
the backward pass takes the rounding for the identity (straight-through estimator).
Source: "Estimating or propagating gradients through stochastic neurons for conditional
computation", arXiv:1308.3432.
"""

# Not in `export.quantize`: registries read its budgets, and do without JAX and Optax.

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from vmaf_jax.models.layers import SCORE_SPAN
from vmaf_jax.models.networks import Layers, activation

_WEIGHT_LEVELS, _ACTIVATION_LEVELS = 63, 255


def fine_tune(
    layers: Layers,
    activation_name: str,
    features: Float[Array | np.ndarray, "n d"],
    targets: Float[Array | np.ndarray, " n"],
    *,
    steps: int = 500,
    learning_rate: float = 1e-4,
) -> Layers:
    """Returns layers that lose less when their hidden products are quantised.

    Args:
        layers: of `deploy`, with a scalar head: raw features in, the sum of the last is the score.
        features, targets: raw, and VMAF points (unclipped); all of them in every step.
    """
    activate = activation(activation_name)
    start = jax.tree.map(jnp.asarray, layers)
    features = jnp.asarray(features)
    ranges, h = [], features
    for kernel, bias in start[:-1]:
        h = activate(jnp.dot(h, kernel, precision="highest") + bias)
        ranges.append((jnp.minimum(h.min(), 0.0), jnp.maximum(h.max(), 0.0)))

    def score(layers: Layers) -> Array:
        h = features
        for k, (kernel, bias) in enumerate(layers):
            if 0 < k < len(layers) - 1:  # the first and the last product stay in float32
                kernel = _rounded(kernel, jnp.abs(kernel).max(axis=0) / _WEIGHT_LEVELS)
                low, high = ranges[k - 1]
                step = (high - low) / _ACTIVATION_LEVELS
                h = low + _rounded(jnp.clip(h, low, high) - low, step)
            h = jnp.dot(h, kernel, precision="highest") + bias
            h = activate(h) if k < len(layers) - 1 else h
        return jnp.sum(h, axis=1)

    def loss(layers: Layers) -> Array:
        return jnp.mean(jnp.square((score(layers) - targets) / SCORE_SPAN))

    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def step(state: Any, _: None) -> tuple[Any, Array]:
        value, grads = jax.value_and_grad(loss)(state[0])
        updates, moments = optimiser.update(grads, state[1])
        return (optax.apply_updates(state[0], updates), moments), value

    (tuned, _), _ = jax.jit(
        lambda start: jax.lax.scan(step, (start, optimiser.init(start)), None, length=steps)
    )(start)
    return tuned


def _rounded(values: Array, step: Array) -> Array:
    """Rounds `values` to whole steps; the gradient is that of `values`."""
    step = jnp.where(step > 0, step, 1.0)
    return values + jax.lax.stop_gradient(jnp.round(values / step) * step - values)
