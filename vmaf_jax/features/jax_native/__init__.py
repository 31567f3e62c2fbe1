"""libvmaf's six float features as pure JAX functions of luma, differentiable and jittable.

They agree with libvmaf's float extractors, not bit for bit with its integer ones.
"""

from vmaf_jax.features.jax_native.adm import frame_adm
from vmaf_jax.features.jax_native.features import features, features_of_chunk
from vmaf_jax.features.jax_native.motion import frame_motion, lesser_motion
from vmaf_jax.features.jax_native.vif import frame_vif

__all__ = [
    "features",
    "features_of_chunk",
    "frame_adm",
    "frame_motion",
    "frame_vif",
    "lesser_motion",
]
