"""Tables of features that were measured elsewhere: `clip`, `frame` and features, a row a frame."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from vmaf_jax.corpora.csv_files import CsvFormat, read_csv_format
from vmaf_jax.corpora.logs import check_numbers, check_possible
from vmaf_jax.corpora.records import check_size
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.tables.reading import coded_text_column, missing_column, number_column, read_parquet
from vmaf_jax.tables.table import METADATA_KEY

MAX_FRAMES_BYTES = 4 * 2**30
_MAX_FRAMES = 50_000_000
_MAX_NAME = 1024  # characters
_MAX_LINE = 2**16


def read_frames(path: Path, feature_set: FeatureSet) -> dict[str, npt.NDArray[np.float64]]:
    """Reads the features of each clip, `[frames, features]`, by its name, in the file's order.

    Raises:
        InputError: missing, of another kind, too large or broken; a column that is missing or of
            another type; a value that is missing or not finite; a clip whose rows are apart, or
            whose frames do not count up by one.
    """
    names = ["clip", "frame", *feature_set]
    check_size(path, MAX_FRAMES_BYTES, "file of frames")
    try:
        match path.suffix.lower():
            case ".parquet":
                arrow = read_parquet(path, columns=names, max_rows=_MAX_FRAMES)
            case ".csv" | ".tsv" | ".txt":
                arrow = _read_csv(path, names)
            case _:
                raise InputError(f"{path}: unknown kind; expected .parquet, .csv or .tsv.")
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable ({reason}); check the file.") from error
    _check_origin(arrow, feature_set, path)
    if arrow.num_rows == 0:
        raise InputError(f"{path}: holds no frame; add rows.")
    frame = number_column(arrow, path, "frame")
    features = np.stack([number_column(arrow, path, name) for name in feature_set], axis=1)
    clips = {}
    for name, rows in _rows_by_clip(arrow, path).items():
        check_numbers(frame[rows], f"{path}: clip {name!r}")
        check_possible(features[rows], feature_set, f"{path}: clip {name!r}")
        clips[name] = features[rows]
    return clips


def _read_csv(path: Path, names: list[str]) -> pa.Table:
    """Reads columns of a CSV file, with the types that they must have."""
    types = {name: pa.float64() for name in names} | {"clip": pa.string()}
    form = read_csv_format(path)
    if missing := [name for name in names if name not in form.columns]:
        raise missing_column(path, missing[0], form.columns)
    if form.encoding != "utf-8-sig":
        raise InputError(f"{path}: is {form.encoding}; save it as UTF-8.")
    # Blank names, as of a trailing delimiter, are told apart by number; Arrow wants them unique.
    columns = [name or f"\0{k}" for k, name in enumerate(form.columns)]
    options = pyarrow.csv.ConvertOptions(
        include_columns=names,
        column_types=types,
        strings_can_be_null=True,
        null_values=[""],
        decimal_point="," if _has_decimal_commas(path, form) else ".",
    )
    try:
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(column_names=columns, skip_rows=form.rows_from),
            parse_options=pyarrow.csv.ParseOptions(delimiter=form.delimiter),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        if (column := re.match(r"In CSV column #(\d+): (.*)", str(error))) is None:
            raise
        name = form.columns[int(column[1])]
        raise ValueError(f"column {name!r}: {column[2]}") from error


def _has_decimal_commas(path: Path, form: CsvFormat) -> bool:
    """Returns whether the first row's numbers have decimal commas; Arrow refuses a mixture."""
    if form.delimiter == ",":
        return False
    with path.open(newline="", encoding=form.encoding) as file:
        line = [file.readline(_MAX_LINE) for _ in range(form.rows_from + 1)][-1]
    cells = next(csv.reader([line], delimiter=form.delimiter), [])
    named = zip(form.columns, cells, strict=False)
    return any(re.search(r"[0-9],[0-9]", cell) for name, cell in named if name != "clip")


def _check_origin(arrow: pa.Table, feature_set: FeatureSet, path: Path) -> None:
    """Refuses a feature table of another feature set, whose columns may have the same names."""
    if METADATA_KEY not in (arrow.schema.metadata or {}):
        return
    try:
        origin = json.loads(arrow.schema.metadata[METADATA_KEY])["feature_set"]
    except (KeyError, TypeError, ValueError, RecursionError):
        origin = None
    if origin != feature_set.name:
        raise InputError(
            f"{path}: a table of the feature set {str(origin)[:40]}, not {feature_set.name}; pass "
            f"--features of that name."
        )


def _rows_by_clip(arrow: pa.Table, path: Path) -> dict[str, slice]:
    """Returns the rows of each clip by its name, in order."""
    names, codes = coded_text_column(arrow, path, "clip")
    if max(map(len, names)) > _MAX_NAME:
        raise InputError(f"{path}: a clip's name has over {_MAX_NAME} characters; shorten it.")
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    clips: dict[str, slice] = {}
    for start, end in zip(starts, np.r_[starts[1:], len(codes)], strict=True):
        if (name := names[codes[start]]) in clips:
            raise InputError(
                f"{path}: the rows of clip {name!r} are not together; sort by clip and frame."
            )
        clips[name] = slice(start, end)
    return clips
