"""A feature table out of one Parquet file, checked before it is used."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vmaf_jax.errors import InputError
from vmaf_jax.features.columns import (
    check_unique,
    number_column,
    require_columns,
    text_column,
)
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.features.opinions import check_scale, check_within_clips
from vmaf_jax.features.parquet import read_parquet
from vmaf_jax.features.places import Place, refused_in_a_line
from vmaf_jax.features.table import (
    KEYS,
    METADATA_KEY,
    OPINIONS,
    SCHEMA_VERSION,
    FeatureTable,
)


def read_file(path: Place) -> FeatureTable:
    """Reads and validates one Parquet file of a feature table.

    Raises:
        InputError: no such file, not a readable Parquet file, a column missing or of another type,
            a value that is missing, NaN, infinite or out of range, or an opinion score that differs
            within a clip; the message names file, column and first bad row.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such feature table; run `vmaf-jax extract` first.")
    arrow = _arrow(path)
    names = arrow.column_names
    metadata = _metadata(arrow, path)
    feature_set = FEATURE_SETS[metadata.pop("feature_set")]
    labels = metadata.pop("labels")
    pooled = "n_frames" in names
    index_name = "n_frames" if pooled else "frame"
    require_columns(arrow, path, [*KEYS, index_name, *feature_set, *labels])
    if arrow.num_rows == 0:
        raise InputError(f"{path}: holds no rows; extract some clips into it.")
    text = {name: text_column(arrow, path, name) for name in KEYS}
    features = np.stack([number_column(arrow, path, name) for name in feature_set], axis=1)
    index = number_column(arrow, path, index_name)
    check_unique(path, [*text.values(), *([] if pooled else [index])])
    has_interval, has_experiment = (name in names for name in OPINIONS[1:])
    table = FeatureTable(
        feature_set=feature_set,
        **text,
        index=index.astype(np.int32),
        features=features,
        labels={name: number_column(arrow, path, name) for name in labels},
        pooled=pooled,
        provenance=metadata,
        mos_ci95=number_column(arrow, path, "mos_ci95") if has_interval else None,
        experiment=text_column(arrow, path, "experiment") if has_experiment else None,
    )
    check_opinions(table, str(path))
    return table


def _arrow(path: Place) -> pa.Table:
    with refused_in_a_line(path):
        try:
            return read_parquet(path)
        except InputError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{path}: not a readable Parquet file ({reason}); delete it and extract again."
            ) from error


def check_opinions(table: FeatureTable, where: str) -> None:
    """Raises InputError, beginning with `where`, if opinions differ within a clip."""
    present: dict[str, npt.NDArray[Any]] = {n: c for n, c in table.labels.items() if n == "mos"}
    beside = {"mos_ci95": table.mos_ci95, "experiment": table.experiment}
    present |= {name: column for name, column in beside.items() if column is not None}
    if not present:
        return
    clips, group = table.clip_groups()
    for name, column in present.items():
        check_within_clips(column, name, [clip for *_, clip in clips], group, where)


def _metadata(arrow: pa.Table, path: Place) -> dict[str, Any]:
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
