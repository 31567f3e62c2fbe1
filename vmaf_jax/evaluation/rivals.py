"""Comparison of a new model with models that need no training, on the same held-out rows.

The difference of two RMSE is paired over sources (`intervals.paired_jackknife`). Several rivals are
several tests, so p values are adjusted by Holm's step-down.
"""

import dataclasses
import math
from collections.abc import Mapping

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.intervals import Interval, adjust_p_values
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.evaluation.run_comparison import compare_runs

_SIGNIFICANT = 0.05


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
    if best.p_value >= _SIGNIFICANT:
        return f"VMAF is as good, as far as these sources can show: {gap}. It needs no training."
    if best.difference < 0:
        return f"Ship it: better than VMAF on sources it never saw, {gap}."
    return f"VMAF is better: {gap}. Do not ship this model."


def _judge_by_teacher(rmse: float, best: Rival) -> str:
    both = (
        f"The shipped {best.name} has RMSE {best.rmse:.3g} on these rows, this student {rmse:.3g}"
    )
    if best.rmse < rmse:
        return f"{both}: take {best.name}, unless this one is smaller or knows content like yours."
    return f"{both}."
