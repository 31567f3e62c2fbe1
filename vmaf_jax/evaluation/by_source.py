"""Held-out errors of each source and of all rows, with intervals.

Within a source its clips are the sample: each is left out in turn (jackknife) in the logarithm of
the source's RMSE. That interval says how far the figure depends on those clips, and nothing of
other sources. Over a run the sources are the sample, as in `intervals`. All sums run once over the
rows.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
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
from vmaf_jax.tables.categories import combine, encode, first_rows

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
    clips, clip = encode(rows.clip)
    pair = combine(source, clip)
    first = first_rows(pair)
    pairs = source[first] * len(clips) + clip[first]
    order = np.argsort(pairs)
    error = rows.predicted - rows.label
    counts = np.bincount(pair).astype(np.float64)[order]
    squares = np.bincount(pair, np.square(error)).astype(np.float64)[order]
    worst = np.zeros(len(names))
    np.maximum.at(worst, source, np.abs(error))
    bias = np.bincount(source, error) / np.bincount(source)
    entries = []
    ends = np.searchsorted(pairs[order], np.arange(len(names) + 1) * len(clips))
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
