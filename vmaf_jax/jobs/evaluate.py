"""The job `evaluate`: a model, or several, against labels on a feature table or a corpus.

`test`, `val` and `train` are made of whole sources, in the order of the SHA-256 of their names, so
that nothing need be stored and every machine makes the same ones: the first tenth (at least one) is
`test`, the next `val`, the rest `train`. `all` is every row, and a source's name that source alone.
A split says which rows are judged; whether a model has seen them is for its own record to say.
"""

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import Opinions
from vmaf_jax.evaluation.metrics import Metrics, all_metrics
from vmaf_jax.evaluation.opinion_report import OpinionReport, opinion_report
from vmaf_jax.export.sidecar import check_level
from vmaf_jax.extraction.corpus import CorpusSource, measure_with_labels
from vmaf_jax.extraction.extract import check_backend
from vmaf_jax.extraction.libvmaf import resolve_teacher
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.intervals import ClipIntervals, check_intervals, clip_intervals
from vmaf_jax.scoring.model import Model, load_model
from vmaf_jax.tables.clips import Clips, clips_of
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.tables.opinions import MOS_RANGE, LabelScale
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER


@runtime_checkable
class Predictor(Protocol):
    """Anything that scores: `load_model`'s result, or a teacher."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def feature_set(self) -> FeatureSet:
        """What it is called with."""

    def __call__(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.floating[Any]]:
        """Scores `[n]` in VMAF points for features `[n, d]`."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's metrics against the column `label`, overall and by source.

    Rows are the table's; opinion scores (`mos`) are of clips, and so are the rows then.

    Attributes:
        label_scale: the worst and the best vote behind 0 and 100.
        opinions: P.1401's statistics, where the labels are opinion scores.
        intervals: of the clips, where asked for.
    """

    model: str
    kind: str
    label: str
    overall: Metrics
    sources: dict[str, Metrics]
    label_scale: LabelScale = MOS_RANGE
    opinions: OpinionReport | None = None
    intervals: ClipIntervals | None = None


def evaluate(
    model: str | Path,
    *,
    features: str | Path | None = None,
    source: CorpusSource | None = None,
    backend: str = "libvmaf",
    label: str | None = None,
    interval: float | None = None,
    progress: Progress = NO_PROGRESS,
) -> Evaluation:
    """A MODEL on the rows of a feature table, or of a corpus that is measured for it.

    Args:
        features, source: one of the two; features by path, or by address as `s3://bucket/folder`.
        backend: what measures the corpus, `libvmaf` or `jax`.
        label: a label column (a teacher's name, or `mos`), by default the one the model learnt,
            else `vmaf_v0.6.1`.
        interval: a level in (0, 1): the intervals of the clips too, and how often they hold the
            label, which has to be the one that the model learnt.

    Raises:
        InputError: bad settings, other features than the model takes, no such label, or a model
            that has no such intervals.
    """
    if (features is None) == (source is None):
        raise InputError("evaluate needs --features FILE or --corpus NAME, one of the two.")
    check_backend(backend)
    if features is not None and backend != "libvmaf":
        raise InputError("--features is measured already; drop --backend and the corpus's flags.")
    loaded = load_model(model)
    column = label or loaded.label or DEFAULT_TEACHER
    if interval is not None:
        check_intervals(loaded, column if source is None else _named(column), interval)
    if source is not None:
        column, table = _measure(loaded, source, column, backend, progress)
    elif features is not None:
        table = read_table(features)
    evaluation = evaluate_model(loaded, table, column, kind=loaded.kind)
    if interval is None:
        return evaluation
    intervals = clip_intervals(loaded, table, column, interval)
    return dataclasses.replace(evaluation, intervals=intervals)


def _measure(
    model: Model, source: CorpusSource, column: str, backend: str, progress: Progress
) -> tuple[str, FeatureTable]:
    """The label column of a corpus, and its table."""
    clips = source.clips()
    if column == "mos" and any(clip.mos is None for clip in clips):
        raise InputError("the labels are opinion scores, and not every clip has a mos; add it.")
    teacher = DEFAULT_TEACHER if column == "mos" else column
    table = measure_with_labels(
        clips, model.feature_set, teacher, backend=backend, progress=progress
    )
    return _named(column), table


def _named(column: str) -> str:
    """A label column, where a teacher may be named by its file."""
    return "mos" if column == "mos" else resolve_teacher(column).name


def evaluate_model(
    model: Predictor, table: FeatureTable, label: str, *, kind: str = "model"
) -> Evaluation:
    """Metrics of anything that scores, on a table's column `label`.

    Raises:
        InputError: the table holds other features than the model takes, or lacks the label.
    """
    expected = model.feature_set
    if table.feature_set != expected:
        raise InputError(
            f"model {model.name!r} takes the feature set {expected.name}, the table holds "
            f"{table.feature_set.name}; extract again with --features {expected.name}."
        )
    true = table.label(label)
    if label == "mos":
        return _against_people(model, table, kind)
    predicted = np.asarray(model(table.features), dtype=np.float64)
    overall, sources = _metrics(predicted, true, table.source)
    return Evaluation(model.name, kind, label, overall, sources)


def _against_people(model: Predictor, table: FeatureTable, kind: str) -> Evaluation:
    clips = clips_of(table)
    mos = clips.labels["mos"]
    predicted = clip_scores(model, clips)
    overall, sources = _metrics(predicted, mos, clips.source)
    opinions = Opinions.of(mos, clips.source, clips.experiment, clips.mos_ci95)
    report = opinion_report(predicted, opinions)
    return Evaluation(model.name, kind, "mos", overall, sources, table.label_scale, report)


def clip_scores(model: Predictor, clips: Clips) -> npt.NDArray[np.float64]:
    """A model's score of each clip `[c]`, VMAF points, by the model's own pooling.

    What has no pooling of its own (a teacher) is pooled by the mean.
    """
    scores = np.empty(len(clips))
    for k in range(len(clips)):
        features = clips.features[k, clips.frames[k] > 0]
        scores[k] = (
            model.clip_score(features) if isinstance(model, Model) else np.mean(model(features))
        )
    return scores


def _metrics(
    predicted: npt.NDArray[np.float64],
    true: npt.NDArray[np.float64],
    source: npt.NDArray[np.object_],
) -> tuple[Metrics, dict[str, Metrics]]:
    """Of all rows, and of each source's."""
    by_source = {
        name: all_metrics(predicted[rows], true[rows])
        for name in sorted(set(source.tolist()))
        for rows in [source == name]
    }
    return all_metrics(predicted, true), by_source


_SHARE = 10  # one source of so many is test, and one is val
_PARTS = ("test", "val", "train")


def split_of(table: FeatureTable, split: str) -> FeatureTable:
    """The rows of a split.

    Args:
        split: `all`, `train`, `val`, `test`, or the name of a source.

    Raises:
        InputError: no such split, or too few sources to make it.
    """
    sources = table.sources
    if split == "all":
        return table
    if split in sources:
        return _rows(table, table.source == split)
    if split not in _PARTS:
        raise InputError(
            f"split {split!r}: expected all, train, val, test or a source of the table "
            f"({', '.join(sources[:8])}{', ...' if len(sources) > 8 else ''})."
        )
    if len(sources) < len(_PARTS):
        raise InputError(
            f"split {split!r}: the table has {len(sources)} sources, three parts need at least "
            f"{len(_PARTS)}; use all, or the name of a source."
        )
    return _rows(table, np.isin(table.source.astype(str), _part(sources, split)))


def _part(sources: list[str], split: str) -> list[str]:
    ordered = sorted(sources, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = max(1, len(sources) // _SHARE)
    parts = {"test": ordered[:count], "val": ordered[count : 2 * count]}
    return parts.get(split, ordered[2 * count :])


def _rows(table: FeatureTable, rows: npt.NDArray[np.bool_]) -> FeatureTable:
    return dataclasses.replace(
        table,
        corpus=table.corpus[rows],
        source=table.source[rows],
        clip=table.clip[rows],
        index=table.index[rows],
        features=table.features[rows],
        labels={name: column[rows] for name, column in table.labels.items()},
        mos_ci95=None if table.mos_ci95 is None else table.mos_ci95[rows],
        experiment=None if table.experiment is None else table.experiment[rows],
    )


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
