"""What several processes agree on, here by one: kept and given back as one process keeps it."""

import numpy as np
import pytest

from vmaf_jax import interrupts
from vmaf_jax.progress import NO_PROGRESS
from vmaf_jax.runs import state as agreed_state
from vmaf_jax.runs.state import AgreedState, TrainingState, kept_state

LEAVES: list[np.ndarray] = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
RESULT = {"losses": np.ones(3), "finals": {"params": {"kernel": np.eye(2, dtype=np.float32)}}}


@pytest.fixture
def state(tmp_path):
    with TrainingState(tmp_path / "run", 0.0, NO_PROGRESS, several=True) as first:
        yield AgreedState(first, saves=True).of("this training")


def test_leaves_come_back_as_they_were_kept(state):
    assert state.restore(LEAVES) is None
    assert state.due()
    state.keep(LEAVES, 10)
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


def test_a_process_that_keeps_nothing_itself_is_due_when_it_is_to_end(monkeypatch):
    other = AgreedState(None, saves=True)
    assert not other.due()
    monkeypatch.setattr(interrupts, "save_requested", lambda: True)
    assert other.due()


@pytest.mark.parametrize(("every_s", "several"), [(None, False), (None, True), (1.0, False)])
def test_one_process_keeps_by_itself(every_s, several, tmp_path):
    with kept_state(tmp_path / "run", every_s, several=several) as state:
        assert (state is None) == (every_s is None and not several)
        assert state is None or (state.keeper is None) == (every_s is None)


@pytest.mark.parametrize("every_s", [0.0, 1.0])
def test_several_processes_save_at_any_interval(every_s, tmp_path, monkeypatch):
    monkeypatch.setattr(agreed_state, "several_processes", lambda: True)
    with kept_state(tmp_path / "run", every_s) as state:
        assert isinstance(state, AgreedState)
        assert state.keeper is state
