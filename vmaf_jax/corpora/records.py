"""Rows of a file that people write: CSV, JSON Lines or Parquet, checked before they are used.

CSV is read as spreadsheets and people write it: encodings, delimiters, decimal commas.

Numbers are plain decimal notation in ASCII, and finite. Python's `float` and Pydantic take more:
`7_0` for 70, `true` for 1, Arabic digits, `inf`, `1e999`. In a table of measurements each is a
mistake.
"""

import csv
import dataclasses
import decimal
import difflib
import io
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import numpy as np
import pyarrow as pa
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.files import limit, unique_keys
from vmaf_jax.tables.reading import read_parquet

if TYPE_CHECKING:
    import _csv

NO_UTF_8 = "byte {} is no UTF-8, save it as UTF-8"
_MAX_HEADER = 2**20  # bytes in which a header is looked for
_DELIMITERS = ",;\t"
# What stands in these is text, though it may look like a number with a decimal comma.
_TEXT_COLUMNS = re.compile(
    "clip|codec|content|distorted|experiment|label_scale|log|model|pix_fmt|reference|source|subject"
)
_END = "\0"  # a line below the last; no sound CSV file has it
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?\s*")


@dataclasses.dataclass(frozen=True)
class CsvFormat:
    """Encoding and layout of a CSV file.

    Attributes:
        encoding: Python's name of it; a byte order mark is not part of the text.
        delimiter: between cells: a comma, a semicolon or a tab.
        rows_from: lines above the first row: the header, empty ones, and Excel's `sep=;`.
        columns: names, without blanks around them.
    """

    encoding: str
    delimiter: str
    rows_from: int
    columns: tuple[str, ...]


def read_csv_format(path: Path) -> CsvFormat:
    """Detects how a CSV file is written, from its first lines.

    Raises:
        InputError: a column that occurs twice.
        OSError, ValueError, csv.Error: it cannot be read as text.
    """
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    encoding = encoding_of(start)
    if encoding == "utf-16":
        start = start[: len(start) // 2 * 2]  # whole code units
    lines = io.StringIO(start.decode(encoding, errors="ignore"), newline="").readlines()
    chosen = re.fullmatch(r'"?sep=(.)"?\s*', lines[0]) if lines else None  # Excel's own line
    header = lines[1:] if chosen else lines
    candidates = chosen[1] if chosen else _DELIMITERS
    readers = {mark: _reader(header, mark) for mark in candidates}
    # The delimiter is the one that parts the header into most columns.
    cells = {mark: next(_without_empty(reader), []) for mark, reader in readers.items()}
    delimiter = max(cells, key=lambda mark: len(cells[mark]))
    columns = tuple(name.strip() for name in cells[delimiter])
    for k, name in enumerate(columns):
        if name and name in columns[:k]:
            raise InputError(f"{path}: column {name!r} occurs twice; drop or rename one.")
    rows_from = int(bool(chosen)) + readers[delimiter].line_num
    return CsvFormat(encoding, delimiter, rows_from, columns)


def read_csv_rows(path: Path, form: CsvFormat) -> Iterator[list[str]]:
    """Yields the rows below a CSV file's header, without empty lines.

    Decimal commas become points where a comma does not separate cells.

    Raises:
        InputError: some numbers have decimal commas, others decimal points.
        OSError, ValueError, csv.Error: it cannot be read as text, or a quotation mark is not
            closed, so that a cell goes on to the end of the file.
    """
    commas = points = ""
    with path.open(newline="", encoding=form.encoding) as file:
        for _ in range(form.rows_from):
            file.readline()
        rows = _without_empty(_reader(itertools.chain(file, [_END]), form.delimiter))
        for number, row in enumerate(rows, 1):
            if row == [_END]:
                return
            if row[-1].endswith(_END):
                raise ValueError(f"a quotation mark in row {number} is not closed")
            if form.delimiter != ",":
                for k, (cell, name) in enumerate(zip(row, form.columns, strict=False)):
                    if _TEXT_COLUMNS.fullmatch(name):
                        continue
                    if _DECIMAL_COMMA.fullmatch(cell):
                        row[k] = cell.replace(",", ".")
                        commas = commas or f"{cell.strip()} in row {number}"
                    elif _DECIMAL_POINT.fullmatch(cell):
                        points = points or f"{cell.strip()} in row {number}"
                if commas and points:
                    raise InputError(
                        f"{path}: has decimal commas ({commas}) and decimal points ({points}); "
                        f"write all numbers in one way."
                    )
            yield row


def _reader(lines: Iterable[str], delimiter: str) -> "_csv.Reader":
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _without_empty(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """Returns the rows that hold anything."""
    return (row for row in rows if any(cell.strip() for cell in row))


def encoding_of(start: bytes) -> str:
    """Returns Python's name of the encoding that a text file's first bytes show, its mark removed.

    PowerShell and Excel write UTF-16; all else is UTF-8.
    """
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def decode(content: bytes) -> str:
    """Returns the text of a file's bytes, with line ends as `\\n`.

    Raises:
        ValueError: they are no text; the message says how to save it.
    """
    try:
        text = content.decode(encoding_of(content))
    except UnicodeDecodeError as error:
        raise ValueError(NO_UTF_8.format(error.start)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
                raise InputError(
                    f"{path}: unknown kind of {what}; expected .csv, .tsv, .jsonl or .parquet."
                )
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
