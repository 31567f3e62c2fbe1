import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.evaluation.metrics import ulp_distance

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def ulps(a, b):
    return int(ulp_distance(np.array([a], np.float32), np.array([b], np.float32))[0])


@given(finite)
def test_neighbours_are_one_apart(value):
    x = np.float32(value)
    with np.errstate(over="ignore"):  # the largest float's neighbour is infinite
        up = np.nextafter(x, np.float32(np.inf))
    if np.isfinite(up):
        assert ulps(x, up) == 1
    assert ulps(x, x) == 0


@given(finite, finite, finite)
def test_it_is_a_distance(a, b, c):
    assert ulps(a, b) == ulps(b, a)
    assert ulps(a, c) <= ulps(a, b) + ulps(b, c)


def test_right_across_zero_and_for_signs():
    tiny = np.nextafter(np.float32(0), np.float32(1))
    assert ulps(0.0, -0.0) == 0
    assert ulps(-tiny, tiny) == 2
    assert ulps(-1.0, 1.0) == 2 * ulps(0.0, 1.0)
    assert ulps(1.0, 1.0 + 2**-23) == 1
