"""What a student learns from, made once and carried: rows, labels, targets, teacher and folds."""

import dataclasses
import functools
import hashlib
import json

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, OtherFeaturesError
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.features.table import FeatureTable, read_table
from vmaf_jax.jobs.config import DataConfig
from vmaf_jax.jobs.extract import CorpusSource, measure_corpus
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.teacher import Teacher, known_teachers, load_teacher
from vmaf_jax.training import loso_masks

_SAME_SCORE = 1e-3  # VMAF points; six-decimal features alone account for 1.8e-4


@dataclasses.dataclass(frozen=True)
class Problem:
    """A table ready to train on or to be judged by.

    Attributes:
        name: the corpus or file, for people.
        table: the rows, `[n]`.
        label: what predictions are judged by, VMAF points, `[n]`.
        target: what a student is trained on, `[n]`; as `label`, or the teacher's unclipped score.
        teacher: the labels as a function of the table's features; None where there is none.
        no_teacher: why there is none.
        sources: names, sorted.
        masks: `[f, n]`, False on the rows of the source that a fold holds out.
    """

    name: str
    table: FeatureTable
    label: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    teacher: Teacher | None
    no_teacher: str
    sources: list[str]
    masks: npt.NDArray[np.bool_]

    @functools.cached_property
    def fold(self) -> npt.NDArray[np.int64]:
        """The fold that holds each row out, `[n]`."""
        return np.asarray(np.argmin(self.masks, axis=0))

    def queried_teacher(self) -> Teacher:
        """The teacher, for strategies and checks that ask it.

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
        """Raises InputError where `other` holds clips of this one, told by their content."""
        shared = _contents(self.table).keys() & _contents(other.table).keys()
        if shared:
            clip = _contents(other.table)[min(shared)]
            raise InputError(
                f"external corpus {other.name}: holds {len(shared)} clips of the training data "
                f"({clip}, for one), so it would not be external; drop it from external."
            )


def load_problem(data: DataConfig, report: Report = silent) -> Problem:
    """The table that a configuration names, extracted where it must be, with labels and folds.

    Raises:
        InputError: as the corpus, the extraction, the reading of a table or of a teacher does.
    """
    table = _load_table(data, report)
    label = table.label(data.label_column)
    teacher, no_teacher = _teacher(table, data)
    target = label if teacher is None else _unclipped(teacher, table, label)
    sources, masks = loso_masks(table.source)
    name = str(data.features or data.corpus)
    return Problem(name, table, label, target, teacher, no_teacher, sources, masks)


def _load_table(data: DataConfig, report: Report) -> FeatureTable:
    report.say(f"data: {data.features or data.corpus}")
    if data.features is not None:
        table = read_table(data.features)
    else:
        source = CorpusSource(data.corpus, data.data_root, data.manifest)
        request = Request((data.teacher,), FEATURE_SETS[data.feature_set])
        table = measure_corpus(source, request, report=report)
    if table.feature_set.name != data.feature_set:
        raise InputError(
            f"{data.features or data.corpus}: holds the feature set {table.feature_set.name}, the "
            f"configuration says {data.feature_set}; set data.feature_set={table.feature_set.name}."
        )
    return table.mean_pool() if data.mean_pool else table


def _teacher(table: FeatureTable, data: DataConfig) -> tuple[Teacher | None, str]:
    """The teacher that can be asked about the table's features, or why there is none.

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


def _unclipped(
    teacher: Teacher, table: FeatureTable, label: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The teacher's unclipped score where its answer is the label, and the label elsewhere.

    Saturated rows then still say how far past the end they lie. (The answer is not the label for
    clip means, whose label is the mean over frames.)
    """
    same = np.abs(teacher(table.features) - label) <= _SAME_SCORE
    return np.where(same, teacher(table.features, clip=False), label)


def _contents(table: FeatureTable) -> dict[str, str]:
    """Name of a clip by its content: digests of its files where known, and of its features."""
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
    """SHA-256 of a table's rows: keys, features and labels."""
    state = hashlib.sha256()
    keys = [table.corpus.tolist(), table.source.tolist(), table.clip.tolist()]
    state.update(json.dumps(keys).encode())
    for column in (table.index, table.features, *table.labels.values()):
        state.update(np.ascontiguousarray(column).tobytes())
    return state.hexdigest()
