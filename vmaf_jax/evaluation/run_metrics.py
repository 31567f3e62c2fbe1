"""Figures of a run: the content of `metrics.json`, with the behaviour outside the training data.

Cases of that: identical pictures at any motion (still and black ones are those without motion),
pictures without motion at any quality, and a box a fifth wider than the data in every feature.
Runs, and models that need no training, are compared on the same rows, paired over sources; several
rivals of a new model are several tests, so p values are adjusted by Holm's step-down.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import FoldMetrics, HeldOut, Loso
from vmaf_jax.evaluation.intervals import (
    Interval,
    PairedDifference,
    adjust_p_values,
    is_significant,
    moment_plcc,
    moment_rmse,
    paired_jackknife,
    sum_by_source,
    sum_without_each,
)
from vmaf_jax.evaluation.metrics import Distance, Metrics, all_metrics, max_abs, rmse
from vmaf_jax.evaluation.opinion_report import Experiments
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.tables.table import Codes, encode

CASES = {
    "identical": "identical pictures, motion2 from 0 to 30",
    "still": "the training clips with their motion set to 0",
    "wider_box": "random features in a box 20 % wider than the training rows",
}
_WIDENING = 0.2  # of the data's range, half of it at either side
_N_DRAWN = 20_000  # the worst of them is repeatable; drawn by a fixed seed
_CHUNK = 1 << 17  # rows that are predicted at once

Predict = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating]]
Floats = npt.NDArray[np.float64]
_SAME_LABEL = 1e-6  # VMAF points between labels of one row in two runs; features have six decimals


@dataclasses.dataclass(frozen=True)
class Deviation:
    """Difference of clipped scores of a student and its teacher over `n` rows, VMAF points."""

    n: int
    rmse: float
    max_abs: float


def behaviour(
    student: Predict, teacher: Predict, features: npt.NDArray[np.float64], feature_set: FeatureSet
) -> dict[str, Deviation]:
    """Measures the deviation of `student` from `teacher` by case.

    Args:
        student, teacher: from features `[n, d]` to clipped scores `[n]`, VMAF points.
        features: the training rows `[n, d]`, which define the box.
    """
    motion = [name in feature_set.reference_only for name in feature_set]
    lower, upper = features.min(axis=0), features.max(axis=0)
    margin = (upper - lower) * _WIDENING / 2
    rng = np.random.default_rng(0)
    wide = rng.uniform(lower - margin, upper + margin, (_N_DRAWN, len(feature_set)))
    wide = np.clip(wide, feature_set.lower, feature_set.upper)
    # Motion is of the reference alone; of equal pictures all other features have one value.
    speeds = np.linspace(0, feature_set.upper[motion.index(True)], 301)
    identical = np.where(motion, speeds[:, None], feature_set.identical)
    still = np.where(motion, 0.0, features)
    cases = {"identical": identical, "still": still, "wider_box": wide}
    deviations = {}
    for name, rows in cases.items():
        by_student, by_teacher = _in_chunks(student, rows), _in_chunks(teacher, rows)
        deviations[name] = Deviation(
            len(rows), rmse(by_student, by_teacher), max_abs(by_student, by_teacher)
        )
    return deviations


def _in_chunks(predict: Predict, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
    return np.concatenate([predict(rows[k : k + _CHUNK]) for k in range(0, len(rows), _CHUNK)])


@dataclasses.dataclass(frozen=True)
class Rival:
    """A model that exists already, and the difference of the new model from it.

    Attributes:
        rmse: VMAF points.
        difference: the new model's RMSE less this one's; `interval` is 95 %, over sources, and NaN
            with fewer than three.
        p_value: two-sided, that there is no difference, adjusted for the number of rivals.
    """

    name: str
    plcc: float
    srocc: float
    rmse: float
    difference: float
    interval: Interval
    p_value: float


@dataclasses.dataclass(frozen=True)
class Standing:
    """Figures of a new model and of its rivals.

    Attributes:
        plcc, srocc, rmse: of the new model's held-out predictions.
        rivals: the smallest RMSE first.
        verdict: sentence that says whether the new model is worth having.
    """

    plcc: float
    srocc: float
    rmse: float
    rivals: tuple[Rival, ...]
    verdict: str


@dataclasses.dataclass(frozen=True)
class Timing:
    """Duration of a run in seconds: compiling, training, and the whole run."""

    compile_s: float
    train_s: float
    total_s: float


@dataclasses.dataclass(frozen=True)
class RunMetrics:
    """Figures of a run, in VMAF points and correlations.

    Attributes:
        loso, folds: of the held-out predictions; `folds` has an entry for each source and seed.
        held_out_together: the sources of each fold; None where every source is a fold of its own.
        external: of corpora that took no part in the training, by name.
        parity: of the deployed form in JAX against ONNX Runtime.
        behaviour: deviation from the teacher outside the data, by case; None without a teacher.
        beside: comparison of the held-out predictions with models that need no training; None where
            there are none for these rows.
        experiments: agreement of the held-out predictions, and of VMAF at 4K by its best poolings,
            with each subjective test; None without tests.
        environment: description of the machine by `environment.environment`.
    """

    loso: Loso
    folds: tuple[FoldMetrics, ...]
    held_out_together: tuple[tuple[str, ...], ...] | None
    external: dict[str, Metrics]
    parity: Distance
    timing: Timing
    environment: dict[str, Any]
    behaviour: dict[str, Deviation] | None
    beside: Standing | None = None
    experiments: Experiments | None = None


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Several runs over the rows that all of them predicted; the first run is the standard.

    Attributes:
        n, n_sources: number of those rows (a row counts once, however many seeds predicted it) and
            of their sources.
        left_out: number of rows that some run has and another lacks.
        figures: `rmse`, `mae` and `plcc` by run.
        against: by run but the first, the same figures of it less the first's.
        by_source: RMSE of each run `[runs]` by source.
    """

    n: int
    n_sources: int
    left_out: int
    figures: dict[str, dict[str, float]]
    against: dict[str, dict[str, PairedDifference]]
    by_source: dict[str, list[float]]


def compare_runs(runs: Mapping[str, HeldOut]) -> RunComparison:
    """Compares runs on their common rows, with the sources as the sample.

    Squared errors of several seeds are averaged: no seed is chosen, and no ensemble is formed.

    Raises:
        InputError: the runs share no rows, or a row has another label in one of them.
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
        n_seeds = len(np.unique(rows.seed[inside]))
        chosen, group = rows.where(inside), source[inside]
        moments = sum_by_source(chosen.predicted, chosen.label, group, len(names))
        absolute = np.bincount(group, np.abs(chosen.predicted - chosen.label), len(names))
        sums.append(np.concatenate([moments, absolute[:, None]], axis=1) / n_seeds)
        shared |= np.bincount(group, minlength=len(names)) > 0
    run_sums = np.stack(sums)[:, shared]
    figures, against = _differences(list(runs), run_sums)  # the first run is the standard
    source_names = [name for name, inside in zip(names, shared, strict=True) if inside]
    return RunComparison(
        n=len(common),
        n_sources=int(shared.sum()),
        left_out=len(np.unique(np.concatenate(keys))) - len(common),
        figures=figures,
        against=against,
        by_source=dict(zip(source_names, _rmse(run_sums).T.tolist(), strict=True)),
    )


def _row_keys(runs: Sequence[HeldOut]) -> tuple[list[str], list[Codes], list[Codes]]:
    """Numbers every row by (source, clip, index), alike in all runs.

    Returns:
        Names of sources; then, by run, the key of each row and the number of its source.
    """
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
        return moment_rmse(sums[..., :7])


def _figures(sums: Floats) -> dict[str, Floats]:
    """Computes figures from moments and sums of absolute errors, `[..., 8]`."""
    plcc = moment_plcc(sums[..., :7])
    return {"rmse": _rmse(sums), "mae": sums[..., 7] / sums[..., 0], "plcc": plcc}


def _differences(
    names: list[str], sums: Floats
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, PairedDifference]]]:
    """Computes figures by run, and the differences from the first run; sums are `[runs, g, 8]`."""
    whole = _figures(sums.sum(axis=1))
    enough = sums.shape[1] >= 3
    without = _figures(sum_without_each(sums)) if enough else {}
    figures = {
        name: {key: float(values[k]) for key, values in whole.items()}
        for k, name in enumerate(names)
    }
    against = {
        name: {
            key: paired_jackknife(
                float(values[k]),
                float(values[0]),
                without[key][k] - without[key][0] if enough else np.empty(0),
            )
            for key, values in whole.items()
        }
        for k, name in enumerate(names[1:], 1)
    }
    return figures, against


def compare_with_rivals(
    rows: HeldOut, rivals: Mapping[str, HeldOut], *, has_opinions: bool
) -> Standing:
    """Compares held-out predictions with those of rivals on the same rows.

    Args:
        rows: of the new model, all seeds.
        rivals: at least one, by name; their labels are those of `rows`.
        has_opinions: whether the labels are opinion scores and the rivals VMAF's models; otherwise
            the rivals are shipped students of the same teacher.
    """
    differences = [
        compare_runs({name: rival, "": rows}).against[""]["rmse"] for name, rival in rivals.items()
    ]
    p_values = adjust_p_values([difference.p_value for difference in differences])
    entries = []
    for (name, rival), difference, p_value in zip(
        rivals.items(), differences, p_values, strict=True
    ):
        metrics = all_metrics(rival.predicted, rival.label)
        entries.append(
            Rival(
                name=name,
                plcc=metrics.plcc,
                srocc=metrics.srocc,
                rmse=metrics.rmse,
                difference=difference.difference,
                interval=difference.interval,
                p_value=p_value,
            )
        )
    entries.sort(key=lambda entry: entry.rmse)
    metrics = all_metrics(rows.predicted, rows.label)
    best = entries[0]
    verdict = _judge_by_opinions(best) if has_opinions else _judge_by_teacher(metrics.rmse, best)
    return Standing(metrics.plcc, metrics.srocc, metrics.rmse, tuple(entries), verdict)


def _judge_by_opinions(best: Rival) -> str:
    gap = f"RMSE {best.difference:+.3f} points beside {best.name}"
    if math.isnan(best.p_value):
        return f"Too few sources to tell from VMAF: {gap}."
    gap += f", p {best.p_value:.2g}"
    if not is_significant(best.p_value):
        return f"VMAF is as good, as far as these sources can show: {gap}. It needs no training."
    if best.difference < 0:
        return f"Ship it: better than VMAF on sources it never saw, {gap}."
    return f"VMAF is better: {gap}. Do not ship this model."


def _judge_by_teacher(rmse: float, best: Rival) -> str:
    both = (
        f"The shipped {best.name} has RMSE {best.rmse:.3g} on these rows, this student {rmse:.3g}"
    )
    if best.rmse >= rmse:
        return f"{both}."
    if is_significant(best.p_value):
        return f"{both}: take {best.name}, unless this one is smaller or knows content like yours."
    why = "too few" if math.isnan(best.p_value) else f"p {best.p_value:.2g}"
    return f"{both}, which these sources cannot tell apart ({why}). {best.name} needs no training."
