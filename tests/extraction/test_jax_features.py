"""Frames as a decoder packs them."""

import jax.numpy as jnp
import numpy as np

from vmaf_jax.extraction.jax_features import FrameShape, unpack_planes


def test_planes_of_a_packed_frame_are_taken_apart():
    shape = FrameShape(4, 6, 2, 3)
    assert shape.samples == 4 * 6 + 2 * 2 * 3
    packed = np.arange(2 * shape.samples, dtype=np.uint16).reshape(2, -1)
    planes = unpack_planes(jnp.asarray(packed), shape)
    for plane, size, first in (
        (planes.y, (4, 6), 0),
        (planes.u, (2, 3), 24),
        (planes.v, (2, 3), 30),
    ):
        assert plane.shape == (2, *size)
        np.testing.assert_array_equal(
            plane.reshape(2, -1), packed[:, first : first + plane[0].size]
        )
