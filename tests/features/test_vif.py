"""The windows of VIF's scales."""

import numpy as np
import pytest

from vmaf_jax.features.vif import N_SCALES, window


@pytest.mark.parametrize("scale", range(N_SCALES))
def test_windows_are_symmetric_and_sum_to_one(scale):
    taps = np.array(window(scale))
    assert taps.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(taps, taps[::-1])
