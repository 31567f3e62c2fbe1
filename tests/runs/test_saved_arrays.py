"""Saved trainings are told apart by everything that their results follow from."""

import jax
import numpy as np
import pytest

from vmaf_jax.runs.state import training_digest

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)
MASKS = np.array([[True, False, True], [False, True, True]])
PARTS = {"rows": ROWS, "masks": MASKS, "key": jax.random.key(0), "settings": "steps: 3"}


def digest(**change):
    parts = PARTS | change
    arrays = (parts["rows"], parts["masks"], {"deep": (parts["key"], np.ones(2))})
    return training_digest(*arrays, parts["settings"], "seed: 0")


def changed(array, place, value):
    other = array.copy()
    other[place] = value
    return other


@pytest.mark.parametrize(
    "change",
    [
        {"rows": changed(ROWS, (2, 3), 12.5)},
        {"rows": ROWS.reshape(4, 3)},
        {"rows": ROWS.view(np.int32)},
        {"masks": changed(MASKS, (1, 0), True)},
        {"key": jax.random.key(1)},
        {"settings": "steps: 4"},
    ],
    ids=["a number", "a shape", "a type", "a later array", "a key", "a setting"],
)
def test_a_training_that_differs_anywhere_has_another_digest(change):
    assert digest() == digest()
    assert digest(**change) != digest()


def test_order_and_depth_count():
    one, two = np.zeros(2), np.ones(2)
    assert training_digest(one, two) != training_digest(two, one)
    assert training_digest("a", "b") != training_digest("b", "a")
    assert training_digest("ab", "c") != training_digest("a", "bc")
