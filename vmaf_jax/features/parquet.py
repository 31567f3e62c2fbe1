"""Parquet files from anywhere, read within limits: a small file can stand for a great deal.

Rows and the memory that they take are looked at in the footer, before anything is read.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.limits import limit

MAX_ROWS = 5_000_000
MAX_TABLE_BYTES = 4 << 30  # in memory


def read_parquet(path: Path) -> pa.Table:
    """The table in a Parquet file, text as plain strings.

    Raises:
        InputError: no regular file, or more rows or bytes than the limits allow.
        OSError, pa.ArrowException: it is no Parquet file, or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: not a regular file; name one.")
    most_rows, most_bytes = limit("ROWS", MAX_ROWS), limit("TABLE_BYTES", MAX_TABLE_BYTES)
    schema = pq.read_schema(path)
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=text)
    n = file.metadata.num_rows
    if n > most_rows:
        raise InputError(
            f"{path}: {n} rows, at most {most_rows} are read; cut it, or set VMAF_JAX_MAX_ROWS."
        )
    in_memory = n * 8 * len(schema)
    if in_memory <= most_bytes:
        table = file.read()
        for name in text:
            longest = [pc.max(pc.binary_length(c.dictionary)).as_py() for c in _chunks(table, name)]
            in_memory += n * max((length or 0 for length in longest), default=0)
    if in_memory > most_bytes:
        raise InputError(
            f"{path}: takes {in_memory} bytes in memory, at most {most_bytes} are read; cut it, or "
            f"set VMAF_JAX_MAX_TABLE_BYTES."
        )
    return table.cast(schema)


def _chunks(table: pa.Table, name: str) -> list[pa.DictionaryArray]:
    return [chunk for chunk in table.column(name).chunks if pa.types.is_dictionary(chunk.type)]
