"""A training cut into calls, stopped and taken up again: the bits of one that ran through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training import Rows, TrainingSettings, loso_masks, make_members, train_members
from vmaf_jax.training.pieces import piece_length

QUERIES = {"strategy": "teacher_queries", "batch_size": 64}


class StoppedError(Exception):
    """The training ends after a state was kept."""


class Memory:
    """Keeps the newest state; stops the training once, after `at` states."""

    def __init__(self, at):
        self.state, self.left = None, at

    def restore(self, like):
        if self.state is None:
            return None
        assert [leaf.shape for leaf in self.state] == [leaf.shape for leaf in like]
        return [leaf.copy() for leaf in self.state]

    def due(self):
        return True

    def keep(self, state, step):
        self.state, self.left = [np.array(leaf) for leaf in state], self.left - 1
        if self.left == 0:
            raise StoppedError


@pytest.mark.parametrize(
    ("network", "settings", "stops"),
    [
        ("nano", {}, (2, 22)),  # in the first group, and in the second
        pytest.param("nano", {"loss": "kl", "batch_size": 32}, (2,), marks=pytest.mark.slow),
        pytest.param("nano", QUERIES, (2,), marks=pytest.mark.slow),
        ("rbf", QUERIES | {"optimiser": "levenberg_marquardt", "steps": 6}, (2,)),
    ],
    ids=["rows", "kl batches", "queries", "least squares"],
)
def test_an_interrupted_training_ends_with_the_bits_of_one_that_was_not(
    support_vectors, network, settings, stops, monkeypatch
):
    monkeypatch.setenv("VMAF_JAX_MAX_TRAINING_BYTES", "1")  # two members a device at a time
    n_members = 2 * jax.device_count() + 1 if len(stops) > 1 else 3
    teacher = load_teacher("vmaf_v0.6.1")
    rows = Rows(
        jnp.asarray(support_vectors.features), jnp.asarray(teacher(support_vectors.features))
    )
    chosen = TrainingSettings(**({"steps": 60} | settings))
    _, masks = loso_masks(support_vectors.source)

    def run(keeper):
        return train_members(
            rows,
            make_members(masks[:n_members], [0], [1.0]),
            teacher.params() if "strategy" in settings else None,
            student=Student(network, chosen.head, dropout=0.1),
            settings=chosen,
            feature_set=FEATURES,
            keeper=keeper,
        )

    keeper, done = Memory(at=0), 0
    for stop in stops:
        keeper.left = stop
        with pytest.raises(StoppedError):
            run(keeper)
        done += stop * piece_length(chosen.steps)
        assert int(keeper.state[-1]) == done < 2 * chosen.steps
    resumed, straight, whole = run(keeper), run(Memory(at=-1)), run(None)
    for ours, theirs in zip(
        jax.tree.leaves((resumed.variables, resumed.losses)),
        jax.tree.leaves((straight.variables, straight.losses)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    # One call rounds otherwise; 60 steps apart by 2e-5 at the most.
    np.testing.assert_allclose(straight.losses, whole.losses, rtol=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 19, 60, 120, 997, 1500, 8000, 1_000_000])
def test_pieces_divide_a_training(steps):
    length = piece_length(steps)
    assert steps % length == 0
    assert 1 <= length <= max(1, min(250, steps // 20))
