"""libvmaf's six float features as pure JAX functions of luma, differentiable and jittable.

They agree with libvmaf's float extractors, not bit for bit with its integer ones.
"""

from vmaf_jax.features.jax_native.adm import adm
from vmaf_jax.features.jax_native.features import features, features_of_chunk
from vmaf_jax.features.jax_native.motion import frames_before, lesser_motion, motion, motion2
from vmaf_jax.features.jax_native.vif import vif

__all__ = [
    "adm",
    "features",
    "features_of_chunk",
    "frames_before",
    "lesser_motion",
    "motion",
    "motion2",
    "vif",
]
