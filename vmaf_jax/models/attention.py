"""Attention over the frames of a clip: from a clip's frames to its score in one network.

Every input channel `x_i` (scaled) has a query of its own, which weighs the frames by softmax over
all channels of a frame, and the weighted means add up to the clip's latent quality:

    a_it = softmax_t( sum_j k_ij x_jt )        z = b + sum_i w_i sum_t a_it x_it
    score = low + (high - low) sigmoid(z)

With keys `k = 0` every frame weighs the same, which is mean pooling. Frames outside the mask weigh
exactly 0. The first channel is a teacher's score, and its query starts where it favours a clip's
better frames: viewers forgive repeated frames, which full-reference features do not.
Frames carry no position: with the operators that hosts admit, a graph cannot count its frames, and
a learnt position was measured to make held-out sources worse (docs/opinion-recipes.md).
Source of the pooling: "Attention-based deep multiple instance learning", arXiv:1802.04712, eq. 7.

    s = the teacher's unclipped score, limited to [-25, 125] points
    e = vif_scale1 - vif_scale0

People near a large screen see the loss of the finest detail, which VMAF's models weigh little:
where `e` is large, they say less than the teacher does. The choice was made beforehand, by what the
features mean; docs/opinion-recipes.md shows what choosing among many such channels by held-out
error does.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vmaf_jax.models.layers import SCORE_CENTRE, SCORE_SPAN, TARGET_RANGE
from vmaf_jax.teacher import Teacher
from vmaf_jax.teacher.svr import rescale_decision, svr_kernel

_FIRST_KEY = 1.3  # of the first channel on itself, per standard deviation
_FIRST_WEIGHT, _FIRST_BIAS = 1.5, 0.2
_KEY_STEP = 0.1  # keys move this much slower than weights: a dozen sources cannot teach them
# Taken from the logits of frames outside the mask, whose exp is then 0 in float32. Finite: of a
# real frame, infinity times 0 would be NaN.
_ABSENT = 1e9


class FrameAttention(nn.Module):
    """One query for each input channel, a linear read-out and a logistic scale.

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
    """A function from raw features `[..., d]` to the channels `[..., 2]` of this module.

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
