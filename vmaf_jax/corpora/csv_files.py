"""CSV files as spreadsheets and people write them: encodings, delimiters, decimal commas."""

import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vmaf_jax.errors import InputError

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
