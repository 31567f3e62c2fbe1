"""A corpus, measured: from where its files are to a feature table."""

import dataclasses
from pathlib import Path

from vmaf_jax.corpora.by_name import corpus_clips
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.opinions import LabelScale
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON


@dataclasses.dataclass(frozen=True)
class CorpusSource:
    """A corpus by name, and where its files are.

    Attributes:
        corpus: `support_vectors`, `netflix`, `manifest`, `demo` or `demo_1080p`.
        data_root: folder of the netflix corpus, by default `VMAF_DATA_ROOT`.
        manifest: file of the manifest corpus.
        label_scale: what the manifest's opinion scores are on, by default what it says.
    """

    corpus: str
    data_root: Path | None = None
    manifest: Path | None = None
    label_scale: LabelScale | None = None

    def clips(self) -> list[Clip]:
        """Its clips; raises InputError where it has none to list."""
        return corpus_clips(
            self.corpus,
            data_root=self.data_root,
            manifest_path=self.manifest,
            label_scale=self.label_scale,
        )


def measure_corpus(
    source: CorpusSource,
    request: Request,
    *,
    backend: str = "libvmaf",
    progress: Progress = NO_PROGRESS,
) -> FeatureTable:
    """A corpus, measured or embedded, as a table.

    Raises:
        InputError: as the corpus or the extraction does.
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
    """Clips with libvmaf's scores as labels, and features from either backend.

    Raises:
        InputError: as the extraction does.
    """
    request = Request((teacher,), feature_set)
    table = extract_clips(clips, request, on_clip=progress.clips(clips))
    if backend == "libvmaf":
        return table
    request = Request((), feature_set)
    computed = extract_clips(clips, request, backend=backend, on_clip=progress.clips(clips))
    provenance = {**table.provenance, "backend": backend}
    return dataclasses.replace(table, features=computed.features, provenance=provenance)
