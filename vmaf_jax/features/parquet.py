"""Parquet files from anywhere, read within limits: a small file can stand for a great deal.

Rows, columns and the memory that they take are looked at in the footer, before anything is read;
text comes as dictionaries first, so that a value repeated a million times shows its length.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.features.places import Place, on_filesystem
from vmaf_jax.limits import limit

MAX_ROWS = 5_000_000
MAX_TABLE_BYTES = 4 << 30  # in memory
_MAX_TEXT = 4096  # characters, as paths have


def read_parquet(
    path: Place,
    *,
    columns: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_TABLE_BYTES,
) -> pa.Table:
    """Flat columns of a Parquet file, with the types of its schema.

    Args:
        columns: those to read, by default all.
        max_rows, max_bytes: in memory; `VMAF_JAX_MAX_ROWS` and `VMAF_JAX_MAX_TABLE_BYTES` set
            others.

    Raises:
        InputError: no regular file, more rows or bytes than the limits allow, nested columns, text
            of over 4,096 characters, or a column that is missing.
        OSError, pa.ArrowException: it is no Parquet file, or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: not a regular file; name one.")
    where, filesystem = on_filesystem(path)
    schema = pq.read_schema(where, filesystem=filesystem)
    names = list(schema.names if columns is None else columns)
    for name in names:
        if name not in schema.names:
            raise missing_column(path, name, schema.names)
        if schema.names.count(name) > 1:
            raise InputError(f"{path}: column {name!r} stands there more than once; drop one.")
        if pa.types.is_nested(schema.field(name).type):
            raise InputError(f"{path}: column {name!r} holds {schema.field(name).type}; drop it.")
    text = [name for name in names if _is_text(schema.field(name).type)]
    how: dict[str, Any] = {"page_checksum_verification": True, "read_dictionary": text}
    file = pq.ParquetFile(where, filesystem=filesystem, **how)
    n = file.metadata.num_rows
    if n > (most := limit("ROWS", max_rows)):
        raise InputError(
            f"{path}: {n} rows, at most {most} are read; cut it, or set VMAF_JAX_MAX_ROWS."
        )
    numbers = n * 8 * len(names)
    _check_bytes(path, numbers, max_bytes)
    table = file.read(columns=names)
    table.validate(full=True)  # text that is no UTF-8
    longest = {name: _longest(table, name) for name in text}
    for name, length in longest.items():
        if length > _MAX_TEXT:
            raise InputError(
                f"{path}: column {name!r} has text of {length} characters, at most {_MAX_TEXT} are "
                f"read; shorten it."
            )
    _check_bytes(path, numbers + n * sum(longest.values()), max_bytes)
    return table.cast(pa.schema([schema.field(name) for name in names], schema.metadata))


def missing_column(path: Place, name: str, present: Sequence[str]) -> InputError:
    """The error that a column is missing."""
    return InputError(
        f"{path}: column {name!r} is missing; it has {', '.join(present)[:200]}. Add it."
    )


def _check_bytes(path: Place, size: int, max_bytes: int) -> None:
    if size > (most := limit("TABLE_BYTES", max_bytes)):
        raise InputError(
            f"{path}: takes {size} bytes in memory, at most {most} are read; cut it, or set "
            f"VMAF_JAX_MAX_TABLE_BYTES."
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _longest(table: pa.Table, name: str) -> int:
    """The longest text of a column, in characters."""
    chunks = table.column(name).chunks
    texts = [c.dictionary if pa.types.is_dictionary(c.type) else c for c in chunks]
    return max((pc.max(pc.utf8_length(text)).as_py() or 0 for text in texts), default=0)
