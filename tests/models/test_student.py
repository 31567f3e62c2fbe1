import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.test_networks import features
from vmaf_jax.models import HEADS, ROW_NETWORKS
from vmaf_jax.models.student import Student


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("network", sorted(ROW_NETWORKS))
def test_scores_are_rows_of_finite_points(network, head):
    student = Student(network, head)
    variables = student.init(jax.random.key(0))
    score = student.score(variables, features())
    assert score.shape == (64,)
    assert score.dtype == jnp.float32
    clipped = student.predict(variables, features())
    np.testing.assert_array_equal(clipped, np.clip(score, 0, 100))


def test_parameter_counts():
    assert Student("mlp", hidden=(5, 3)).n_params() == 6 * 5 + 5 + 5 * 3 + 3 + 3 + 1
    assert Student("nano").n_params() == 6 * 64 + 64 + 64 * 64 + 64 + 64 + 1
    assert Student("tiny").n_params() == 6 * 128 + 128 + 2 * (128 * 128 + 128) + 128 + 1
