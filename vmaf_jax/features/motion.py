"""Motion: how much the blurred reference changes from frame to frame, as libvmaf has it.

The mean absolute luma difference of consecutive frames after a 5-tap Gaussian, in 8-bit luma
steps. motion2 of a frame is the lesser of the change before and the change after it, so that a
scene cut counts for neither neighbour; the first frame has 0, the last only its own.
motion3, of VMAF v1, is motion2 up to a limit, and its first frame has the second one's motion. For
high frame rates it is taken two frames apart and averaged with the frame before.
Here the difference is blurred, which is the difference of the blurred frames: so a frame needs
the frame before it and nothing else.
Source: libvmaf's motion.c, motion_tools.h, float_motion.c and integer_motion.c.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
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


class MotionSettings(NamedTuple):
    """What a model sets of motion3.

    Attributes:
        apart: frames between the two that are compared, 1 or 2.
        average: whether a frame's value is averaged with the one before it.
        most: the largest value, 8-bit luma steps.
    """

    apart: int = 1
    average: bool = False
    most: float = 18.0


def motion3(motion: Float[Array | np.ndarray, " t"], settings: MotionSettings) -> Any:
    """motion3 of a whole clip's frames from their motion, 8-bit luma steps.

    Args:
        motion: of each frame from the one `settings.apart` before it; what the first frames hold,
            which have none, does not matter. NumPy's arrays give NumPy's, JAX's JAX's.
    """
    library: Any = np if isinstance(motion, np.ndarray) else jnp
    apart, t = settings.apart, len(motion)
    if t <= apart:
        return library.zeros_like(motion)
    motion = library.minimum(motion, settings.most)
    first, after = motion[apart : apart + 1], motion[apart + 1 :]
    own_before = motion[1:-1] if apart == 1 else motion[apart:-2]
    head = after[:0] if apart == 1 else after[:1]  # frame 2 of two apart has none before it
    before = library.concatenate([head, own_before])
    own = library.concatenate([library.minimum(before, after), motion[-1:]])
    if settings.average:
        own = (own + library.concatenate([first, own[:-1]])) / 2
    return library.concatenate([library.broadcast_to(first, (apart,)), own])
