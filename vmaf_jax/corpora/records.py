"""Rows of a file that people write: CSV, JSON Lines or Parquet, checked before they are used.

Numbers are plain decimal notation in ASCII, and finite. Python's `float` and Pydantic take more:
`7_0` for 70, `true` for 1, Arabic digits, `inf`, `1e999`. In a table of measurements each is a
mistake.
"""

import csv
import decimal
import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import numpy as np
import pyarrow as pa
import pydantic

from vmaf_jax.corpora.csv_files import NO_UTF_8, CsvFormat, decode, read_csv_format, read_csv_rows
from vmaf_jax.errors import InputError
from vmaf_jax.files import limit
from vmaf_jax.tables.reading import read_parquet

MAX_BYTES = 64 << 20  # of a list of clips or votes, as text or decompressed
_MAX_ROWS = 1_000_000
Row = TypeVar("Row", bound=pydantic.BaseModel)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_LENGTH = 64  # characters; a double takes 24
_NUMERIC = (int, float, decimal.Decimal, np.integer, np.floating)  # Parquet has decimals too
_BLANKS = " \t\r\n"


def read_records(
    path: Path, what: str, model: type[pydantic.BaseModel] | None = None
) -> Iterator[object]:
    """Reads the rows of `path` by column name; CSV gives text, the others their own types.

    Args:
        what: what the file is, for messages.
        model: whose required columns a CSV header must have.

    Raises:
        InputError: missing, of another kind, too large or broken.
    """
    check_size(path, limit("MANIFEST_BYTES", MAX_BYTES), what)
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv" | ".txt":
                form = read_csv_format(path)
                if model is not None:
                    _check_columns(path, form.columns, model)
                for number, row in enumerate(read_csv_rows(path, form), 1):
                    yield _cells(row, form, path, number)
            case ".jsonl":
                for line in decode(path.read_bytes()).split("\n"):
                    if line.strip():
                        yield read_json(line)
            case ".parquet":
                yield from read_parquet(
                    path, max_rows=_MAX_ROWS, max_bytes=4 * MAX_BYTES
                ).to_pylist()
            case _:
                raise InputError(f"{path}: unknown kind; expected .csv, .tsv, .jsonl or .parquet.")
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        reason = NO_UTF_8.format(error.start) if isinstance(error, UnicodeDecodeError) else error
        raise InputError(f"{path}: not readable ({reason}); check the file.") from error


def parse_record(model: type[Row], path: Path, number: int, values: object) -> Row:
    """Parses one row as `model` describes it; empty cells and NaN are left out.

    Raises:
        InputError: no record, more cells than columns, or a cell that `model` refuses; names the
            row and the column.
    """
    if not isinstance(values, dict):
        raise InputError(f"{path}: row {number} is no record; give column names and values.")
    present = {
        key: value
        for key, value in values.items()
        if value not in (None, "") and not (isinstance(value, float) and math.isnan(value))
    }
    # A column in other letters would pass as an unknown one, which some files may have.
    for key in present.keys() - model.model_fields.keys():
        if isinstance(key, str) and (name := key.lower()) in model.model_fields.keys() - present:
            raise InputError(f"{path}: has a column {key!r}; rename it to {name!r}.")
    try:
        return model.model_validate(present)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        column = str(first["loc"][0])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            raise InputError(
                f"{path}: row {number}, column {column!r} is empty or missing; fill it in."
            ) from error
        mend = "fill it in or correct it"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(column, list(model.model_fields), 1)
            mend = f"did you mean {near[0]!r}?" if near else "remove that column"
        raise InputError(f"{path}: row {number}, column {column!r}: {reason}; {mend}.") from error


def is_file(path: Path) -> bool:
    """Returns whether `path` is a file; a name that no file can have is none."""
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


def _check_columns(path: Path, columns: Sequence[str], model: type[pydantic.BaseModel]) -> None:
    """Raises InputError where a header lacks a column, with the column that may be meant."""
    for name, field in model.model_fields.items():
        if field.is_required() and name not in columns:
            by_letters = [other for other in columns if other.lower() == name.lower()]
            others = [other for other in columns if other not in model.model_fields]
            near = by_letters or difflib.get_close_matches(name, others, 1)
            if len(columns) == 1 and not by_letters:
                mend = f"its only column is {columns[0]!r}, are cells separated by , or ; or a tab?"
            elif near:
                mend = f"is {near[0]!r} meant?"
            else:
                mend = f"it has {', '.join(columns)[:200] or 'none'}."
            raise InputError(f"{path}: has no column {name!r}; {mend}")


def _cells(row: Sequence[str], form: CsvFormat, path: Path, number: int) -> dict[str, str]:
    """Returns a row's cells by column; those beyond the last column must be empty."""
    if any(cell.strip() for cell in row[len(form.columns) :]):
        raise InputError(f"{path}: row {number} has more cells than there are columns; correct it.")
    return dict(zip(form.columns, row, strict=False))


def read_json(text: str) -> object:
    """Returns what strict JSON holds: finite numbers, and each key once in its object.

    Raises:
        ValueError, RecursionError: it is no such JSON.
    """
    return json.loads(
        text, parse_constant=_no_constant, parse_float=_finite_float, object_pairs_hook=unique_keys
    )


def _no_constant(text: str) -> NoReturn:
    """Refuses NaN and infinity, which are no JSON, in `json.loads`."""
    raise ValueError(f"{text} is no number")


def _finite_float(text: str) -> float:
    """Returns a number of JSON, in `json.loads`.

    Raises:
        ValueError: it is too large for a double, as 1e999.
    """
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is too large")
    return number


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Returns a JSON object whose keys are unique, in `json.loads`; the last would win silently.

    Raises:
        ValueError: a key occurs twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return values


def check_listed(listing: Path, number: int, name: str) -> Path:
    """Returns the file that a row of a list names, relative to the list's folder.

    Raises:
        InputError: there is none.
    """
    path = listing.parent / name
    if not is_file(path):
        raise InputError(
            f"{listing}: row {number}: {str(path)[:200]}: no such file; paths are relative to the "
            f"list, check the name.{hint_at_slashes(name)}"
        )
    return path


def hint_at_slashes(name: str) -> str:
    """Returns a hint for the message about a missing file whose name has backslashes."""
    return " Folders are separated by /." if "\\" in name else ""


def read_number(value: object) -> float:
    """Returns the number that a cell holds, as text or as a number already.

    Raises:
        ValueError: it holds something else, a truth value, or a number that is not finite; the
            message says what was expected.
    """
    if isinstance(value, str):
        text = value.strip(_BLANKS)
        fits = len(text) <= _MAX_LENGTH and _NUMBER.fullmatch(text)
        number = float(text) if fits else math.nan
    elif isinstance(value, _NUMERIC) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    else:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number such as 12.5, received {show(value)}")
    return number


def read_whole(value: object) -> int:
    """Returns the whole number that a cell holds; `3`, `3.0` and `3e0` are 3.

    Raises:
        ValueError: as `read_number`, or it has a fraction.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    number = read_number(value)
    if not number.is_integer():
        raise ValueError(f"expected a whole number, received {show(value)}")
    return int(number)


def show(value: object) -> str:
    """Returns the start of a value as an error message names it."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a whole number of very many digits"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


Number = Annotated[float, pydantic.BeforeValidator(read_number)]
Whole = Annotated[int, pydantic.BeforeValidator(read_whole)]
