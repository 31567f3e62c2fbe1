"""Held-out predictions of a leave-one-source-out run, and what they say.

Every figure of a report is computed from a `HeldOut`, which is what `folds.parquet` stores: one row
per table row and seed, predicted by the student that never saw its source.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.files import atomic_path

_SUMMARISED = ("plcc", "srocc", "krocc", "rmse", "mae", "max_abs")


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
        return HeldOut(*(getattr(self, each.name)[rows] for each in dataclasses.fields(self)))

    def write(self, path: Path) -> None:
        """Writes Parquet, atomically."""
        kinds = (pa.string(), pa.string(), pa.int32(), pa.int32(), pa.float64(), pa.float64())
        names = [each.name for each in dataclasses.fields(self)]
        columns = {
            name: pa.array(getattr(self, name), kind)
            for name, kind in zip(names, kinds, strict=True)
        }
        with atomic_path(path) as temporary:
            pq.write_table(pa.table(columns), temporary, compression="zstd")


def join(parts: list[HeldOut]) -> HeldOut:
    """All rows, in order."""
    columns = (each.name for each in dataclasses.fields(HeldOut))
    return HeldOut(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))


def read_held_out(path: Path) -> HeldOut:
    """Reads `folds.parquet`.

    Raises:
        InputError: missing, broken, or without one of its columns.
    """
    try:
        table = pq.read_table(path)
        columns = [
            np.asarray(table.column(each.name).to_numpy(zero_copy_only=False))
            for each in dataclasses.fields(HeldOut)
        ]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a run's held-out table ({error}); train again.") from error
    return HeldOut(*columns)


def loso_metrics(held_out: HeldOut) -> dict[str, Any]:
    """`loso` and `folds` of `metrics.json`.

    `loso` has mean and standard deviation over folds (and seeds) of each metric, and the metrics of
    all held-out rows pooled; `folds` has one entry per source (and seed).
    """
    folds = []
    for seed in np.unique(held_out.seed):
        for source in sorted(set(held_out.source.tolist())):
            rows = held_out.where((held_out.source == source) & (held_out.seed == seed))
            entry = all_metrics(rows.predicted, rows.label)
            folds.append({"source": source, "seed": int(seed), **entry})
    pooled = all_metrics(held_out.predicted, held_out.label)
    loso: dict[str, Any] = {}
    for name in _SUMMARISED:
        values = np.array([fold[name] for fold in folds], dtype=np.float64)
        values = values[np.isfinite(values)]  # a fold with one label has no correlation
        loso[name] = {
            "mean": float(values.mean()) if values.size else float("nan"),
            "std": float(values.std()) if values.size else float("nan"),
        }
    loso["endpoint_rmse"] = pooled["endpoint_rmse"]
    loso["pooled"] = pooled
    return {"loso": loso, "folds": folds}


def to_json(value: Any) -> str:
    """JSON with NaN as null, sorted nowhere, indented, ending in a line feed."""

    def clean(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: clean(each) for key, each in item.items()}
        if isinstance(item, (list, tuple)):
            return [clean(each) for each in item]
        if isinstance(item, (float, np.floating)):
            return float(item) if np.isfinite(item) else None
        return item

    return json.dumps(clean(value), indent=2) + "\n"
