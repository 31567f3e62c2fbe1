"""The feature table: one row per frame (or per clip), features, teacher scores, opinion scores.

Columns: `corpus`, `source`, `clip` (text), `frame` (int32) or `n_frames` (int32), the features
(float64, no unit), one column per label (float64, teacher's points or `mos` on 0-100). Stored as
Parquet; the file's metadata holds the schema version, the backend and its version, the feature
set, and a digest per input. The same rows and metadata give the same bytes.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet
from vmaf_jax.files import atomic_path

SCHEMA_VERSION = 1
_METADATA_KEY = b"vmaf_jax"
_KEYS = ("corpus", "source", "clip")
MOS_RANGE = (0.0, 100.0)
_RANGES = {"mos": MOS_RANGE, "frame": (0.0, 2**31 - 1.0), "n_frames": (1.0, 2**31 - 1.0)}
RESERVED_COLUMNS = frozenset(
    {*_KEYS, "frame", "n_frames", "mos", *(name for each in FEATURE_SETS.values() for name in each)}
)


@dataclasses.dataclass(frozen=True)
class FeatureTable:
    """Rows of features with their labels.

    Attributes:
        feature_set: names and order of the last axis of `features`.
        corpus, source, clip: text per row, `[n]`.
        index: frame number per row, or the number of frames pooled when `pooled`; int32 `[n]`.
        pooled: whether rows are clip means.
        features: float64 `[n, features]`, no unit.
        labels: float64 `[n]` per label name; teacher's points, or `mos` on 0-100.
        provenance: backend, its version, digests of the inputs.
    """

    feature_set: FeatureSet
    corpus: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]
    clip: npt.NDArray[np.object_]
    index: npt.NDArray[np.int32]
    features: npt.NDArray[np.float64]
    labels: Mapping[str, npt.NDArray[np.float64]]
    pooled: bool = False
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def sources(self) -> list[str]:
        """Distinct sources, sorted."""
        return sorted(set(self.source.tolist()))

    @property
    def n_clips(self) -> int:
        """How many clips the rows are of."""
        return len(set(zip(self.corpus, self.source, self.clip, strict=True)))

    def label(self, name: str) -> npt.NDArray[np.float64]:
        """One label column, `[n]`.

        Raises:
            InputError: the table has no such label; the message lists those it has.
        """
        if name not in self.labels:
            known = ", ".join(self.labels) or "none"
            raise InputError(
                f"label {name!r} is not in this table (it has: {known}); extract again with "
                f"--teacher {name}."
            )
        return self.labels[name]

    def mean_pool(self) -> "FeatureTable":
        """Clip means of features and labels, one row per clip, in order of first appearance."""
        if self.pooled:
            return self
        keys = list(zip(self.corpus, self.source, self.clip, strict=True))
        order = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        group = np.array([order[key] for key in keys], dtype=np.int64)
        count = np.bincount(group, minlength=len(order))

        def mean(column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.bincount(group, weights=column, minlength=len(order)) / count

        corpus, source, clip = (
            np.array([k[i] for k in order], dtype=object) for i in range(len(_KEYS))
        )
        return dataclasses.replace(
            self,
            corpus=corpus,
            source=source,
            clip=clip,
            index=count.astype(np.int32),
            features=np.stack([mean(column) for column in self.features.T], axis=1),
            labels={name: mean(column) for name, column in self.labels.items()},
            pooled=True,
        )

    def to_arrow(self) -> pa.Table:
        """The table as Arrow, with its metadata."""
        columns: dict[str, Any] = {
            "corpus": pa.array(self.corpus, pa.string()),
            "source": pa.array(self.source, pa.string()),
            "clip": pa.array(self.clip, pa.string()),
            "n_frames" if self.pooled else "frame": pa.array(self.index, pa.int32()),
        }
        for name, column in zip(self.feature_set, self.features.T, strict=True):
            columns[name] = pa.array(column, pa.float64())
        for name, column in self.labels.items():
            columns[name] = pa.array(column, pa.float64())
        metadata = {
            "schema_version": SCHEMA_VERSION,
            "feature_set": self.feature_set.name,
            "labels": list(self.labels),
            **self.provenance,
        }
        return pa.table(columns).replace_schema_metadata(
            {_METADATA_KEY: json.dumps(metadata, sort_keys=True)}
        )

    def write(self, path: Path) -> None:
        """Writes Parquet atomically, with page checksums."""
        arrow = self.to_arrow()
        with atomic_path(path) as temporary:
            pq.write_table(arrow, temporary, compression="zstd", write_page_checksum=True)


def concatenate(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Rows of all tables, in order; labels that every table has; input digests of all.

    Raises:
        InputError: no table, or tables of different feature sets or pooling.
    """
    if not tables:
        raise InputError("no clips: there is nothing to put into a table; name some clips.")
    first = tables[0]
    for other in tables:
        if (other.feature_set, other.pooled) != (first.feature_set, first.pooled):
            raise InputError("tables of different feature sets or pooling cannot be joined.")
    shared = [name for name in first.labels if all(name in table.labels for table in tables)]
    inputs: dict[str, str] = {}
    for table in tables:
        inputs.update(table.provenance.get("inputs", {}))

    def joined(column: Callable[[FeatureTable], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return np.concatenate([column(table) for table in tables])

    return dataclasses.replace(
        first,
        corpus=joined(lambda table: table.corpus),
        source=joined(lambda table: table.source),
        clip=joined(lambda table: table.clip),
        index=joined(lambda table: table.index),
        features=joined(lambda table: table.features),
        labels={n: joined(lambda table, n=n: table.labels[n]) for n in shared},  # type: ignore[misc]
        provenance={**first.provenance, "inputs": inputs},
    )


def constant_text(value: str, n: int) -> npt.NDArray[np.object_]:
    """`value` repeated, `[n]`: the text columns of one clip's rows."""
    column = np.empty(n, dtype=object)
    column[:] = value
    return column


def read_table(path: Path) -> FeatureTable:
    """Reads and validates a feature table.

    Raises:
        InputError: not a readable Parquet file, a column missing or of another type, or a value
            that is missing, NaN or infinite; the message names file, column and first bad row.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such feature table; run `vmaf-jax extract` first.")
    try:
        arrow = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a readable Parquet file ({reason}); delete it and extract again."
        ) from error
    metadata = _metadata(arrow, path)
    feature_set = FEATURE_SETS[metadata.pop("feature_set")]
    labels = metadata.pop("labels")
    pooled = "n_frames" in arrow.column_names
    index_name = "n_frames" if pooled else "frame"
    _require(arrow, path, [*_KEYS, index_name, *feature_set, *labels])
    if arrow.num_rows == 0:
        raise InputError(f"{path}: holds no rows; extract some clips into it.")
    text = {name: _text(arrow, path, name) for name in _KEYS}
    features = np.stack([_numbers(arrow, path, name) for name in feature_set], axis=1)
    return FeatureTable(
        feature_set=feature_set,
        **text,
        index=_numbers(arrow, path, index_name).astype(np.int32),
        features=features,
        labels={name: _numbers(arrow, path, name) for name in labels},
        pooled=pooled,
        provenance=metadata,
    )


def _metadata(arrow: pa.Table, path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((arrow.schema.metadata or {})[_METADATA_KEY])
        version = metadata.pop("schema_version")
        known = metadata["feature_set"] in FEATURE_SETS
        labels_ok = all(isinstance(label, str) for label in metadata["labels"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not a vmaf-jax feature table (its metadata is missing or broken); write it "
            f"with `vmaf-jax extract`."
        ) from error
    if version != SCHEMA_VERSION or not known or not labels_ok:
        raise InputError(
            f"{path}: schema version {version}, feature set {metadata['feature_set']!r}; expected "
            f"version {SCHEMA_VERSION} and one of {', '.join(FEATURE_SETS)}. Extract again."
        )
    return dict(metadata)


def _require(arrow: pa.Table, path: Path, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in arrow.column_names]
    if missing:
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; it has {', '.join(arrow.column_names)}. "
            f"Run `vmaf-jax extract` again."
        )


def _text(arrow: pa.Table, path: Path, name: str) -> npt.NDArray[np.object_]:
    column = arrow.column(name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(f"{path}: column {name!r} holds {column.type}, expected text.")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InputError(f"{path}: column {name!r}, row {row} is empty; fill it in.")
    return np.array(column.to_pylist(), dtype=object)


def _numbers(arrow: pa.Table, path: Path, name: str) -> npt.NDArray[np.float64]:
    column = arrow.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"{path}: column {name!r} holds {column.type}, expected numbers.")
    try:
        floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise InputError(f"{path}: column {name!r}: {error}; extract again.") from error
    values = np.asarray(floats, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"{path}: column {name!r}, row {bad[0]} is {values[bad[0]]}, expected a finite number; "
            f"extract that clip again."
        )
    low, high = _RANGES.get(name, (-np.inf, np.inf))
    if (beyond := np.flatnonzero((values < low) | (values > high))).size:
        raise InputError(
            f"{path}: column {name!r}, row {beyond[0]} is {values[beyond[0]]}, expected {low:g} to "
            f"{high:g}; correct it."
        )
    return values
