"""Held-out errors by source with intervals, and the differences of several runs over sources.

Within a source its clips are the sample: each is left out in turn (jackknife) in the logarithm of
the source's RMSE, which says how far the figure hangs on those clips and nothing of other sources.
Over a run the sources are the sample, as in `intervals`. All sums run once over the rows.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.intervals import (
    Difference,
    Interval,
    Moments,
    difference_of,
    jackknife,
    plcc_interval,
    plcc_of,
    rmse_interval,
    rmse_of,
    sum_without_each,
    sums_by_source,
)
from vmaf_jax.tables.categories import Codes, combine, encode, first_rows

Floats = npt.NDArray[np.float64]
_SAME_LABEL = 1e-6  # VMAF points: labels of one clip in two runs


@dataclasses.dataclass(frozen=True)
class SourceError:
    """The errors of one held-out source, all seeds together, VMAF points.

    Attributes:
        interval: of its RMSE, 95 %, over its clips; NaN with fewer than three.
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
    """An entry a source, the largest RMSE first."""
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
        of_source = slice(ends[k], ends[k + 1])
        n, square = counts[of_source], squares[of_source]
        rmse, interval = _rmse_over_clips(n, square)
        figures = (rmse, interval, float(bias[k]), float(worst[k]))
        entries.append(SourceError(name, int(n.sum()), len(n), *figures))
    return sorted(entries, key=lambda entry: (-entry.rmse, entry.source))


def _rmse_over_clips(n: Floats, squares: Floats) -> tuple[float, Interval]:
    """RMSE and its interval from the rows and the squared errors of each clip, `[clips]`."""
    rmse = math.sqrt(squares.sum() / n.sum())
    if len(n) < 3:
        return rmse, Interval(math.nan, math.nan)
    without = sum_without_each(squares[:, None])[:, 0] / (n.sum() - n)
    if rmse == 0 or not np.all(without > 0):
        return rmse, Interval(math.nan, math.nan)
    interval = jackknife(math.log(rmse), np.log(without) / 2)
    with np.errstate(over="ignore"):
        return rmse, Interval(float(np.exp(interval.low)), float(np.exp(interval.high)))


@dataclasses.dataclass(frozen=True)
class OverSources:
    """RMSE (VMAF points) and PLCC of all rows, with 95 % intervals over their sources."""

    n_sources: int
    rmse: float
    rmse_interval: Interval
    plcc: float
    plcc_interval: Interval


def over_sources(rows: HeldOut) -> OverSources:
    """The figures of held-out rows, all seeds together."""
    names, source = encode(rows.source)
    sums = sums_by_source(rows.predicted, rows.label, source, len(names))
    moments = Moments(sums[None, None])
    with np.errstate(all="ignore"):
        return OverSources(
            n_sources=len(names),
            rmse=float(rmse_of(moments.total())[0]),
            rmse_interval=rmse_interval(moments),
            plcc=float(plcc_of(moments.total())[0]),
            plcc_interval=plcc_interval(moments),
        )


@dataclasses.dataclass(frozen=True)
class Paired:
    """Several runs over the rows that all of them predicted.

    Attributes:
        n, n_sources: of those rows (a row counts once, however many seeds predicted it).
        left_out: rows that some run has and another lacks.
        figures: `rmse`, `mae`, `plcc` by run.
        against: by run but the first, those figures of it less the first's.
        by_source: RMSE of each run `[runs]` by source.
    """

    n: int
    n_sources: int
    left_out: int
    figures: dict[str, dict[str, float]]
    against: dict[str, dict[str, Difference]]
    by_source: dict[str, list[float]]


def paired(runs: Mapping[str, HeldOut]) -> Paired:
    """Compares runs on the same rows; the sources are the sample.

    Raises:
        InputError: they share no rows, or a row has another label in one of them.
    """
    names, keys, sources = _row_keys(list(runs.values()))
    common = keys[0]
    for key in keys[1:]:
        common = np.intersect1d(common, key)
    if not common.size:
        raise InputError(
            f"{', '.join(runs)}: no held-out row in common; name runs of one feature table."
        )
    _check_labels(runs, keys, common)
    sums, shared = [], np.zeros(len(names), np.bool_)
    for rows, key, source in zip(runs.values(), keys, sources, strict=True):
        inside = np.isin(key, common)
        seeds = len(np.unique(rows.seed[inside]))
        own, group = rows.where(inside), source[inside]
        moments = sums_by_source(own.predicted, own.label, group, len(names))
        absolute = np.bincount(group, np.abs(own.predicted - own.label), len(names))
        sums.append(np.concatenate([moments, absolute[:, None]], axis=1) / seeds)
        shared |= np.bincount(source[inside], minlength=len(names)) > 0
    of_runs = np.stack(sums)[:, shared]
    everything = len(np.unique(np.concatenate(keys)))
    figures, against = _figures(list(runs), of_runs)
    by_source = dict(zip(np.array(names, object)[shared].tolist(), _rmse(of_runs).T, strict=True))
    return Paired(
        n=len(common),
        n_sources=int(shared.sum()),
        left_out=everything - len(common),
        figures=figures,
        against=against,
        by_source={name: values.tolist() for name, values in by_source.items()},
    )


def _row_keys(runs: Sequence[HeldOut]) -> tuple[list[str], list[Codes], list[Codes]]:
    """Names of sources; a number for each (source, clip, index), and the source's, run by run."""
    names, source = encode(np.concatenate([rows.source for rows in runs]))
    clips, clip = encode(np.concatenate([rows.clip for rows in runs]))
    index = np.concatenate([rows.index for rows in runs]).astype(np.int64)
    index -= index.min(initial=0)
    key = (source * len(clips) + clip) * (int(index.max(initial=0)) + 1) + index
    cuts = np.cumsum([len(rows.label) for rows in runs])[:-1]
    return names, np.split(key, cuts), np.split(source, cuts)


def _check_labels(runs: Mapping[str, HeldOut], keys: list[Codes], common: Codes) -> None:
    first: Floats | None = None
    for (name, rows), key in zip(runs.items(), keys, strict=True):
        unique, at = np.unique(key, return_index=True)
        labels = rows.label[at[np.isin(unique, common)]]
        first = labels if first is None else first
        if (worst := float(np.max(np.abs(labels - first)))) > _SAME_LABEL:
            raise InputError(
                f"{name}: its labels differ from those of {next(iter(runs))} by up to "
                f"{worst:.3g} points on the same rows; compare runs that learnt one label."
            )


def _rmse(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return rmse_of(sums[..., :7])


def _figures(
    names: list[str], sums: Floats
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Difference]]]:
    """Figures by run, and differences from the first.

    Args:
        sums: `[runs, g, 8]`, as `sums_by_source` gives them and of the absolute error.
    """

    def statistics(total: Floats) -> dict[str, Floats]:
        rmse, plcc = _rmse(total), plcc_of(total[..., :7])
        return {"rmse": rmse, "mae": total[..., 7] / total[..., 0], "plcc": plcc}

    total = sums.sum(axis=1)
    whole = statistics(total)
    without = statistics(sum_without_each(sums)) if sums.shape[1] >= 3 else None
    figures = {
        name: {key: float(values[k]) for key, values in whole.items()}
        for k, name in enumerate(names)
    }
    against = {}
    for k, name in enumerate(names[1:], 1):
        against[name] = {
            key: difference_of(
                float(values[k]),
                float(values[0]),
                np.empty(0) if without is None else without[key][k] - without[key][0],
            )
            for key, values in whole.items()
        }
    return figures, against


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number, Holm's step-down; NaN stays NaN.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    numbers = [k for k, p in enumerate(p_values) if not math.isnan(p)]
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, k in enumerate(sorted(numbers, key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (len(numbers) - rank) * p_values[k]))
        adjusted[k] = highest
    return adjusted
