"""Heads of students: a score, or a distribution over quality bins.

Scalar: `score = 50 + 25 z`, so that unit outputs span the scale. Distribution: `z` are logits over
bins with centres `c_k`, and the score is the expected value `sum_k c_k softmax(z)_k`. The bins
reach far enough past 0 and 100, and lie close enough for the teacher's width, that the expected
value of a discretised teacher is unbiased for scores in [-25, 125].
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SCORE_CENTRE, SCORE_SPAN = 50.0, 25.0  # VMAF points
BINS = np.arange(-40.0, 140.0 + 1.0, 2.0, dtype=np.float32)  # VMAF points, K = 91
TARGET_RANGE = (-25.0, 125.0)  # VMAF points


HEADS = ("scalar", "distribution")


def head_outputs(head: str) -> int:
    """Returns the number of outputs that the network needs for `head`."""
    return 1 if head == "scalar" else len(BINS)


def head_score(head: str, outputs: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Computes unclipped scores, VMAF points, from the outputs of the network."""
    if head == "scalar":
        return SCORE_CENTRE + SCORE_SPAN * jnp.squeeze(outputs, -1)
    # A one-column product exports as MatMul; a sum over the broadcast product as six nodes.
    weights = jax.nn.softmax(outputs)
    return jnp.squeeze(jnp.dot(weights, BINS[:, None], precision="highest"), -1)
