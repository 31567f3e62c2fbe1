"""All six features of a clip, whole or chunk by chunk.

A frame's values depend on the frame and the one before it alone, and are computed one frame at a
time: the picture's arrays then stay in the cache, and no value depends on the chunk's length.
motion2 looks one frame ahead, so chunks give motion, and `lesser_motion` ends the clip.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.jax_native.adm import frame_adm
from vmaf_jax.features.jax_native.motion import frame_motion, frames_before, lesser_motion
from vmaf_jax.features.jax_native.vif import frame_vif


def features(
    reference: Float[Array, "t h w"],
    distorted: Float[Array, "t h w"],
    *,
    gain_limit: float = 100.0,
) -> Float[Array, "t f"]:
    """adm2, vif_scale0 to vif_scale3 and motion2 of each frame of a whole clip.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255 (10 bits divided by 4, 12 by 16), at
            least 17 pixels high and wide.
        gain_limit: the largest contrast gain that VIF and ADM count, at least 1 (1 in the NEG
            models, which is to say none).
    """
    rows = features_of_chunk(reference, distorted, frames_before(reference), gain_limit=gain_limit)
    return rows.at[:, -1].set(lesser_motion(rows[:, -1]))


def features_of_chunk(
    reference: Float[Array, "t h w"],
    distorted: Float[Array, "t h w"],
    before: Float[Array, "t h w"],
    *,
    gain_limit: float = 100.0,
) -> Float[Array, "t f"]:
    """As `features` with motion in place of motion2; each row from its own frames alone.

    Args:
        before: the reference's frame before each frame, as `frames_before` gives them.
    """

    def one(frame: tuple[Float[Array, "h w"], ...]) -> Float[Array, " f"]:
        reference, distorted, before = frame
        return jnp.concatenate(
            [
                frame_adm(reference, distorted, gain_limit)[None],
                frame_vif(reference, distorted, gain_limit),
                frame_motion(reference, before)[None],
            ]
        )

    return jax.lax.map(one, (reference, distorted, before))
