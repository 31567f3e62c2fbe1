"""Values of a run's files, which may lack anything or hold anything."""

import math

import pytest

from vmaf_jax.reporting.run_view import common_limits, number_at, object_at


@pytest.mark.parametrize("value", [None, "1", True, [1], {}, math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_counts_as_missing(value):
    assert number_at({"n": value}, "n") is None
    assert number_at({}, "n") is None


def test_numbers_and_objects_are_found():
    assert number_at({"n": 3}, "n") == 3.0
    assert object_at({"a": {"b": 1}}, "a") == {"b": 1}
    assert object_at({"a": [1]}, "a") == object_at({}, "a") == {}


def test_limits_say_whom_a_model_agrees_with():
    assert common_limits("mos")[1].startswith("It was fitted to the opinion scores")
    assert "Agreement is with vmaf_v0.6.1, not" in common_limits("vmaf_v0.6.1")[1]
