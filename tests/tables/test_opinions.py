import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.tables.opinions import from_hundred, to_hundred, width_to_hundred


def test_five_points_become_a_hundred():
    votes = np.array([1.0, 2.0, 3.0, 5.0])
    assert to_hundred(votes, (1.0, 5.0)).tolist() == [0.0, 25.0, 50.0, 100.0]
    assert width_to_hundred(np.array([0.2]), (1.0, 5.0)).tolist() == [5.0]


@given(st.floats(-10, 10), st.floats(0.5, 200), st.floats(0, 1))
def test_a_scale_maps_there_and_back(low, width, place):
    scale = (low, low + width)
    vote = np.array([low + place * width])
    np.testing.assert_allclose(from_hundred(to_hundred(vote, scale), scale), vote, atol=1e-9)
