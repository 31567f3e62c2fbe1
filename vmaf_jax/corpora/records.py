"""Rows of a file that people write: CSV, JSON Lines or Parquet, checked before they are used."""

import csv
import difflib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.limits import limit

MAX_BYTES = 64 << 20  # of a list of clips or votes, as text or decompressed
_MAX_CELLS = 20_000_000
_MAX_TEXT = 1024
Row = TypeVar("Row", bound=pydantic.BaseModel)


def is_file(path: Path) -> bool:
    """Whether `path` is a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def check_size(path: Path, most: int, what: str) -> None:
    """Raises InputError where `path` is no file, or is larger than `most` bytes."""
    if not is_file(path):
        raise InputError(f"{path}: no such {what}; check the name.")
    if (size := path.stat().st_size) > most:
        raise InputError(
            f"{path}: {size / 2**20:.0f} MiB, a {what} has at most {most / 2**20:.0f}; split it."
        )


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_header(path: Path, columns: Sequence[str], model: type[pydantic.BaseModel]) -> None:
    """Raises InputError where a header lacks a column, naming what may be meant for it."""
    for name, field in model.model_fields.items():
        if field.is_required() and name not in columns:
            near = difflib.get_close_matches(name, columns, 1)
            mend = f"is {near[0]!r} meant?" if near else f"it has {', '.join(columns) or 'none'}."
            raise InputError(f"{path}: has no column {name!r}; {mend}")


def read_records(
    path: Path, what: str, model: type[pydantic.BaseModel] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of `path` by column name; CSV gives text, the others their own types.

    Args:
        what: what the file is, for messages.
        model: whose required columns a CSV header must have.

    Raises:
        InputError: missing, of another kind, too large or broken.
    """
    check_size(path, limit("MANIFEST_BYTES", MAX_BYTES), what)
    try:
        match path.suffix.lower():
            case ".csv":
                with path.open(newline="", encoding="utf-8-sig") as file:
                    rows = csv.DictReader(file)
                    if model is not None:
                        _check_header(path, rows.fieldnames or [], model)
                    yield from rows
            case ".jsonl":
                for line in path.read_text(encoding="utf-8").splitlines():
                    if line.strip():
                        yield json.loads(line, parse_constant=_no_constant)
            case ".parquet":
                yield from read_parquet(path, MAX_BYTES, _MAX_CELLS).to_pylist()
            case _:
                raise InputError(f"{path}: unknown kind; expected .csv, .jsonl or .parquet.")
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable ({error}); check the file.") from error


def read_parquet(
    path: Path, max_bytes: int, max_cells: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """A Parquet file of flat columns; text comes as dictionaries, so that repeats cost little.

    Args:
        max_bytes: that it may decompress to.
        max_cells: rows times columns that it may have: encodings repeat a value for nothing.
        columns: those to read, by default all.

    Raises:
        InputError: too large, nested columns, text of over 1,024 characters, or a column that is
            missing. What Arrow raises of a broken file is the caller's affair.
    """
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    chosen = list(schema.names if columns is None else columns)
    if missing := [name for name in chosen if name not in schema.names]:
        raise missing_column(path, missing[0], schema.names)
    size = sum(metadata.row_group(k).total_byte_size for k in range(metadata.num_row_groups))
    if size > max_bytes or metadata.num_rows * max(len(chosen), 1) > max_cells:
        raise InputError(
            f"{path}: {metadata.num_rows} rows, {size / 2**20:.0f} MiB; at most "
            f"{max_cells // max(len(chosen), 1)} rows and {max_bytes / 2**20:.0f} MiB are read, "
            f"split it."
        )
    for name in chosen:
        if pa.types.is_nested(schema.field(name).type):
            raise InputError(f"{path}: column {name!r} holds {schema.field(name).type}; drop it.")
    text = [name for name in chosen if _is_text(schema.field(name).type)]
    table = pq.ParquetFile(path, read_dictionary=text, page_checksum_verification=True).read(
        columns=chosen
    )
    table.validate(full=True)  # text that is no UTF-8
    for name in text:
        for chunk in table.column(name).chunks:
            if pa.types.is_dictionary(chunk.type):
                longest = pc.max(pc.utf8_length(chunk.dictionary)).as_py() or 0
                if longest > _MAX_TEXT:
                    raise InputError(
                        f"{path}: column {name!r} has text of {longest} characters, at most "
                        f"{_MAX_TEXT} are read; shorten it."
                    )
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def missing_column(path: Path, name: str, present: Sequence[str]) -> InputError:
    """The error that a column is missing."""
    return InputError(
        f"{path}: column {name!r} is missing; it has {', '.join(present)[:200]}. Add it."
    )


def parse_record(model: type[Row], path: Path, number: int, values: Any) -> Row:
    """One row as `model` describes it; empty cells and NaN are left out.

    Raises:
        InputError: no record, more cells than columns, or a cell that `model` refuses; names the
            row and the column.
    """
    if not isinstance(values, dict):
        raise InputError(f"{path}: row {number} is no record; give column names and values.")
    if None in values:
        raise InputError(f"{path}: row {number} has more cells than there are columns; correct it.")
    present = {
        key: value
        for key, value in values.items()
        if value not in (None, "") and not (isinstance(value, float) and math.isnan(value))
    }
    try:
        return model.model_validate(present)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        column = str(first["loc"][0])
        mend = "fill it in or correct it"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(column, list(model.model_fields), 1)
            mend = f"did you mean {near[0]!r}?" if near else "remove that column"
        raise InputError(
            f"{path}: row {number}, column {column!r}: {first['msg']}; {mend}."
        ) from error
