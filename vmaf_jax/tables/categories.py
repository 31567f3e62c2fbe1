"""Columns of names as numbers, so that work over many rows holds each name once.

A column of names, `[n]`, is an array of objects that rows share: 8 bytes a row. NumPy's own text
would take four bytes a character and row.

Arrow imports pandas, where it is installed, to make an array of objects and to return one to NumPy.
That takes longer than a cached score otherwise does; buffers and DLPack do without.
"""

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


def encode(names: npt.NDArray[np.object_]) -> tuple[list[str], Codes]:
    """Returns the distinct names in order of appearance, and the number of each row's, `[n]`."""
    numbers: dict[str, int] = {}
    number = (numbers.setdefault(name, len(numbers)) for name in names)
    codes = np.fromiter(number, np.int64, len(names))
    return list(numbers), codes


def encode_sorted(names: npt.NDArray[np.object_]) -> tuple[list[str], Codes]:
    """Returns the distinct names, sorted, and the number of each row's, `[n]`."""
    texts, codes = encode(names)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return [texts[k] for k in order], np.argsort(np.array(order, np.int64))[codes]


def combine(*codes: npt.NDArray[np.integer]) -> Codes:
    """Returns the number of each row's combination of codes, `[n]`, by first appearance.

    Args:
        codes: whole numbers, `[n]` each.
    """
    group = _renumber(codes[0])
    for column in codes[1:]:
        number = _renumber(column)
        # Renumbered after each column, or the product of many would overflow.
        group = _renumber(group * (int(number.max(initial=0)) + 1) + number)
    return group


def first_rows(group: Codes) -> Codes:
    """Returns the first row of each group, `[groups]`, numbered by first appearance."""
    # A group begins where the highest number so far rises.
    return np.flatnonzero(np.diff(np.maximum.accumulate(group), prepend=-1))


def _renumber(column: npt.NDArray[np.integer]) -> Codes:
    """Returns the number of each value, by first appearance."""
    import pyarrow as pa  # here, for what needs names alone

    values = pa.py_buffer(np.ascontiguousarray(column, np.int64))
    coded = pa.Array.from_buffers(pa.int64(), len(column), [None, values]).dictionary_encode()
    return np.from_dlpack(coded.indices).astype(np.int64)
