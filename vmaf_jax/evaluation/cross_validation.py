"""Held-out predictions of a cross-validation over sources, and the metrics computed from them.

Every figure of a report is computed from a `HeldOut`, which `folds.parquet` stores: one row for
each table row and seed, predicted by the student that never saw its source.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.intervals import (
    Interval,
    moment_plcc,
    moment_rmse,
    plcc_interval,
    rmse_interval,
    rmse_jackknife,
    sum_by_source,
    sum_without_each,
)
from vmaf_jax.evaluation.metrics import EndpointRmse, Metrics, all_metrics
from vmaf_jax.files import atomic_path, limit
from vmaf_jax.tables.table import combine, encode, encode_sorted, first_rows

_MOST_SCORE = 1e9  # beyond, a file is damaged
MAX_ROWS = 20_000_000  # some 100 bytes each in memory, a fraction of one on disk
_TEXTS = ("source", "clip")  # read as dictionaries, so that each name is in memory once
_ROW_GROUP = 1 << 20  # rows that are written together, so that memory stays bounded


_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("clip", pa.string()),
        ("index", pa.int32()),
        ("seed", pa.int32()),
        ("label", pa.float64()),
        ("predicted", pa.float64()),
    ]
)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out predictions, the columns of `folds.parquet`.

    Attributes:
        source, clip: text, `[n]`.
        index: number of the frame, or of frames pooled, `[n]`.
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
        """Returns the chosen rows."""
        return HeldOut(
            source=self.source[rows],
            clip=self.clip[rows],
            index=self.index[rows],
            seed=self.seed[rows],
            label=self.label[rows],
            predicted=self.predicted[rows],
        )

    def write(self, path: Path) -> None:
        """Writes Parquet, atomically."""
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer,
        ):
            for start in range(0, max(1, len(self.label)), _ROW_GROUP):
                rows = slice(start, start + _ROW_GROUP)
                columns = [pa.array(getattr(self, f.name)[rows], f.type) for f in _SCHEMA]
                writer.write_table(pa.table(columns, _SCHEMA))


def concatenate(parts: list[HeldOut]) -> HeldOut:
    """Returns the rows of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return HeldOut(
        source=np.concatenate([part.source for part in parts]),
        clip=np.concatenate([part.clip for part in parts]),
        index=np.concatenate([part.index for part in parts]),
        seed=np.concatenate([part.seed for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
    )


def read_held_out(path: Path) -> HeldOut:
    """Reads `folds.parquet`.

    Raises:
        InputError: a file that is missing, broken or too long, or that lacks a column.
    """
    try:
        with pq.ParquetFile(path, read_dictionary=list(_TEXTS)) as file:
            if (n := file.metadata.num_rows) > (most := limit("HELD_OUT_ROWS", MAX_ROWS)):
                raise InputError(
                    f"{path}: {n} rows, at most {most} are read; set VMAF_JAX_MAX_HELD_OUT_ROWS."
                )

            def read(name: str) -> np.ndarray:
                # A column at a time, so that Arrow frees its copy before the next is read.
                column = file.read(columns=[name]).column(name)
                if column.null_count and name not in ("label", "predicted"):  # those become NaN
                    raise InputError(f"{path}: {name} is missing in a row; train again.")
                return _values(column)

            return HeldOut(
                source=read("source"),
                clip=read("clip"),
                index=read("index"),
                seed=read("seed"),
                label=read("label"),
                predicted=read("predicted"),
            )
    except (OSError, KeyError, IndexError, pa.ArrowException) as error:
        # Arrow raises IndexError for a dictionary of names without an entry.
        raise InputError(f"{path}: not a run's held-out table ({error}); train again.") from error


def read_predictions(path: Path) -> HeldOut:
    """Reads `folds.parquet` of a stranger, whose every value is checked.

    Raises:
        InputError: as `read_held_out`; or there is no row, or a value that cannot be.
    """
    rows = read_held_out(path)
    if not rows.label.size:
        raise InputError(f"{path}: holds no rows; train again.")
    try:
        scores = [np.asarray(values, np.float64) for values in (rows.label, rows.predicted)]
        numbers = [_as_int32(values) for values in (rows.index, rows.seed)]
        source, clip = (_as_texts(values) for values in (rows.source, rows.clip))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: a column has other values ({error}); train again.") from error
    for name, values in zip(("label", "predicted"), scores, strict=True):
        sound = np.abs(values) <= _MOST_SCORE  # which no NaN is
        if not sound.all():
            row = int(np.argmin(sound))
            what = "no score" if np.isfinite(values[row]) else "not a number"
            raise InputError(f"{path}: {name} of row {row} is {what}; train again.")
    index, seed = numbers
    label, predicted = scores
    return HeldOut(source, clip, index, seed, label, predicted)


def _as_int32(values: np.ndarray) -> npt.NDArray[np.int32]:
    """Returns whole numbers as 32-bit ones; raises OverflowError where one does not fit."""
    numbers = np.asarray(values, np.int32)
    if not np.array_equal(numbers, values):
        raise OverflowError("a number is not whole, or has more than 32 bits")
    return numbers


def _as_texts(values: np.ndarray) -> npt.NDArray[np.object_]:
    """Returns names as text, where a file has numbers in their place."""
    if values.dtype == object and all(isinstance(value, str) for value in values):
        return values
    return values.astype(str).astype(object)


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """Returns a column's values `[n]`; rows of equal text share one object."""
    if not pa.types.is_dictionary(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values = np.empty(len(column), object)
    texts: dict[object, object] = {}
    start = 0
    for chunk in column.chunks:
        dictionary = np.empty(len(chunk.dictionary), object)
        dictionary[:] = [texts.setdefault(text, text) for text in chunk.dictionary.to_pylist()]
        values[start : start + len(chunk)] = dictionary[chunk.indices.to_numpy()]
        start += len(chunk)
    return values


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over sources and seeds; NaN where no fold defines the metric."""

    mean: float
    std: float


@dataclasses.dataclass(frozen=True)
class Loso:
    """Metrics of a leave-one-source-out cross-validation: over sources, and of all rows pooled."""

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
    """Computes `loso` and `folds` (an entry per seed and source) of `metrics.json`."""
    folds = []
    names, source = encode_sorted(held_out.source)
    order = np.lexsort((source, held_out.seed))  # stable: rows of a source keep their order
    changes = (np.diff(source[order]) != 0) | (np.diff(held_out.seed[order]) != 0)
    for rows in np.split(order, np.flatnonzero(changes) + 1):
        metrics = all_metrics(held_out.predicted[rows], held_out.label[rows])
        name, seed = names[source[rows[0]]], int(held_out.seed[rows[0]])
        folds.append(
            FoldMetrics(
                source=name,
                seed=seed,
                n=metrics.n,
                plcc=metrics.plcc,
                srocc=metrics.srocc,
                krocc=metrics.krocc,
                rmse=metrics.rmse,
                mae=metrics.mae,
                max_abs=metrics.max_abs,
                endpoint_rmse=metrics.endpoint_rmse,
            )
        )
    pooled = all_metrics(held_out.predicted, held_out.label)
    loso = Loso(
        plcc=_spread([fold.plcc for fold in folds]),
        srocc=_spread([fold.srocc for fold in folds]),
        krocc=_spread([fold.krocc for fold in folds]),
        rmse=_spread([fold.rmse for fold in folds]),
        mae=_spread([fold.mae for fold in folds]),
        max_abs=_spread([fold.max_abs for fold in folds]),
        endpoint_rmse=pooled.endpoint_rmse,
        pooled=pooled,
    )
    return loso, tuple(folds)


def _spread(figures: list[float]) -> Spread:
    values = np.array(figures)
    values = values[np.isfinite(values)]  # a fold of equal labels has no correlation
    if not values.size:
        return Spread(math.nan, math.nan)
    return Spread(float(values.mean()), float(values.std()))


_ABOUT = (
    "Ranked by held-out RMSE, VMAF points. The first was chosen by these very predictions, which "
    "favours it a little; above_best is the paired difference from it, 95 % over sources."
)


@dataclasses.dataclass(frozen=True)
class SweepPoint:
    """Figures of one combination of settings of a sweep.

    Attributes:
        rank: 1 for the best.
        point: its number in the order of the configuration.
        settings: its values, by key of the configuration.
        metrics: of all held-out rows; NaN where training diverged.
        rmse_interval: 95 %, over sources.
        above_best: its RMSE less the best's, VMAF points, with its 95 % interval; NaN for the best,
            and where points learnt from other rows.
    """

    rank: int
    point: int
    settings: Mapping[str, object]
    n_params: int
    metrics: Metrics
    rmse_interval: Interval
    above_best: float
    above_best_interval: Interval


@dataclasses.dataclass(frozen=True)
class SweepTable:
    """Points of a sweep, the best first.

    Attributes:
        points: in the order of their rank.
        same_rows: whether all points learnt from the same rows and folds.
        held_out: predictions of each point, in the order of the configuration.
    """

    points: tuple[SweepPoint, ...]
    same_rows: bool
    held_out: tuple[HeldOut, ...]

    def to_dict(self) -> dict[str, object]:
        """Returns the figures without the predictions, the content of `sweep.json`."""
        return {"about": _ABOUT, "same_rows": self.same_rows, "points": list(self.points)}

    def write_predictions(self, path: Path) -> None:
        """Writes `sweep.parquet`: one row for each point, seed and held-out row."""
        parts = []
        for number, rows in enumerate(self.held_out):
            columns = {field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)}
            point = np.full(len(rows.label), number, np.int32)
            parts.append(pa.table({"point": point, **columns}))
        with atomic_path(path) as temporary:
            pq.write_table(pa.concat_tables(parts), temporary, compression="zstd")


Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SourceError:
    """Errors of one held-out source over all seeds, VMAF points.

    Attributes:
        n, n_clips: number of rows and of clips.
        interval: of the RMSE, 95 %, over the source's clips; NaN with fewer than three.
        bias: mean of predicted less label.
    """

    source: str
    n: int
    n_clips: int
    rmse: float
    interval: Interval
    bias: float
    max_abs: float


def source_errors(rows: HeldOut) -> list[SourceError]:
    """Computes the errors of each source, the largest RMSE first."""
    names, source = encode(rows.source)
    _, clip = combine(rows.source, rows.clip)
    source_of_clip = source[first_rows(clip)]
    order = np.argsort(source_of_clip, kind="stable")
    error = rows.predicted - rows.label
    counts = np.bincount(clip).astype(np.float64)[order]
    squares = np.bincount(clip, np.square(error)).astype(np.float64)[order]
    worst = np.zeros(len(names))
    np.maximum.at(worst, source, np.abs(error))
    bias = np.bincount(source, error) / np.bincount(source)
    entries = []
    ends = np.searchsorted(source_of_clip[order], np.arange(len(names) + 1))
    for k, name in enumerate(names):
        clips_of_source = slice(ends[k], ends[k + 1])
        n = counts[clips_of_source]
        rmse, interval = _rmse_over_clips(n, squares[clips_of_source])
        entries.append(
            SourceError(
                source=name,
                n=int(n.sum()),
                n_clips=len(n),
                rmse=rmse,
                interval=interval,
                bias=float(bias[k]),
                max_abs=float(worst[k]),
            )
        )
    return sorted(entries, key=lambda entry: (-entry.rmse, entry.source))


def _rmse_over_clips(n: Floats, squares: Floats) -> tuple[float, Interval]:
    """Computes the RMSE of a source and its interval over clips.

    Args:
        n, squares: number of rows and sum of squared errors of each clip, `[clips]`.
    """
    rmse = math.sqrt(squares.sum() / n.sum())
    if len(n) < 3:
        return rmse, Interval(math.nan, math.nan)
    squares_without = sum_without_each(squares[:, None])[:, 0]
    return rmse, rmse_jackknife(rmse, np.sqrt(squares_without / (n.sum() - n)))


@dataclasses.dataclass(frozen=True)
class PooledErrors:
    """RMSE (VMAF points) and PLCC of all rows, with 95 % intervals over their sources."""

    n_sources: int
    rmse: float
    rmse_interval: Interval
    plcc: float
    plcc_interval: Interval


def pooled_errors(rows: HeldOut) -> PooledErrors:
    """Computes the errors of held-out rows, all seeds together."""
    names, source = encode(rows.source)
    moments = sum_by_source(rows.predicted, rows.label, source, len(names))
    total = moments.sum(axis=0)
    return PooledErrors(
        n_sources=len(names),
        rmse=float(moment_rmse(total)),
        rmse_interval=rmse_interval(moments),
        plcc=float(moment_plcc(total)),
        plcc_interval=plcc_interval(moments),
    )
