"""Names as numbers, against NumPy's own way of telling them apart."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from vmaf_jax.tables.categories import combine, encode, encode_sorted, first_rows

NAMES = st.lists(st.text("aéb\u4e00 ", max_size=3), max_size=40)
NUMBERS = st.integers(-3, 2**31 - 1)


def column(names):
    return np.array([*names, None], object)[:-1]


@hypothesis.given(NAMES)
def test_every_name_has_a_number(names):
    texts, codes = encode(column(names))
    assert texts == list(dict.fromkeys(names))
    assert [texts[k] for k in codes] == names
    texts, codes = encode_sorted(column(names))
    assert texts == sorted(set(names))
    assert [texts[k] for k in codes] == names


def test_names_keep_their_numbers_from_block_to_block():
    names = column([f"n{k % 7}" for k in range(150_000)])[np.r_[140_000:150_000, :140_000]]
    texts, codes = encode(names)
    assert len(texts) == 7
    assert np.array(texts, object)[codes].tolist() == names.tolist()


@hypothesis.given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=40))
def test_combinations_are_numbered_as_they_appear(rows):
    group = combine(*np.array(rows, np.int64).T)
    names = list(dict.fromkeys(rows))
    assert [names[k] for k in group] == rows
    assert [rows[k] for k in first_rows(group)] == names
    assert first_rows(group).tolist() == [rows.index(row) for row in names]


@pytest.mark.parametrize("codes", [np.zeros(0, np.int64), np.zeros(0, np.int32)])
def test_no_rows_are_no_groups(codes):
    assert combine(codes, codes).tolist() == []
    assert first_rows(combine(codes)).tolist() == []
