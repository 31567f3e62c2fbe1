"""Columns of a Parquet file, checked before they are used: text, and finite numbers in range."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vmaf_jax.errors import InputError
from vmaf_jax.features.opinions import MOS_RANGE
from vmaf_jax.features.places import Place

_RANGES = {
    "mos": MOS_RANGE,
    "mos_ci95": (0.0, np.inf),
    "frame": (0.0, 2**31 - 1.0),
    "n_frames": (1.0, 2**31 - 1.0),
}
UNLIMITED = ("ciede2000", "psnr_hvs")  # dB, so infinite where two pictures are equal
_ANY_RANGE = (-1e6, 1e6)  # far beyond what any feature or score is


def require_columns(arrow: pa.Table, path: Place, names: Iterable[str]) -> None:
    """Raises InputError, naming the first that is missing, unless all `names` are columns."""
    missing = [name for name in names if name not in arrow.column_names]
    if missing:
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; it has {', '.join(arrow.column_names)}. "
            f"Run `vmaf-jax extract` again."
        )


def text_column(arrow: pa.Table, path: Place, name: str) -> npt.NDArray[np.object_]:
    """A column of text, `[n]`.

    Raises:
        InputError: it holds something else, or a row is empty.
    """
    column = arrow.column(name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(f"{path}: column {name!r} holds {column.type}, expected text.")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InputError(f"{path}: column {name!r}, row {row} is empty; fill it in.")
    coded = column.combine_chunks().dictionary_encode()
    texts = np.array(coded.dictionary.to_pylist(), dtype=object)  # one object a text, not a row
    return np.asarray(texts[coded.indices.to_numpy()], dtype=object)


def number_column(arrow: pa.Table, path: Place, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers, float64 `[n]`.

    Raises:
        InputError: it holds something else, or a row is empty, NaN, infinite or out of the range
            of such a column; names the row.
    """
    column = arrow.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"{path}: column {name!r} holds {column.type}, expected numbers.")
    try:
        floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise InputError(f"{path}: column {name!r}: {error}; extract again.") from error
    values = np.asarray(floats, dtype=np.float64)
    unlimited = np.isposinf(values) & (name in UNLIMITED)
    bad = np.flatnonzero(~np.isfinite(values) & ~unlimited)
    if bad.size:
        raise InputError(
            f"{path}: column {name!r}, row {bad[0]} is {values[bad[0]]}, expected a finite number; "
            f"extract that clip again."
        )
    low, high = _RANGES.get(name, _ANY_RANGE)
    if (beyond := np.flatnonzero(((values < low) | (values > high)) & ~unlimited)).size:
        raise InputError(
            f"{path}: column {name!r}, row {beyond[0]} is {values[beyond[0]]}, expected {low:g} to "
            f"{high:g}; correct it."
        )
    return values


def check_unique(path: Place, keys: list[npt.NDArray[Any]]) -> None:
    """Raises InputError where two rows have the same key: one clip or frame twice."""
    group = np.zeros(len(keys[0]), np.int64)
    for key in keys:
        codes = pa.array(key).dictionary_encode().indices.to_numpy()
        both = group * (int(codes.max(initial=0)) + 1) + codes
        group = np.unique(both, return_inverse=True)[1]
    order = np.argsort(group, kind="stable")
    again = order[1:][group[order[1:]] == group[order[:-1]]]
    if again.size:
        row = again.min()
        first = np.flatnonzero(group == group[row])[0]
        raise InputError(f"{path}: row {row} repeats row {first}; remove one of them.")
