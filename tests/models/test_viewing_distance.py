"""Viewing distance: a score never falls from afar, the ends stay, and training finds the gain."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.models import Student, deploy
from vmaf_jax.models.viewing_distance import ViewingDistance, move_scores

KNOWN = ViewingDistance(own=1.6, nearest=1.6, farthest=4.8, gain=0.5)


@given(st.floats(0, 100), st.floats(1, 6), st.floats(1, 6))
def test_scores_stay_on_the_scale_and_never_fall_with_the_distance(score, one, other):
    near, far = (move_scores(score, KNOWN.strength(d)) for d in sorted((one, other)))
    assert 0 <= near <= far + 1e-9
    assert far <= 100 + 1e-9


def test_a_middling_score_rises_by_a_quarter_of_the_gain_a_factor_e():
    assert move_scores(50.0, 0.5) == pytest.approx(62.5)
    assert KNOWN.strength(1.6) == 0
    assert KNOWN.strength(3.2) == pytest.approx(0.5 * math.log(2))
    assert KNOWN.strength(9.0) == KNOWN.strength(4.8)  # nobody voted from there
    assert move_scores(np.array([0.0, 100.0]), KNOWN.strength(4.8)).tolist() == [0.0, 100.0]


def test_encodes_keep_their_order_at_every_distance():
    moved = move_scores(np.linspace(0, 100, 1001), KNOWN.strength(4.8))
    assert (np.diff(moved) > 0).all()


@pytest.mark.parametrize(
    "change", [{"own": 0.0}, {"gain": -0.1}, {"gain": math.nan}, {"nearest": 5.0}, {"gain": 1.0}]
)
def test_what_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match="no viewing distances"):
        dataclasses.replace(KNOWN, **change)


@pytest.mark.parametrize("network", ["rbf", "nano"])
def test_the_deployed_student_moves_its_scores_alike(network):
    far = Student(network, knows_distance=True, log_distance=math.log(2))
    near = dataclasses.replace(far, log_distance=0.0)
    variables = far.init(jax.random.key(0))
    x = np.random.default_rng(0).uniform(0, 1, (50, 6)).astype(np.float32)
    plain = np.asarray(near.predict(variables, x), np.float64)
    expected = move_scores(plain, 0.5 * math.log(2))  # 0.5 is where training starts
    deployed = deploy(far, variables)
    np.testing.assert_allclose(
        deployed.predict(deployed.constants, jnp.asarray(x)), expected, atol=1e-3
    )
    np.testing.assert_allclose(far.predict(variables, x), expected, atol=1e-3)
    away = np.full(50, math.log(2), np.float32)
    np.testing.assert_allclose(near.predict(variables, x, None, away), expected, atol=1e-3)
    assert far.n_params() == Student(network).n_params() + 1
