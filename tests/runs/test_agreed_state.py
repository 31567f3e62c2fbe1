"""What several processes agree on, here by one: saved and given back as one process saves it."""

import numpy as np
import pytest

from vmaf_jax import interrupts
from vmaf_jax.runs import state as training_state
from vmaf_jax.runs.state import TrainingState, open_state

LEAVES: list[np.ndarray] = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
RESULT = {"losses": np.ones(3), "finals": {"params": {"kernel": np.eye(2, dtype=np.float32)}}}


@pytest.fixture(autouse=True)
def agreement(monkeypatch):
    monkeypatch.setattr(training_state, "several_processes", lambda: True)


@pytest.fixture
def state(tmp_path):
    with TrainingState(tmp_path / "run", 0.0, several=True) as first:
        yield first.of("this training")


def test_leaves_come_back_as_they_were_kept(state):
    assert state.restore(LEAVES) is None
    assert state.due()
    state.save(LEAVES, 10)
    for expected, ours in zip(LEAVES, state.restore(LEAVES), strict=True):
        np.testing.assert_array_equal(ours, expected)
        assert ours.dtype == expected.dtype
    state.of("another training")
    assert state.restore(LEAVES) is None


def test_a_result_comes_back_with_its_tree(state):
    assert state.result() is None
    state.end(RESULT)
    again = state.result()
    np.testing.assert_array_equal(again["losses"], RESULT["losses"])
    np.testing.assert_array_equal(again["finals"]["params"]["kernel"], np.eye(2))
    state.remove()
    assert state.result() is None


def test_a_process_that_writes_nothing_is_due_when_it_is_to_end(monkeypatch):
    other = TrainingState(None, 1e9)
    assert not other.due()
    monkeypatch.setattr(interrupts, "save_requested", lambda: True)
    assert other.due()


@pytest.mark.parametrize(("every_s", "several"), [(None, False), (None, True), (0.0, False)])
def test_states_are_opened_where_something_is_saved(every_s, several, tmp_path):
    with open_state(tmp_path / "run", every_s, several=several) as state:
        assert (state is None) == (every_s is None and not several)
        assert state is None or (state.saver is None) == (every_s is None)
