"""Measuring a corpus: from where its files are to a feature table."""

import dataclasses

from vmaf_jax.corpora.by_name import CorpusSource
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON


def measure_corpus(
    source: CorpusSource,
    request: Request,
    *,
    backend: str = "libvmaf",
    progress: Progress = NO_PROGRESS,
) -> FeatureTable:
    """Measures a corpus of videos, or reads the embedded one, as a table.

    Raises:
        InputError: the corpus has no clips to list, or one cannot be measured.
    """
    if source.corpus == "support_vectors":
        return _support_vectors(request, backend)
    clips = source.clips()
    return extract_clips(clips, request, backend=backend, on_clip=progress.clips(clips))


def _support_vectors(request: Request, backend: str) -> FeatureTable:
    from vmaf_jax.corpora.support_vectors import support_vector_table
    from vmaf_jax.teacher import load_teacher

    plain = (
        request.feature_set == FEATURES
        and request.comparison == DEFAULT_COMPARISON
        and backend == "libvmaf"
    )
    if len(request.teachers) != 1 or not plain:
        raise InputError("support_vectors takes one --teacher, whose own clips they are.")
    return support_vector_table(load_teacher(request.teachers[0]))


def measure_with_labels(
    clips: list[Clip],
    feature_set: FeatureSet,
    teacher: str,
    *,
    backend: str = "libvmaf",
    progress: Progress = NO_PROGRESS,
) -> FeatureTable:
    """Measures clips with libvmaf's scores as labels, and features from either backend.

    Raises:
        InputError: a clip cannot be measured.
    """
    request = Request((teacher,), feature_set)
    table = extract_clips(clips, request, on_clip=progress.clips(clips))
    if backend == "libvmaf":
        return table
    request = Request((), feature_set)
    computed = extract_clips(clips, request, backend=backend, on_clip=progress.clips(clips))
    provenance = {**table.provenance, "backend": backend}
    return dataclasses.replace(table, features=computed.features, provenance=provenance)
