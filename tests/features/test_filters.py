"""Separable filters beside NumPy's and SciPy's."""

import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from vmaf_jax.features.filters import mirror, smooth

PICTURE = np.random.default_rng(0).uniform(0, 255, (9, 12)).astype(np.float32)


def test_mirror_is_numpys_reflection():
    np.testing.assert_array_equal(mirror(jnp.asarray(PICTURE), 3), np.pad(PICTURE, 3, "reflect"))


def test_smooth_is_a_separable_correlation():
    taps = (0.25, 0.5, 0.25)
    picture = jnp.asarray(PICTURE)
    expected = scipy.ndimage.correlate(PICTURE, np.outer(taps, taps), mode="mirror")
    np.testing.assert_allclose(smooth(picture, taps), expected, rtol=1e-5)
    np.testing.assert_allclose(smooth(picture, taps, stride=2), expected[::2, ::2], rtol=1e-5)
