"""Numbers of cells: plain decimal notation is read, what only Python takes for one is refused."""

import decimal

import numpy as np
import pytest

from vmaf_jax.corpora.records import read_number, read_whole


@pytest.mark.parametrize(
    ("cell", "number"),
    [(" 12.5 ", 12.5), ("-.5e1", -5.0), ("3.", 3.0), (7, 7.0), (np.float32(0.5), 0.5)],
)
def test_plain_numbers_are_read(cell, number):
    assert read_number(cell) == number
    assert read_number(decimal.Decimal("2.25")) == 2.25


@pytest.mark.parametrize(
    "cell",
    ["", "7_0", "inf", "nan", "1e999", "٣", "1,5", "0x10", "1" * 65, True, None, [1], 10**400],
)
def test_anything_else_is_refused_and_shown_shortly(cell):
    with pytest.raises(ValueError, match="expected a number such as") as refusal:
        read_number(cell)
    assert len(str(refusal.value)) < 100


def test_whole_numbers_may_be_written_with_a_point():
    assert [read_whole(cell) for cell in ("3", "3.0", "3e0", 3, 2**62)] == [3, 3, 3, 3, 2**62]
    with pytest.raises(ValueError, match=r"expected a whole number, received '3\.5'"):
        read_whole("3.5")
