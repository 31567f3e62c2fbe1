"""Corpora of videos by name, measured: from where their files are to a feature table."""

import dataclasses
from pathlib import Path

from vmaf_jax.corpora import demo, manifest, netflix
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.opinions import LabelScale
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON

_NAMES = ("netflix", "manifest", "demo", "demo_1080p", "support_vectors")


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
        """Lists the clips.

        Raises:
            InputError: the corpus has no clips to list, or its files are not as they must be.
        """
        if self.label_scale is not None and self.corpus != "manifest":
            raise InputError(f"corpus {self.corpus!r} has no opinion scores; drop the label scale.")
        match self.corpus:
            case "netflix":
                return netflix.load_clips(self.data_root)
            case "demo":
                return demo.load_clips()
            case "demo_1080p":
                return demo.load_clips_1080p()
            case "manifest":
                if self.manifest is None:
                    raise InputError(
                        "the manifest corpus needs its file: pass --manifest, or set data.manifest."
                    )
                return manifest.load_clips(self.manifest, self.label_scale)
            case "support_vectors":
                raise InputError(
                    "corpus 'support_vectors' holds features, no videos; name another, or write "
                    "its table with `vmaf-jax extract --corpus support_vectors`."
                )
            case name if name.startswith("avt_vqdb_uhd_1"):
                raise InputError(
                    f"corpus {self.corpus!r} is measured: read it with import --corpus."
                )
        raise InputError(
            f"corpus {self.corpus!r} is unknown; expected one of {', '.join(_NAMES)}."
            f"{did_you_mean(self.corpus, _NAMES)}"
        )


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
