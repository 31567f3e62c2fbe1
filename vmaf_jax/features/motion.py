"""Motion: how much the blurred reference changes from frame to frame, as in libvmaf.

The mean absolute luma difference of consecutive frames after a 5-tap Gaussian, in 8-bit luma
steps. motion2 of a frame is the lesser of the change before and the change after it, so that a
scene cut counts for neither neighbour; the first frame has 0, the last only its own.
motion3, of VMAF v1, is motion2 up to a limit, and its first frame has the second one's motion. For
high frame rates it is taken two frames apart and averaged with the frame before.
Here the difference is blurred, which equals the difference of the blurred frames, so that a frame
needs the frame before it and nothing else.
Source: libvmaf's motion.c, motion_tools.h, float_motion.c and integer_motion.c.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.features.filters import correlate, mirror, smooth

# A Gaussian of five taps, in the digits of libvmaf's `FILTER_5_s`.
BLUR = (0.054488685, 0.244201342, 0.402619947, 0.244201342, 0.054488685)
_STRIP = 16  # rows


def frame_motion(reference: Float[Array, "h w"], before: Float[Array, "h w"]) -> Float[Array, ""]:
    """Computes how far a frame is from the frame before it, 8-bit luma steps.

    Args:
        reference, before: luma on the 8-bit scale, 0-255.
    """
    return _mean_change(reference - before)


@jax.custom_vjp
def _mean_change(difference: Float[Array, "h w"]) -> Float[Array, ""]:
    """Returns the mean absolute value of a blurred picture."""
    return jax.lax.platform_dependent(difference, cpu=_mean_by_strips, default=_mean_of_whole)


def _mean_of_whole(difference: Float[Array, "h w"]) -> Float[Array, ""]:
    return jnp.abs(smooth(difference, BLUR)).mean()


def _mean_by_strips(difference: Float[Array, "h w"]) -> Float[Array, ""]:
    """Computes `_mean_of_whole` a few rows at a time, so that a CPU's cache holds the products.

    XLA writes the product of each tap out as a picture, which for 1080p took four times as long.
    """
    (h, w), halo = difference.shape, len(BLUR) - 1
    n_strips = -(-h // _STRIP)
    framed = mirror(difference, len(BLUR) // 2)
    framed = jnp.pad(framed, ((0, n_strips * _STRIP - h), (0, 0)))

    def add_strip(total: Array, k: Array) -> tuple[Array, None]:
        rows = jax.lax.dynamic_slice(framed, (k * _STRIP, 0), (_STRIP + halo, framed.shape[1]))
        columns = jax.lax.optimization_barrier(correlate(rows, BLUR, -2, 1))
        blurred = jnp.abs(correlate(columns, BLUR, -1, 1))
        inside = k * _STRIP + jnp.arange(_STRIP) < h
        return total + jnp.where(inside[:, None], blurred, 0).sum(), None

    none = jnp.zeros((), difference.dtype)
    return jax.lax.scan(add_strip, none, jnp.arange(n_strips))[0] / (h * w)


def _mean_forward(difference: Array) -> tuple[Array, Array]:
    return _mean_change(difference), difference


def _mean_backward(difference: Array, gradient: Array) -> tuple[Array]:
    """Returns the gradient of the whole: through the loop, that of each strip is a picture."""
    return tuple(jax.vjp(_mean_of_whole, difference)[1](gradient))


_mean_change.defvjp(_mean_forward, _mean_backward)


def motion2(motion: Float[Array | np.ndarray, " t"]) -> Any:
    """Returns motion2 of a whole clip from its frames' motion, 8-bit luma steps, NumPy or JAX."""
    library: Any = np if isinstance(motion, np.ndarray) else jnp
    return library.minimum(motion, library.concatenate([motion[1:], motion[-1:]]))


class MotionSettings(NamedTuple):
    """A model's options of motion3.

    Attributes:
        apart: frames between the two that are compared, 1 or 2.
        average: whether a frame's value is averaged with the one before it.
        most: the largest value, 8-bit luma steps.
    """

    apart: int = 1
    average: bool = False
    most: float = 18.0


def motion3(motion: Float[Array | np.ndarray, " t"], settings: MotionSettings) -> Any:
    """Returns motion3 of a whole clip's frames from their motion, 8-bit luma steps.

    Args:
        motion: of each frame from the one `settings.apart` before it, in NumPy or JAX. The first
            frames have none before them, and their values are not read.
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
