"""Rows of a file that people write: CSV, JSON Lines or Parquet, checked before they are used."""

import csv
import difflib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.features.parquet import read_parquet
from vmaf_jax.limits import limit

MAX_BYTES = 64 << 20  # of a list of clips or votes, as text or decompressed
_MAX_ROWS = 1_000_000
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
                yield from read_parquet(
                    path, max_rows=_MAX_ROWS, max_bytes=4 * MAX_BYTES
                ).to_pylist()
            case _:
                raise InputError(f"{path}: unknown kind; expected .csv, .jsonl or .parquet.")
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable ({error}); check the file.") from error


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
