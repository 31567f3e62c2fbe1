"""Features per frame in one Parquet or CSV file: columns `clip, frame` and the features."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from vmaf_jax.corpora.feature_log import check_numbers, check_possible
from vmaf_jax.corpora.records import CsvFormat, check_size, read_csv_format
from vmaf_jax.errors import InputError
from vmaf_jax.features.columns import number_column
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.parquet import missing_column, read_parquet

MAX_BYTES = 4 * 2**30
_MAX_FRAMES = 50_000_000
_MAX_NAME = 1024
_MAX_LINE = 2**16


def read_frames(path: Path, feature_set: FeatureSet) -> dict[str, npt.NDArray[np.float64]]:
    """The features of each clip, `[frames, features]`, by its name, in the order of the file.

    Raises:
        InputError: missing, of another kind, too large or broken; a column that is missing or of
            another type; a value that is missing or not finite; a clip whose rows are apart, or
            whose frames do not count up by one.
    """
    names = ["clip", "frame", *feature_set]
    check_size(path, MAX_BYTES, "file of frames")
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
    clips, starts, ends = _clip_runs(arrow, path)
    frame = number_column(arrow, path, "frame")
    features = np.stack([number_column(arrow, path, name) for name in feature_set], axis=1)
    for name, start, end in zip(clips, starts, ends, strict=True):
        check_numbers(frame[start:end], f"{path}: clip {name!r}")
        check_possible(features[start:end], feature_set, f"{path}: clip {name!r}")
    return {n: features[start:end] for n, start, end in zip(clips, starts, ends, strict=True)}


def _read_csv(path: Path, names: list[str]) -> pa.Table:
    """The columns of a CSV file, as the types they must have."""
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
    """Whether the first row's numbers have decimal commas; Arrow refuses a mixture."""
    if form.delimiter == ",":
        return False
    with path.open(newline="", encoding=form.encoding) as file:
        line = [file.readline(_MAX_LINE) for _ in range(form.rows_from + 1)][-1]
    cells = next(csv.reader([line], delimiter=form.delimiter), [])
    named = zip(form.columns, cells, strict=False)
    return any(re.search(r"[0-9],[0-9]", cell) for name, cell in named if name != "clip")


def _check_origin(arrow: pa.Table, feature_set: FeatureSet, path: Path) -> None:
    """Refuses a table of ours whose features are others, though their columns have these names."""
    if b"vmaf_jax" not in (arrow.schema.metadata or {}):
        return
    try:
        origin = json.loads(arrow.schema.metadata[b"vmaf_jax"])["feature_set"]
    except (KeyError, TypeError, ValueError, RecursionError):
        origin = None
    if origin != feature_set.name:
        raise InputError(
            f"{path}: a table of the feature set {str(origin)[:40]}, not {feature_set.name}; pass "
            f"--features of that name."
        )


def _clip_runs(
    arrow: pa.Table, path: Path
) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Names of the clips in order, and where the rows of each start and end."""
    column = arrow.column("clip")
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"{path}: column 'clip' holds {kind}, expected text.")
    if column.type != kind:
        encoded = column.unify_dictionaries().combine_chunks()
    else:
        encoded = pc.dictionary_encode(column.combine_chunks())
    if encoded.null_count:
        row = encoded.is_null().to_pylist().index(True)
        raise InputError(f"{path}: column 'clip', row {row} is empty; fill it in.")
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = pc.utf8_length(encoded.dictionary).to_numpy(zero_copy_only=False)
    if lengths.size and lengths.max() > _MAX_NAME:
        raise InputError(f"{path}: a clip's name has over {_MAX_NAME} characters; shorten it.")
    names = encoded.dictionary.to_pylist()
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    order = [str(names[code]) for code in codes[starts]]
    earlier: set[str] = set()
    for name in order:
        if name in earlier:
            raise InputError(
                f"{path}: the rows of clip {name!r} are not together; sort by clip and frame."
            )
        earlier.add(name)
    return order, starts, np.r_[starts[1:], len(codes)]
