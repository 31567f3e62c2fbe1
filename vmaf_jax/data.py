"""Where a run's rows come from: a corpus by name, or a table extracted before."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.config import DataConfig
from vmaf_jax.corpora import demo, manifest, netflix
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.corpora.extraction import extract_clips
from vmaf_jax.corpora.support_vectors import support_vector_table
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet
from vmaf_jax.features.table import FeatureTable, read_table
from vmaf_jax.teacher import Teacher, load_teacher

_SAME_SCORE = 1e-3  # VMAF points; six-decimal features alone account for 1.8e-4

Progress = Callable[[list[Clip]], Callable[[int], None]]


def _silent(clips: list[Clip]) -> Callable[[int], None]:
    return lambda frames: None


def corpus_clips(
    corpus: str, *, data_root: Path | None = None, manifest_path: Path | None = None
) -> list[Clip]:
    """The clips of a video corpus.

    Raises:
        InputError: the corpus has no clips to list, or its files are not as they must be.
    """
    match corpus:
        case "netflix":
            return netflix.load_clips(data_root)
        case "demo":
            return demo.load_clips()
        case "manifest":
            if manifest_path is None:
                raise InputError("the manifest corpus needs its file: pass --manifest FILE.")
            return manifest.load_clips(manifest_path)
    raise InputError(f"corpus {corpus!r} is unknown; netflix, manifest, demo or support_vectors.")


def load_data(data: DataConfig, progress: Progress = _silent) -> FeatureTable:
    """The table that a configuration names, extracted where it must be.

    Raises:
        InputError: as the corpus, the extraction or the reading of a table does.
    """
    if data.features is not None:
        table = read_table(data.features)
    elif data.corpus == "support_vectors":
        table = support_vector_table(load_teacher(data.teacher))
    else:
        clips = corpus_clips(data.corpus, data_root=data.data_root, manifest_path=data.manifest)
        table = extract_clips(
            clips,
            teachers=(data.teacher,),
            feature_set=FEATURE_SETS[data.feature_set],
            on_clip=progress(clips),
        )
    if table.feature_set.name != data.feature_set:
        raise InputError(
            f"{data.features or data.corpus}: holds the feature set {table.feature_set.name}, the "
            f"configuration says {data.feature_set}; set data.feature_set={table.feature_set.name}."
        )
    return table.mean_pool() if data.mean_pool else table


def measured(
    clips: list[Clip],
    feature_set: FeatureSet,
    teacher: str,
    *,
    backend: str = "libvmaf",
    progress: Progress = _silent,
) -> FeatureTable:
    """Clips with libvmaf's scores as labels, and features from either backend.

    Raises:
        InputError: as the extraction does.
    """
    table = extract_clips(
        clips, teachers=(teacher,), feature_set=feature_set, on_clip=progress(clips)
    )
    if backend == "libvmaf":
        return table
    other = extract_clips(
        clips, backend=backend, teachers=(), feature_set=feature_set, on_clip=progress(clips)
    )
    provenance = {**table.provenance, "backend": backend}
    return dataclasses.replace(table, features=other.features, provenance=provenance)


def labels_and_targets(
    table: FeatureTable, data: DataConfig
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What is evaluated against, clipped to 0-100, and what is trained on, both `[n]`.

    Where a teacher can be asked and its answer is the label (it is not for clip means, whose label
    is the mean over frames), training is on the unclipped answer: saturated rows then still say how
    far past the end they lie. Opinion scores and other labels are trained on as they are.
    """
    label = table.label(data.label_column)
    if data.label == "mos":
        return label, label
    try:
        teacher = queried_teacher(table, data)
    except InputError:
        return label, label  # over other features: known by its labels alone
    same = np.abs(teacher(table.features) - label) <= _SAME_SCORE
    return label, np.where(same, teacher(table.features, clip=False), label)


def queried_teacher(table: FeatureTable, data: DataConfig) -> Teacher:
    """The teacher of a configuration as a function of the table's features.

    Raises:
        InputError: labels are opinion scores, or the teacher takes other features.
    """
    if data.label == "mos":
        raise InputError("teacher queries need a teacher, and data.label is mos; use rows.")
    teacher = load_teacher(data.teacher)
    if teacher.feature_set != table.feature_set:
        raise InputError(
            f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, the table "
            f"holds {table.feature_set.name}; extract again with --features "
            f"{teacher.feature_set.name}."
        )
    return teacher


def table_digest(table: FeatureTable) -> str:
    """SHA-256 of a table's rows: keys, features and labels."""
    state = hashlib.sha256()
    keys = [table.corpus.tolist(), table.source.tolist(), table.clip.tolist()]
    state.update(json.dumps(keys).encode())
    for column in (table.index, table.features, *table.labels.values()):
        state.update(np.ascontiguousarray(column).tobytes())
    return state.hexdigest()
