"""The rows, labels, targets, teacher and folds that a student learns from."""

import dataclasses
import functools
import hashlib
import json

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, OtherFeaturesError
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.extraction.corpus import CorpusSource, measure_corpus
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.models import Student, Variables
from vmaf_jax.printable import format_count
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.config import Config, DataConfig
from vmaf_jax.tables.dataset import map_table, read_table
from vmaf_jax.tables.locations import locate
from vmaf_jax.tables.table import (
    MOS_RANGE,
    FeatureTable,
    LabelScale,
    PaddedClips,
    encode_sorted,
    pad_clips,
)
from vmaf_jax.teacher import Teacher, known_teachers, load_teacher
from vmaf_jax.training import (
    ClipRows,
    Rows,
    TrainingSettings,
    fold_masks,
    make_rows,
    source_folds,
)
from vmaf_jax.training.batches import StreamRows

_DIGEST_ROWS = 1 << 16  # that are copied at a time
_TARGET_ROWS = 1 << 16  # that the teacher is asked about at a time


def clip_contents(table: FeatureTable) -> dict[str, str]:
    """Returns clips' names by their content: digests of files where known, and of features."""
    inputs = table.provenance.get("inputs", {})
    contents = {
        digest: name
        for name, digest in inputs.items()
        if not name.endswith(".json") and not name.endswith(" (reference)")
    }
    keys = np.array([f"{s}\n{c}" for s, c in zip(table.source, table.clip, strict=True)])
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    for rows in np.split(np.arange(len(table)), starts[1:]):
        digest = hashlib.sha256(np.ascontiguousarray(table.features[rows]).tobytes()).hexdigest()
        contents[digest] = f"{table.source[rows[0]]}/{table.clip[rows[0]]}"
    return contents


def table_digest(table: FeatureTable) -> str:
    """Computes the SHA-256 of a table's rows: keys, features and labels."""
    state = hashlib.sha256()
    for k, names in enumerate((table.corpus, table.source, table.clip)):
        state.update(b", [" if k else b"[[")  # as `json.dumps` writes the three lists, in parts
        for at in range(0, len(names), _DIGEST_ROWS):
            part = json.dumps(names[at : at + _DIGEST_ROWS].tolist())[1:-1]
            state.update((", " * (at > 0) + part).encode())
        state.update(b"]")
    state.update(b"]")
    columns: tuple[np.ndarray, ...] = (table.index, table.features, *table.labels.values())
    for column in columns:
        for at in range(0, len(column), _DIGEST_ROWS):
            state.update(np.ascontiguousarray(column[at : at + _DIGEST_ROWS]).tobytes())
    return state.hexdigest()


_MODEL_VARIANCE = 100.0  # points squared, of a clip's error beside the votes'
_SAME_SCORE = 1e-3  # VMAF points; six-decimal features alone account for 1.8e-4


@dataclasses.dataclass(frozen=True)
class Problem:
    """A table ready to train on or to be judged by.

    Its units are the table's rows, or its clips where the labels are of clips (opinion scores).

    Attributes:
        name: the corpus or file, for people.
        table: the rows.
        clips: the units where they are clips; None where they are rows.
        label: what predictions are judged by, VMAF points, `[n]`.
        target: what a student is trained on, `[n]`; as `label`, or the teacher's unclipped score.
        teacher: the labels as a function of the table's features; None where there is none.
        no_teacher: why there is none.
        sources: names, sorted.
        source: the number of each unit's source, `[n]`.
        masks: `[folds, sources]`, False on the sources that a fold holds out.
        buffer_rows: where rows stay on the disk, how many of them are shuffled among each other;
            None where they are in memory.
        distance: the student's own viewing distance; None where it learns none.
    """

    name: str
    table: FeatureTable
    clips: PaddedClips | None
    label: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    teacher: Teacher | None
    no_teacher: str
    sources: list[str]
    source: npt.NDArray[np.int32]
    masks: npt.NDArray[np.bool_]
    buffer_rows: int | None = None
    distance: float | None = None

    @functools.cached_property
    def fold(self) -> npt.NDArray[np.int64]:
        """The fold that holds each unit out, `[n]`."""
        return np.argmin(self.masks, axis=0)[self.source]

    @functools.cached_property
    def log_distance(self) -> npt.NDArray[np.float32]:
        """Logarithm of each clip's viewing distance over the student's own, `[n]`; 0 without."""
        seen_from = None if self.clips is None else self.clips.means.distance
        if self.distance is None or seen_from is None:
            return np.zeros(self.n_units, np.float32)
        return np.log(seen_from / self.distance).astype(np.float32)

    @property
    def fold_names(self) -> list[str]:
        """Name of each fold: the source it holds out, or its number where those are several."""
        if len(self.masks) == len(self.sources):
            return self.sources
        return [f"fold {k + 1}" for k in range(len(self.masks))]

    @property
    def held_out_sources(self) -> tuple[tuple[str, ...], ...]:
        """The sources that each fold holds out, sorted."""
        names = np.array(self.sources, object)
        return tuple(tuple(names[~mask].tolist()) for mask in self.masks)

    @property
    def label_scale(self) -> LabelScale:
        """The worst and the best vote where the labels are people's; else 0 and 100."""
        return MOS_RANGE if self.clips is None else self.table.label_scale

    @property
    def n_units(self) -> int:
        """Number of rows or clips to learn from."""
        return len(self.label)

    def rows(
        self, student: Student, settings: TrainingSettings, start: Variables | None
    ) -> Rows | StreamRows:
        """Returns the training data in the form that the student takes.

        Args:
            start: variables that training starts from; None for fresh ones.
        """
        if self.buffer_rows is not None:
            return StreamRows(self.table.features, self.target, self.source)
        n_sources = len(self.sources)
        if self.clips is None:
            features = self.table.features
            if student.spec.over_frames:
                features = np.asarray(student.inputs(jnp.asarray(features, jnp.float32)))
            return make_rows(features, self.target, self.source, n_sources, start=start)
        features = np.asarray(student.inputs(jnp.asarray(self.clips.features, jnp.float32)))
        clip_rows = ClipRows(
            frames=self.clips.frames,
            weight=_weights(self.clips.means, settings),
            experiment=_experiments(self.clips.means, settings),
            log_distance=self.log_distance,
        )
        return make_rows(features, self.target, self.source, n_sources, clip_rows, start)

    def as_rows(self, predicted: npt.NDArray[np.float64], seed: int) -> HeldOut:
        """Returns predictions `[n]` of the units as rows of a run folder's table."""
        units = self.table if self.clips is None else self.clips.means
        return HeldOut(
            source=units.source,
            clip=units.clip,
            index=units.index,
            seed=np.full(self.n_units, seed, dtype=np.int32),
            label=self.label,
            predicted=predicted,
        )

    def queried_teacher(self) -> Teacher:
        """Returns the teacher, for strategies and checks that ask it.

        Raises:
            InputError: there is none, or its scores are transformed, which queries leave out.
        """
        if self.teacher is None:
            raise InputError(f"teacher queries need a teacher: {self.no_teacher}; use rows.")
        if self.teacher.transform is not None:
            raise InputError(
                f"teacher {self.teacher.name!r} applies a score transform, which queries leave "
                f"out; use strategy rows."
            )
        return self.teacher

    def check_folds(self) -> None:
        """Raises InputError where leaving one source out would leave nothing, or leave it in."""
        if len(self.sources) < 2:
            raise InputError(
                f"the table has {len(self.sources)} source ({', '.join(self.sources)}); leaving "
                f"one out needs at least two, add clips of another."
            )
        references: dict[str, str] = {}
        for name, digest in self.table.provenance.get("inputs", {}).items():
            source = name.removesuffix(" (reference)")
            if name == source:
                continue
            if (same := references.setdefault(digest, source)) != source:
                raise InputError(
                    f"{self.name}: sources {same!r} and {source!r} have the same reference; give "
                    f"both one name, or a held-out source is trained on."
                )

    def check_apart(self, other: "Problem") -> None:
        """Raises InputError where `other` holds clips of this one, compared by content."""
        shared = clip_contents(self.table).keys() & clip_contents(other.table).keys()
        if shared:
            clip = clip_contents(other.table)[min(shared)]
            raise InputError(
                f"external corpus {other.name}: holds {format_count(len(shared), 'clip')} of the "
                f"training data ({clip}, for one), so it would not be external; drop it from "
                f"external."
            )


def load_problem(
    data: DataConfig, progress: Progress = NO_PROGRESS, *, folds: int | None = None
) -> Problem:
    """Loads or extracts the table that a configuration names, with labels and folds.

    Args:
        folds: how many, of whole sources; None for one a source.

    Raises:
        InputError: as the corpus, the extraction, the reading of a table or of a teacher does; or
            there are fewer sources than folds.
    """
    table = _load_table(data, progress)
    clips = pad_clips(table, data.frames_per_clip) if data.label == "mos" else None
    return _make_problem(str(data.features or data.corpus), table, data, folds, clips=clips)


def _make_problem(
    name: str,
    table: FeatureTable,
    data: DataConfig,
    folds: int | None,
    *,
    clips: PaddedClips | None = None,
    buffer_rows: int | None = None,
) -> Problem:
    """Returns a table with its labels, targets, teacher and folds."""
    units = table if clips is None else clips.means
    label = units.label(data.label_column)
    teacher, no_teacher = find_teacher(table, data)
    sources, source, masks = make_folds(units.source, folds, name)
    if np.ptp(label) == 0:
        raise InputError(f"{name}: every label is {label[0]:g}; there is nothing to learn from it.")
    if data.distance is not None and table.distance is None:
        raise InputError(f"{name}: has no column distance, which data.distance needs; drop that.")
    return Problem(
        name=name,
        table=table,
        clips=clips,
        label=label,
        target=label if teacher is None else _targets(teacher, table, label),
        teacher=teacher,
        no_teacher=no_teacher,
        sources=sources,
        source=source,
        masks=masks,
        buffer_rows=buffer_rows,
        distance=data.distance,
    )


def make_folds(
    source: npt.NDArray[np.object_], n_folds: int | None, name: str
) -> tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Returns the sources, sorted; the number of each unit's; and the folds' masks of sources.

    Raises:
        InputError: there are fewer sources than folds.
    """
    sources, places = encode_sorted(source)
    number: npt.NDArray[np.int32] = places.astype(np.int32)
    if n_folds is None:
        return sources, number, fold_masks(sources)
    if len(sources) < n_folds:
        raise InputError(
            f"{name}: has {format_count(len(sources), 'source')} and so at most as many folds, "
            f"training.folds is {n_folds}; lower it, or leave it out for one a source."
        )
    return sources, number, fold_masks(sources, source_folds(source, n_folds))


def _weights(clips: FeatureTable, settings: TrainingSettings) -> npt.NDArray[np.float32]:
    """Returns the weight of each clip in the loss, mean 1: its precision, if settings ask for it.

    The variance of a clip's error is the votes' own, `(ci95 / 1.96)^2`, and the model's.
    """
    if not settings.interval_weights:
        return np.ones(len(clips), np.float32)
    if clips.mos_ci95 is None:
        raise InputError("interval_weights: the table has no mos_ci95; add it, or set it false.")
    precision = 1.0 / (np.square(clips.mos_ci95 / 1.96) + _MODEL_VARIANCE)
    return (precision / precision.mean()).astype(np.float32)


def _experiments(clips: FeatureTable, settings: TrainingSettings) -> npt.NDArray[np.float32]:
    """Returns 1 at each clip's experiment, `[n, e]`; no columns without experiment effects."""
    if not settings.experiment_effects:
        return np.zeros((len(clips), 0), np.float32)
    if clips.experiment is None:
        raise InputError("experiment_effects: the table names no experiment; set it false.")
    names = sorted(set(clips.experiment.tolist()))
    return (clips.experiment[:, None] == np.array(names, object)).astype(np.float32)


def _load_table(data: DataConfig, progress: Progress) -> FeatureTable:
    progress.say(f"data: {data.features or data.corpus}")
    if data.features is not None:
        table = read_table(data.features)
    else:
        source = CorpusSource(data.corpus, data.data_root, data.manifest, data.label_scale)
        request = Request((data.teacher,), FEATURE_SETS[data.feature_set])
        table = measure_corpus(source, request, progress=progress)
    check_table(table, data)
    return table.mean_pool() if data.mean_pool else table


def check_table(table: FeatureTable, data: DataConfig) -> None:
    """Raises InputError where a table is not as its configuration says."""
    if data.features is not None and data.label_scale not in (None, table.label_scale):
        raise InputError(
            f"{data.features}: its opinion scores are from the scale {table.label_scale}, "
            f"data.label_scale is {data.label_scale}; drop that or import the scores again."
        )
    if table.feature_set.name != data.feature_set:
        raise InputError(
            f"{data.features or data.corpus}: holds the feature set {table.feature_set.name}, the "
            f"configuration says {data.feature_set}; set data.feature_set={table.feature_set.name}."
        )


def find_teacher(table: FeatureTable, data: DataConfig) -> tuple[Teacher | None, str]:
    """Returns the teacher that can be asked about the table's features, or why there is none.

    A sound model over other features, or one known by its label column alone, is none; a damaged
    file is an error.
    """
    if data.label == "mos":
        return None, "data.label is mos"
    if not data.teacher.endswith(".json") and data.teacher not in known_teachers():
        return None, f"{data.teacher!r} is known by its label column alone"
    try:
        teacher = load_teacher(data.teacher)
    except OtherFeaturesError as error:
        return None, str(error).rstrip(".")
    if teacher.feature_set != table.feature_set:
        return None, (
            f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, the table "
            f"holds {table.feature_set.name}; extract again with --features "
            f"{teacher.feature_set.name}"
        )
    return teacher, ""


def unclipped(
    teacher: Teacher, features: npt.NDArray[np.float64], label: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Returns the teacher's unclipped score where its answer is the label; the label elsewhere.

    Saturated rows then still say how far past the end they lie. (The answer is not the label for
    clip means, whose label is the mean over frames.)
    """
    same = np.abs(teacher(features) - label) <= _SAME_SCORE
    return np.where(same, teacher(features, clip=False), label)


def problem_of(config: Config, progress: Progress = NO_PROGRESS) -> Problem:
    """Loads the problem of a configuration: in memory, or streamed with `data.buffer_rows`.

    Raises:
        InputError: as `load_problem` and `load_streamed`.
    """
    if config.data.buffer_rows is None:
        return load_problem(config.data, progress, folds=config.training.folds)
    return load_streamed(config, progress)


def load_streamed(config: Config, progress: Progress = NO_PROGRESS) -> Problem:
    """Loads the problem of a configuration with `data.buffer_rows`.

    Raises:
        InputError: a setting that streamed training does not have, or as `map_table` does.
    """
    data = config.data
    _check_streamed(config)
    folder = None if data.features is None else locate(data.features)
    buffer_rows = data.buffer_rows
    if folder is None or buffer_rows is None or not folder.is_dir():
        raise InputError("data.buffer_rows is of data.features, a folder of shards; drop it.")
    progress.say(f"data: {folder}, streamed")
    table = map_table(folder)
    check_table(table, data)
    folds = config.training.folds
    return _make_problem(str(folder), table, data, folds, buffer_rows=buffer_rows)


def _check_streamed(config: Config) -> None:
    """Raises InputError, naming the first, for settings that streamed training does not have."""
    training, data = config.training, config.data
    unfit = {
        "data.label=mos": data.label != "teacher",
        "data.mean_pool": data.mean_pool,
        f"student.network={config.student.network}": config.make_student().spec.over_frames,
        f"training.strategy={training.strategy}": training.strategy != "rows",
        f"training.optimiser={training.optimiser}": training.optimiser not in ("adamw", "adam"),
        "training.batch_size=null": training.batch_size is None,
        "training.epochs": training.epochs is not None,
        "training.start": training.start is not None,
        "training.anchor": training.anchor != 0,
        "external corpora": bool(config.external),
    }
    for setting, is_set in unfit.items():
        if is_set:
            raise InputError(
                f"data.buffer_rows: streamed training has no {setting}; it takes labels of frames, "
                f"strategy rows with steps and a batch_size, and adamw or adam."
            )


def _targets(
    teacher: Teacher, table: FeatureTable, label: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    parts = [slice(k, k + _TARGET_ROWS) for k in range(0, len(table), _TARGET_ROWS)]
    return np.concatenate([unclipped(teacher, table.features[p], label[p]) for p in parts])
