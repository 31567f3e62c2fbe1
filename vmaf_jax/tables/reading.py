"""Feature tables read from Parquet files, checked and within limits.

Rows, columns and the memory that they take are looked at in the footer, before anything is read;
text is read as dictionaries first, so that a long value repeated a million times shows its length.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.files import limit
from vmaf_jax.tables.locations import Place, for_pyarrow, one_line_errors
from vmaf_jax.tables.table import (
    KEYS,
    MAX_DISTANCE,
    METADATA_KEY,
    MOS_RANGE,
    OPINIONS,
    SCHEMA_VERSION,
    UNLIMITED,
    FeatureTable,
    check_scale,
    check_within_clips,
)

MAX_ROWS = 5_000_000  # of one file, which is read whole; longer tables are folders of shards
MAX_TABLE_BYTES = 4 << 30  # in memory
_MAX_TEXT = 4096  # characters, as paths have
_ANY_RANGE = (-1e6, 1e6)  # far beyond what any feature or score is
_RANGES = {
    "mos": MOS_RANGE,
    "mos_ci95": (0.0, np.inf),
    "distance": (1e-3, MAX_DISTANCE),
    "frame": (0.0, 2**31 - 1.0),
    "n_frames": (1.0, 2**31 - 1.0),
}


def read_file(path: Place) -> FeatureTable:
    """Reads and validates one Parquet file of a feature table.

    Raises:
        InputError: no such file, not a readable Parquet file, a column missing or of another type,
            a value that is missing, NaN, infinite or out of range, a row that repeats another, or
            an opinion score that differs within a clip; the message names file, column and row.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such feature table; run `vmaf-jax extract` first.")
    with one_line_errors(path):
        try:
            arrow = read_parquet(path)
        except InputError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{path}: not a readable Parquet file ({reason}); name a table that extract or "
                f"import wrote, or write it again."
            ) from error
    names = arrow.column_names
    metadata = _read_metadata(arrow, path)
    feature_set = FEATURE_SETS[metadata.pop("feature_set")]
    labels = metadata.pop("labels")
    pooled = "n_frames" in names
    index_name = "n_frames" if pooled else "frame"
    for name in (*KEYS, index_name, *feature_set, *labels):
        if name not in names:
            raise InputError(
                f"{path}: column {name!r} is missing; it has {', '.join(names)}. "
                f"Run `vmaf-jax extract` again."
            )
    if arrow.num_rows == 0:
        raise InputError(f"{path}: holds no rows; extract some clips into it.")
    features = np.stack([number_column(arrow, path, name) for name in feature_set], axis=1)
    has_interval, has_experiment, has_distance = (name in names for name in OPINIONS[1:])
    table = FeatureTable(
        feature_set=feature_set,
        corpus=text_column(arrow, path, "corpus"),
        source=text_column(arrow, path, "source"),
        clip=text_column(arrow, path, "clip"),
        index=number_column(arrow, path, index_name).astype(np.int32),
        features=features,
        labels={name: number_column(arrow, path, name) for name in labels},
        pooled=pooled,
        provenance=metadata,
        mos_ci95=number_column(arrow, path, "mos_ci95") if has_interval else None,
        experiment=text_column(arrow, path, "experiment") if has_experiment else None,
        distance=number_column(arrow, path, "distance") if has_distance else None,
    )
    _check_unique(table, path)
    _check_opinions(table, path)
    return table


def read_parquet(
    path: Place,
    *,
    columns: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_TABLE_BYTES,
) -> pa.Table:
    """Reads flat columns of a Parquet file, with the types of its schema.

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
    where, filesystem = for_pyarrow(path)
    schema = pq.read_schema(where, filesystem=filesystem)
    names = list(schema.names if columns is None else columns)
    for name in names:
        if name not in schema.names:
            raise missing_column(path, name, schema.names)
        if schema.names.count(name) > 1:
            raise InputError(f"{path}: column {name!r} occurs more than once; drop one.")
        if pa.types.is_nested(schema.field(name).type):
            raise InputError(f"{path}: column {name!r} holds {schema.field(name).type}; drop it.")
    text = [name for name in names if _is_text(schema.field(name).type)]
    file = pq.ParquetFile(
        where, filesystem=filesystem, page_checksum_verification=True, read_dictionary=text
    )
    n = file.metadata.num_rows
    if n > (most := limit("ROWS", max_rows)):
        raise InputError(
            f"{path}: {n} rows, at most {most} are read; cut it, or set VMAF_JAX_MAX_ROWS."
        )
    numbers = n * 8 * len(names)
    _check_bytes(path, numbers, max_bytes)
    table = file.read(columns=names)
    table.validate(full=True)  # finds text that is no UTF-8
    longest = {name: _longest_text(table, name) for name in text}
    for name, length in longest.items():
        if length > _MAX_TEXT:
            raise InputError(
                f"{path}: column {name!r} has text of {length} characters, at most {_MAX_TEXT} are "
                f"read; shorten it."
            )
    _check_bytes(path, numbers + n * sum(longest.values()), max_bytes)
    return table.cast(pa.schema([schema.field(name) for name in names], schema.metadata))


def text_column(arrow: pa.Table, path: Place, name: str) -> npt.NDArray[np.object_]:
    """Returns a column of text, `[n]`, in which equal texts are one object.

    Raises:
        InputError: it holds something else, or a row is empty.
    """
    texts, codes = coded_text_column(arrow, path, name)
    return np.asarray(np.array(texts, dtype=object)[codes], dtype=object)


def coded_text_column(
    arrow: pa.Table, path: Place, name: str
) -> tuple[list[str], npt.NDArray[np.integer]]:
    """Returns the distinct texts of a column, and the number of each row's, `[n]`.

    Raises:
        InputError: it holds something else, or a row is empty.
    """
    column = arrow.column(name)
    coded = pa.types.is_dictionary(column.type)
    kind = column.type.value_type if coded else column.type
    if not _is_text(kind):
        raise InputError(f"{path}: column {name!r} holds {kind}, expected text.")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InputError(f"{path}: column {name!r}, row {row} is empty; fill it in.")
    whole = column.unify_dictionaries() if coded else column.dictionary_encode()
    codes = whole.combine_chunks()
    return codes.dictionary.to_pylist(), np.asarray(np.from_dlpack(codes.indices), np.int64)


def number_column(arrow: pa.Table, path: Place, name: str) -> npt.NDArray[np.float64]:
    """Returns a column of numbers, float64 `[n]`.

    Raises:
        InputError: it holds something else, or a row is empty, NaN, infinite or out of the range
            of such a column; names the row.
    """
    column = arrow.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"{path}: column {name!r} holds {column.type}, expected numbers.")
    try:
        floats = column.cast(pa.float64()).combine_chunks()
    except pa.ArrowException as error:
        raise InputError(f"{path}: column {name!r}: {error}; extract again.") from error
    # By DLPack, which knows no nulls, as to_numpy would import pandas (tables/table.py).
    numbers = floats.to_numpy(False) if floats.null_count else np.from_dlpack(floats)
    values = np.asarray(numbers, np.float64)
    unlimited = np.isposinf(values) & (name in UNLIMITED)
    if (bad := np.flatnonzero(~np.isfinite(values) & ~unlimited)).size:
        raise InputError(
            f"{path}: column {name!r}, row {bad[0]} is {values[bad[0]]}, expected a finite number; "
            f"extract that clip again (a filter may find no NaN, docs/traps.md)."
        )
    low, high = _RANGES.get(name, _ANY_RANGE)
    if (beyond := np.flatnonzero(((values < low) | (values > high)) & ~unlimited)).size:
        raise InputError(
            f"{path}: column {name!r}, row {beyond[0]} is {values[beyond[0]]}, expected {low:g} to "
            f"{high:g}; correct it."
        )
    return values


def missing_column(path: Place, name: str, present: Sequence[str]) -> InputError:
    """Returns the error that a column is missing."""
    return InputError(
        f"{path}: column {name!r} is missing; it has {', '.join(present)[:200]}. Add it."
    )


def _read_metadata(arrow: pa.Table, path: Place) -> dict[str, Any]:
    try:
        metadata = json.loads((arrow.schema.metadata or {})[METADATA_KEY])
        version = metadata.pop("schema_version")
        set_ok = metadata["feature_set"] in FEATURE_SETS
        labels_ok = all(isinstance(label, str) for label in metadata["labels"])
        inputs = metadata.get("inputs", {}).items()
        if not all(isinstance(text, str) for pair in inputs for text in pair):
            raise TypeError("inputs are digests by name")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not a vmaf-jax feature table (its metadata is missing or broken); write it "
            f"with `vmaf-jax extract`."
        ) from error
    if version != SCHEMA_VERSION or not set_ok or not labels_ok:
        raise InputError(
            f"{path}: schema version {version}, feature set {metadata['feature_set']!r}; expected "
            f"version {SCHEMA_VERSION} and one of {', '.join(FEATURE_SETS)}. Extract again."
        )
    if "label_scale" in metadata:
        check_scale(metadata["label_scale"], str(path))
    return dict(metadata)


def _check_unique(table: FeatureTable, path: Place) -> None:
    """Raises InputError where two rows are of the same frame, or of the same clip's means."""
    key = table.clip_groups()[1]
    if not table.pooled:
        least, most = (int(f(table.index, initial=0)) for f in (np.min, np.max))
        key = key * (most - least + 1) + table.index - least
    if len(np.unique(key)) < len(table):
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        row = np.setdiff1d(np.arange(len(table)), first)[0]
        raise InputError(f"{path}: row {row} repeats row {first[group[row]]}; remove one of them.")


def _check_opinions(table: FeatureTable, path: Place) -> None:
    """Raises InputError if an opinion differs within a clip."""
    columns = {
        "mos": table.labels.get("mos"),
        "mos_ci95": table.mos_ci95,
        "experiment": table.experiment,
        "distance": table.distance,
    }
    present = {name: column for name, column in columns.items() if column is not None}
    if present:
        clips, group = table.clip_groups()
        for name, column in present.items():
            check_within_clips(column, name, [clip for *_, clip in clips], group, str(path))


def _check_bytes(path: Place, size: int, max_bytes: int) -> None:
    if size > (most := limit("TABLE_BYTES", max_bytes)):
        raise InputError(
            f"{path}: takes {size} bytes in memory, at most {most} are read; cut it, or set "
            f"VMAF_JAX_MAX_TABLE_BYTES."
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _longest_text(table: pa.Table, name: str) -> int:
    """Returns the length of the longest text of a column, in characters."""
    chunks = table.column(name).chunks
    texts = [c.dictionary if pa.types.is_dictionary(c.type) else c for c in chunks]
    return max((pc.max(pc.utf8_length(text)).as_py() or 0 for text in texts), default=0)
