"""What the points of a sweep came to, ranked by held-out error: the content of `sweep.json`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import Metrics
from vmaf_jax.files import atomic_path

_ABOUT = (
    "Ranked by held-out RMSE, VMAF points. The first was chosen by these very predictions, which "
    "favours it a little; above_best is the paired difference from it, 95 % over sources."
)


@dataclasses.dataclass(frozen=True)
class SweptPoint:
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

    points: tuple[SweptPoint, ...]
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
