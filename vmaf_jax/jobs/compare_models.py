"""Models on the same rows, best first."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.export.calibration import check_level
from vmaf_jax.features.dataset import read_table
from vmaf_jax.jobs.clip_intervals import check_intervals, clip_intervals
from vmaf_jax.jobs.evaluate import Evaluation, evaluate_model
from vmaf_jax.jobs.model import Model, load_model
from vmaf_jax.jobs.split import split_of
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Models ranked by RMSE (VMAF points) on the rows of one split.

    Attributes:
        label: the column that all are judged by.
        split, rows, sources: what the rows are.
        ranked: an evaluation a model, the smallest RMSE first; equal ones in the order given.
    """

    label: str
    split: str
    rows: int
    sources: list[str]
    ranked: list[Evaluation]


def compare_models(
    models: Sequence[str | Path | Model],
    features: str | Path,
    *,
    split: str = "all",
    label: str | None = None,
    interval: float | None = None,
) -> Comparison:
    """Ranks MODELs on a split of a feature table; with one model, it is that model's evaluation.

    Args:
        split: as `split_of`.
        label: a label column, by default the one that the first model learnt, else `vmaf_v0.6.1`.
        interval: a level in (0, 1): each model's intervals of the clips too, None for those that
            carry no calibration of this label.

    Raises:
        InputError: a bad model, table, split, label or level, a model that takes other features,
            or intervals that none of the models has.
    """
    if not models:
        raise InputError("no model to compare; name at least one.")
    loaded = [load_model(model) for model in models]
    table = split_of(read_table(features), split)
    column = label or loaded[0].label or DEFAULT_TEACHER
    has_intervals = _with_intervals(loaded, column, interval)
    evaluations = []
    for model, has in zip(loaded, has_intervals, strict=True):
        evaluation = evaluate_model(model, table, column, kind=model.kind)
        if interval is not None and has:
            intervals = clip_intervals(model, table, column, interval)
            evaluation = dataclasses.replace(evaluation, intervals=intervals)
        evaluations.append(evaluation)

    def rmse(evaluation: Evaluation) -> float:
        value = evaluation.overall.rmse
        return value if math.isfinite(value) else math.inf

    ranked = sorted(evaluations, key=rmse)
    return Comparison(column, split, len(table), table.sources, ranked)


def _with_intervals(models: Sequence[Model], label: str, level: float | None) -> list[bool]:
    """Whether each model has intervals of `label`.

    Raises:
        InputError: the level is outside (0, 1), or no model has any.
    """
    if level is None:
        return [False] * len(models)
    check_level(level, "--interval")
    missing: dict[int, InputError] = {}
    for k, model in enumerate(models):
        try:
            check_intervals(model, label, level)
        except InputError as error:
            missing[k] = error
    if len(missing) == len(models):
        raise missing[0]
    return [k not in missing for k in range(len(models))]
