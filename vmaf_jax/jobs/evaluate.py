"""The job `evaluate`: models against labels on a feature table, or on a corpus that is measured.

The splits `test`, `val` and `train` consist of whole sources, in the order of the SHA-256 of their
names, so that nothing need be stored and every machine makes the same ones: the first tenth (at
least one) is `test`, the next `val`, the rest `train`. `all` is every row, and a source's name that
source alone. A split says which rows are judged; whether a model was trained on them is in its
own record.
"""

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import Opinions
from vmaf_jax.evaluation.conformal import check_level
from vmaf_jax.evaluation.metrics import Metrics, all_metrics
from vmaf_jax.evaluation.opinion_report import (
    OpinionComparison,
    OpinionReport,
    compare_against_opinions,
    opinion_report,
)
from vmaf_jax.extraction.corpus import CorpusSource, measure_with_labels
from vmaf_jax.extraction.extract import check_backend
from vmaf_jax.extraction.request import resolve_teacher
from vmaf_jax.printable import format_count
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.intervals import ClipIntervals, check_intervals, clip_intervals
from vmaf_jax.scoring.model import Model, ModelLike, load_model
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.tables.table import MOS_RANGE, FeatureTable, LabelScale, rows_by_clip
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ComparedModel:
    """A second model on the same rows, and how it differs from the first.

    Attributes:
        model: Its name.
        kind: `run`, `onnx` or `libvmaf`.
        overall: Its metrics of all rows.
        comparison: Differences, first model less second.
    """

    model: str
    kind: str
    overall: Metrics
    comparison: OpinionComparison


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's metrics against the column `label`, overall and by source.

    Rows are the table's frames; opinion scores (`mos`) are of clips, and so are the rows then.

    Attributes:
        model: The model's name.
        kind: `run`, `onnx` or `libvmaf`.
        label_scale: The worst and the best vote behind 0 and 100.
        opinions: Statistics of P.1401, where the labels are opinion scores.
        intervals: Of the clips, where requested.
        against: A second model, where requested.
    """

    model: str
    kind: str
    label: str
    overall: Metrics
    sources: dict[str, Metrics]
    label_scale: LabelScale = MOS_RANGE
    opinions: OpinionReport | None = None
    intervals: ClipIntervals | None = None
    against: ComparedModel | None = None


def evaluate(
    model: str | Path,
    *,
    features: str | Path | None = None,
    source: CorpusSource | None = None,
    backend: str = "libvmaf",
    label: str | None = None,
    interval: float | None = None,
    against: str | Path | None = None,
    progress: Progress = NO_PROGRESS,
) -> Evaluation:
    """Evaluates a MODEL on the rows of a feature table, or of a corpus that is measured for it.

    Args:
        features, source: One of the two; features by path, or by address as `s3://bucket/folder`.
        backend: What measures the corpus, `libvmaf` or `jax`.
        label: A label column (a teacher's name, or `mos`), by default the one that the model was
            trained on, else `vmaf_v0.6.1`.
        interval: A level in (0, 1): the intervals of the clips too, and how often they hold the
            label, which has to be the one that the model was trained on.
        against: A second MODEL over the same features, to be compared with the first.

    Raises:
        InputError: Bad settings, other features than a model takes, no such label, or a model
            that has no such intervals.
    """
    if (features is None) == (source is None):
        raise InputError("evaluate needs --features FILE or --corpus NAME, one of the two.")
    check_backend(backend)
    if features is not None and backend != "libvmaf":
        raise InputError("--features is measured already; drop --backend and the corpus's flags.")
    loaded = load_model(model)
    other = None if against is None else load_model(against)  # before a corpus is measured for it
    column = label or loaded.label or DEFAULT_TEACHER
    if interval is not None:
        check_intervals(loaded, column if source is None else _teacher_column(column), interval)
    if source is not None:
        table = _measure(loaded, source, column, backend, progress)
        column = _teacher_column(column)
    elif features is not None:
        table = read_table(features)
    evaluation = _evaluate_on(loaded, table, column, interval)
    if other is None:
        return evaluation
    return dataclasses.replace(evaluation, against=_compare(loaded, other, table, column))


def _measure(
    model: Model, source: CorpusSource, column: str, backend: str, progress: Progress
) -> FeatureTable:
    """Measures a corpus with the features of a model and a label column."""
    clips = source.clips()
    if column == "mos" and any(clip.mos is None for clip in clips):
        raise InputError("the labels are opinion scores, and not every clip has a mos; add it.")
    teacher = DEFAULT_TEACHER if column == "mos" else column
    return measure_with_labels(
        clips, model.feature_set, teacher, backend=backend, progress=progress
    )


def _teacher_column(column: str) -> str:
    """Returns the name of a label column, where a teacher may be named by its file."""
    return "mos" if column == "mos" else resolve_teacher(column).name


def _evaluate_on(
    model: Model, table: FeatureTable, label: str, interval: float | None = None
) -> Evaluation:
    """Evaluates a model on a table's column `label`.

    Raises:
        InputError: The table holds other features than the model takes, or lacks the label.
    """
    predicted, opinions = _predict_rows(model, table, label)
    sources = {}
    for name in sorted(set(opinions.source.tolist())):
        rows = opinions.source == name
        sources[name] = all_metrics(predicted[rows], opinions.mos[rows])
    votes = label == "mos"
    return Evaluation(
        model=model.name,
        kind=model.kind,
        label=label,
        overall=all_metrics(predicted, opinions.mos),
        sources=sources,
        label_scale=table.label_scale if votes else MOS_RANGE,
        opinions=opinion_report(predicted, opinions) if votes else None,
        intervals=None if interval is None else clip_intervals(model, table, label, interval),
    )


def _compare(first: Model, second: Model, table: FeatureTable, label: str) -> ComparedModel:
    """Compares two models on a table's column `label`; a teacher's scores stand in for opinions."""
    # The labels are the same for both: models over other features are refused.
    ours, opinions = _predict_rows(first, table, label)
    theirs, _ = _predict_rows(second, table, label)
    return ComparedModel(
        model=second.name,
        kind=second.kind,
        overall=all_metrics(theirs, opinions.mos),
        comparison=compare_against_opinions(ours, theirs, opinions),
    )


def _predict_rows(model: Model, table: FeatureTable, label: str) -> tuple[Floats, Opinions]:
    """Returns a model's scores `[n]` and the labels: of clips for `mos`, else of the table's rows.

    Clips are scored by the model's own pooling, at their viewers' distance where both know it.
    """
    if table.feature_set != model.feature_set:
        raise InputError(
            f"model {model.name!r} takes the feature set {model.feature_set.name}, the table holds "
            f"{table.feature_set.name}; extract again with --features {model.feature_set.name}."
        )
    true = table.label(label)
    if label != "mos":
        return np.asarray(model(table.features), np.float64), Opinions.of(true, table.source)
    clips = table.mean_pool()
    if model.distance is not None and clips.distance is not None:
        seen = {d: model.seen_from(d) for d in set(clips.distance.tolist())}
        models = [seen[distance] for distance in clips.distance.tolist()]
    else:
        models = [model] * len(clips)
    predicted = [
        own.clip_score(table.features[rows])
        for own, rows in zip(models, rows_by_clip(table), strict=True)
    ]
    opinions = Opinions.of(clips.labels["mos"], clips.source, clips.experiment, clips.mos_ci95)
    return np.array(predicted), opinions


@dataclasses.dataclass(frozen=True)
class ModelRanking:
    """Models ranked by RMSE (VMAF points) on the rows of one split.

    Attributes:
        label: The column that all are judged by.
        split, rows, sources: Name, number of rows and sources of the split.
        ranked: An evaluation a model, the smallest RMSE first; equal ones in the order given.
    """

    label: str
    split: str
    rows: int
    sources: list[str]
    ranked: list[Evaluation]


def rank_models(
    models: Sequence[ModelLike],
    features: str | Path,
    *,
    split: str = "all",
    label: str | None = None,
    interval: float | None = None,
) -> ModelRanking:
    """Ranks MODELs on a split of a feature table; one model alone is evaluated.

    Args:
        split: As for `select_split`.
        label: A label column, by default the one that the first model was trained on, else
            `vmaf_v0.6.1`.
        interval: A level in (0, 1): each model's intervals of the clips too, None for those that
            carry no calibration of this label.

    Raises:
        InputError: A bad model, table, split, label or level, a model that takes other features,
            or intervals that none of the models has.
    """
    if not models:
        raise InputError("no model to compare; name at least one.")
    loaded = [load_model(model) for model in models]
    table = select_split(read_table(features), split)
    column = label or loaded[0].label or DEFAULT_TEACHER
    levels = _interval_levels(loaded, column, interval)
    evaluations = [
        _evaluate_on(model, table, column, level)
        for model, level in zip(loaded, levels, strict=True)
    ]

    def rmse(evaluation: Evaluation) -> float:
        value = evaluation.overall.rmse  # NaN of a model that diverged would sort anywhere
        return value if math.isfinite(value) else math.inf

    ranked = sorted(evaluations, key=rmse)
    return ModelRanking(column, split, len(table), table.sources, ranked)


def _interval_levels(
    models: Sequence[Model], label: str, level: float | None
) -> list[float | None]:
    """Returns the level for each model, None for those that have no intervals of `label`.

    Raises:
        InputError: The level is outside (0, 1), or no model has intervals.
    """
    levels: list[float | None] = [level] * len(models)
    if level is None:
        return levels
    check_level(level, "--interval")
    reasons = []
    for k, model in enumerate(models):
        try:
            check_intervals(model, label, level)
        except InputError as error:
            levels[k] = None
            reasons.append(error)
    if len(reasons) == len(models):
        raise reasons[0]
    return levels


_SHARE = 10  # one source of so many is test, and one is val
_PARTS = ("test", "val", "train")


def select_split(table: FeatureTable, split: str) -> FeatureTable:
    """Returns the rows of a split.

    Args:
        split: `all`, `train`, `val`, `test`, or the name of a source.

    Raises:
        InputError: No such split, or too few sources to make it.
    """
    sources = table.sources
    if split == "all":
        return table
    if split in sources:
        return table.take(table.source == split)
    if split not in _PARTS:
        raise InputError(
            f"split {split!r}: expected all, train, val, test or a source of the table "
            f"({', '.join(sources[:8])}{', ...' if len(sources) > 8 else ''})."
        )
    if len(sources) < len(_PARTS):
        raise InputError(
            f"split {split!r}: the table has {format_count(len(sources), 'source')}, three parts "
            f"need at least {len(_PARTS)}; use all, or the name of a source."
        )
    # SHA-256, since Python's hash of text differs from process to process.
    ordered = sorted(sources, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = max(1, len(sources) // _SHARE)
    parts = {
        "test": ordered[:count],
        "val": ordered[count : 2 * count],
        "train": ordered[2 * count :],
    }
    return table.take(np.isin(table.source.astype(str), parts[split]))
