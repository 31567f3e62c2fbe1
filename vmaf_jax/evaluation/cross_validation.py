"""Held-out predictions of a cross-validation over sources, and the metrics computed from them.

Every figure of a report is computed from a `HeldOut`, which is what `folds.parquet` stores: one row
per table row and seed, predicted by the student that never saw its source.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import METRIC_NAMES, EndpointRmse, Metrics, all_metrics
from vmaf_jax.files import atomic_path, limit
from vmaf_jax.tables.categories import encode_sorted

MAX_ROWS = 20_000_000  # some 100 bytes each in memory, a fraction of one on disk

_TEXTS = ("source", "clip")
_ROW_GROUP = 1 << 20  # rows that are written together


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out predictions.

    Attributes:
        source, clip: text, `[n]`.
        index: frame (or frames pooled), `[n]`.
        seed: of the student that predicted the row, `[n]`.
        label, predicted: VMAF points, clipped to 0-100, `[n]`.
    """

    source: npt.NDArray[np.object_]
    clip: npt.NDArray[np.object_]
    index: npt.NDArray[np.int32]
    seed: npt.NDArray[np.int32]
    label: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]

    def where(self, rows: npt.NDArray[np.bool_]) -> "HeldOut":
        """The rows chosen."""
        return HeldOut(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    def write(self, path: Path) -> None:
        """Writes Parquet, atomically."""
        kinds = (pa.string(), pa.string(), pa.int32(), pa.int32(), pa.float64(), pa.float64())
        names = [field.name for field in dataclasses.fields(self)]
        schema = pa.schema(list(zip(names, kinds, strict=True)))
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for start in range(0, max(1, len(self.label)), _ROW_GROUP):
                rows = slice(start, start + _ROW_GROUP)
                columns = [
                    pa.array(getattr(self, n)[rows], k) for n, k in zip(names, kinds, strict=True)
                ]
                writer.write_table(pa.table(columns, schema))


def join(parts: list[HeldOut]) -> HeldOut:
    """All rows, in order."""
    if len(parts) == 1:
        return parts[0]
    columns = (field.name for field in dataclasses.fields(HeldOut))
    return HeldOut(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))


def read_held_out(path: Path) -> HeldOut:
    """Reads `folds.parquet`.

    Raises:
        InputError: missing, broken, too many rows, or without one of its columns.
    """
    try:
        with pq.ParquetFile(path, read_dictionary=list(_TEXTS)) as file:
            if (n := file.metadata.num_rows) > (most := limit("HELD_OUT_ROWS", MAX_ROWS)):
                raise InputError(
                    f"{path}: {n} rows, at most {most} are read; set VMAF_JAX_MAX_HELD_OUT_ROWS."
                )
            # A column at a time: what Arrow holds of it goes before the next.
            columns = [
                _values(file.read(columns=[field.name]).column(field.name))
                for field in dataclasses.fields(HeldOut)
            ]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a run's held-out table ({error}); train again.") from error
    return HeldOut(*columns)


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column's values, `[n]`; rows share the objects of equal texts."""
    if not pa.types.is_dictionary(column.type) or column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values = np.empty(len(column), object)
    texts: dict[Any, Any] = {}
    start = 0
    for chunk in column.chunks:
        own = np.empty(len(chunk.dictionary), object)
        own[:] = [texts.setdefault(text, text) for text in chunk.dictionary.to_pylist()]
        values[start : start + len(chunk)] = own[chunk.indices.to_numpy()]
        start += len(chunk)
    return values


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over sources (and seeds); NaN where none defines it."""

    mean: float
    std: float


@dataclasses.dataclass(frozen=True)
class Loso:
    """A cross-validation: metrics over held-out sources, and of all held-out rows pooled."""

    plcc: Spread
    srocc: Spread
    krocc: Spread
    rmse: Spread
    mae: Spread
    max_abs: Spread
    endpoint_rmse: EndpointRmse
    pooled: Metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldMetrics(Metrics):
    """Metrics of one held-out source and seed."""

    source: str
    seed: int


def loso_metrics(held_out: HeldOut) -> tuple[Loso, tuple[FoldMetrics, ...]]:
    """`loso` and `folds` of `metrics.json`: the summary, and one entry per seed and source."""
    folds = []
    names, source = encode_sorted(held_out.source)
    order = np.lexsort((source, held_out.seed))  # stable: rows of a source keep their order
    changes = (np.diff(source[order]) != 0) | (np.diff(held_out.seed[order]) != 0)
    for rows in np.split(order, np.flatnonzero(changes) + 1):
        metrics = all_metrics(held_out.predicted[rows], held_out.label[rows])
        name, seed = names[source[rows[0]]], int(held_out.seed[rows[0]])
        folds.append(FoldMetrics(source=name, seed=seed, **vars(metrics)))
    pooled = all_metrics(held_out.predicted, held_out.label)
    spreads = {
        name: _spread(np.array([getattr(fold, name) for fold in folds])) for name in METRIC_NAMES
    }
    return Loso(**spreads, endpoint_rmse=pooled.endpoint_rmse, pooled=pooled), tuple(folds)


def _spread(values: npt.NDArray[np.float64]) -> Spread:
    values = values[np.isfinite(values)]  # a fold with one label has no correlation
    if not values.size:
        return Spread(math.nan, math.nan)
    return Spread(float(values.mean()), float(values.std()))


_ABOUT = (
    "Ranked by held-out RMSE, VMAF points. The first was chosen by these very predictions, which "
    "favours it a little; above_best is the paired difference from it, 95 % over sources."
)


@dataclasses.dataclass(frozen=True)
class SweepPoint:
    """One combination of settings.

    Attributes:
        rank: 1 for the best.
        point: its number in the order of the configuration.
        settings: what it tried, by key.
        metrics: of all held-out rows; NaN where training diverged.
        rmse_interval: 95 %, over sources.
        above_best: its RMSE less the best's, VMAF points, with its 95 % interval; NaN for the best,
            and where points learnt from other rows.
    """

    rank: int
    point: int
    settings: Mapping[str, Any]
    n_params: int
    metrics: Metrics
    rmse_interval: Interval
    above_best: float
    above_best_interval: Interval


@dataclasses.dataclass(frozen=True)
class SweepTable:
    """A sweep.

    Attributes:
        points: ranked.
        same_rows: whether all points learnt from the same rows and folds.
        held_out: predictions of each point, by its number.
    """

    points: tuple[SweepPoint, ...]
    same_rows: bool
    held_out: tuple[HeldOut, ...]

    def to_dict(self) -> dict[str, Any]:
        """The figures, without the predictions."""
        return {"about": _ABOUT, "same_rows": self.same_rows, "points": list(self.points)}

    def write_predictions(self, path: Path) -> None:
        """`sweep.parquet`: one row a point, seed and held-out row."""
        parts = []
        for number, rows in enumerate(self.held_out):
            columns = {field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)}
            point = np.full(len(rows.label), number, np.int32)
            parts.append(pa.table({"point": point, **columns}))
        with atomic_path(path) as temporary:
            pq.write_table(pa.concat_tables(parts), temporary, compression="zstd")
