"""What a clip network reads of a frame: a teacher's score, and how far fine detail falls behind.

    s = the teacher's unclipped score, limited to [-25, 125] points
    e = vif_scale1 - vif_scale0

People near a large screen see the loss of the finest detail, which VMAF's models weigh little:
where `e` is large, they say less than the teacher does. The choice was made beforehand, by what the
features mean; docs/opinions.md shows what choosing among many such channels by held-out error does.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.models.heads import TARGET_RANGE
from vmaf_jax.teacher import Teacher
from vmaf_jax.teacher.svr import from_decision, svr_kernel

N_CHANNELS = 2
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
        score = jnp.clip(from_decision(svr, decision), *TARGET_RANGE)
        detail = features[..., coarse : coarse + 1] - features[..., fine : fine + 1]
        return jnp.concatenate([score, detail], axis=-1)

    return channels
