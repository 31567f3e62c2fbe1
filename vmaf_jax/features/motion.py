"""Motion: how much the blurred reference changes from frame to frame, as libvmaf has it.

The mean absolute luma difference of consecutive frames after a 5-tap Gaussian, in 8-bit luma
steps. motion2 of a frame is the lesser of the change before and the change after it, so that a
scene cut counts for neither neighbour; the first frame has 0, the last only its own.
Here the difference is blurred, which is the difference of the blurred frames: so a frame needs
the frame before it and nothing else.
Source: libvmaf's motion.c, motion_tools.h and float_motion.c.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.filters import smooth

BLUR = (0.054488685, 0.244201342, 0.402619947, 0.244201342, 0.054488685)


def frame_motion(reference: Float[Array, "h w"], before: Float[Array, "h w"]) -> Float[Array, ""]:
    """How far a frame is from the frame before it, 8-bit luma steps.

    Args:
        reference, before: luma on the 8-bit scale, 0-255.
    """
    return jnp.abs(smooth(reference - before, BLUR)).mean()


def motion2(motion: Float[Array, " t"]) -> Float[Array, " t"]:
    """motion2 of a whole clip's frames from their motion, 8-bit luma steps."""
    return jnp.minimum(motion, jnp.append(motion[1:], motion[-1]))
