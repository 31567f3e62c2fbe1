"""A new model beside models that need no training, on the same rows and held-out sources.

The difference of two RMSE is paired over sources (jackknife, Student's t, as in `significance`).
Several rivals are several looks, so p values are adjusted by Holm's step-down.
"""

import dataclasses
import math
from collections.abc import Mapping

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.intervals import Interval, adjust_p_values
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.evaluation.run_comparison import compare_runs

SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class Rival:
    """A model that was there before.

    Attributes:
        rmse: VMAF points, as all errors here.
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
    """A new model and its rivals.

    Attributes:
        plcc, srocc, rmse: of the new model's held-out predictions.
        rivals: the smallest RMSE first.
        verdict: whether the new model is worth having, in words.
    """

    plcc: float
    srocc: float
    rmse: float
    rivals: tuple[Rival, ...]
    verdict: str


def stand_beside(rows: HeldOut, rivals: Mapping[str, HeldOut], *, people: bool) -> Standing:
    """Compares held-out predictions with those of rivals on the same rows.

    Args:
        rows: of the new model, all seeds.
        rivals: at least one, by name; their labels are those of `rows`.
        people: whether the labels are opinion scores and the rivals VMAF's models; else the rivals
            are shipped students of the same teacher.
    """
    differences = [
        compare_runs({name: own, "": rows}).against[""]["rmse"] for name, own in rivals.items()
    ]
    p_values = adjust_p_values([difference.p_value for difference in differences])
    entries = []
    for (name, own), difference, p_value in zip(rivals.items(), differences, p_values, strict=True):
        metrics = all_metrics(own.predicted, own.label)
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
    verdict = _of_people(entries[0]) if people else _of_teacher(metrics.rmse, entries[0])
    return Standing(metrics.plcc, metrics.srocc, metrics.rmse, tuple(entries), verdict)


def _of_people(best: Rival) -> str:
    gap = f"RMSE {best.difference:+.3f} points beside {best.name}"
    if math.isnan(best.p_value):
        return f"Too few sources to tell from VMAF: {gap}."
    gap += f", p {best.p_value:.2g}"
    if best.p_value >= SIGNIFICANT:
        return f"VMAF is as good, as far as these sources can show: {gap}. It needs no training."
    if best.difference < 0:
        return f"Ship it: better than VMAF on sources it never saw, {gap}."
    return f"VMAF is better: {gap}. Do not ship this model."


def _of_teacher(rmse: float, best: Rival) -> str:
    both = (
        f"The shipped {best.name} has RMSE {best.rmse:.3g} on these rows, this student {rmse:.3g}"
    )
    if best.rmse < rmse:
        return f"{both}: take {best.name}, unless this one is smaller or knows content like yours."
    return f"{both}."
