"""`vmaf-jax extract`: a corpus, by name, to a feature table."""

import dataclasses
from pathlib import Path
from typing import Unpack

from vmaf_jax.corpora.by_name import corpus_clips
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.api import check_backend, extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.features.opinions import LabelScale
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import check_output
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, ComparisonOptions, comparison_of


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


def extract(
    source: CorpusSource,
    out: Path,
    *,
    teachers: tuple[str, ...] | None = None,
    features: str = FEATURES.name,
    mean_pool: bool = False,
    backend: str = "libvmaf",
    jobs: int | None = None,
    report: Report = silent,
    **comparison: Unpack[ComparisonOptions],
) -> FeatureTable:
    """Measures a corpus and writes its feature table to `out`.

    Args:
        teachers: models whose scores become label columns, by name or JSON file; by default the
            feature set's own.
        features: name of a feature set.
        mean_pool: clip means instead of frames.
        backend: `libvmaf` or `jax`.
        jobs: clips that libvmaf measures at a time.
        comparison: what is allowed where the two videos of a pair differ, as for `extract_pair`.

    Raises:
        InputError: bad settings, a clip that cannot be measured, or a place that cannot be written.
    """
    check_backend(backend)
    if jobs is not None and backend == "jax":
        raise InputError("--jobs is for libvmaf; JAX takes clips together, drop it.")
    request = make_request(features, teachers, comparison, jobs)
    check_output(out, ".parquet", [source.manifest] if source.manifest else [])
    table = measure_corpus(source, request, backend=backend, report=report)
    if mean_pool:
        table = table.mean_pool()
    table.write(out)
    return table


def make_request(
    features: str,
    teachers: tuple[str, ...] | None,
    comparison: ComparisonOptions,
    jobs: int | None = None,
) -> Request:
    """What `extract` and `extract_dataset` ask for; arguments as theirs.

    Raises:
        InputError: there is no such feature set, or a setting that cannot be.
    """
    if features not in FEATURE_SETS:
        raise InputError(
            f"--features {features}: expected one of {', '.join(FEATURE_SETS)}."
            f"{did_you_mean(features, FEATURE_SETS)}"
        )
    feature_set = FEATURE_SETS[features]
    names = (feature_set.teacher,) if teachers is None else teachers
    return Request(names, feature_set, comparison_of(comparison), jobs=jobs)


def measure_corpus(
    source: CorpusSource, request: Request, *, backend: str = "libvmaf", report: Report = silent
) -> FeatureTable:
    """A corpus, measured or embedded, as a table.

    Raises:
        InputError: as the corpus or the extraction does.
    """
    if source.corpus == "support_vectors":
        return _support_vectors(request, backend)
    clips = source.clips()
    return extract_clips(clips, request, backend=backend, on_clip=report.clips(clips))


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
    report: Report = silent,
) -> FeatureTable:
    """Clips with libvmaf's scores as labels, and features from either backend.

    Raises:
        InputError: as the extraction does.
    """
    request = Request((teacher,), feature_set)
    table = extract_clips(clips, request, on_clip=report.clips(clips))
    if backend == "libvmaf":
        return table
    request = Request((), feature_set)
    computed = extract_clips(clips, request, backend=backend, on_clip=report.clips(clips))
    provenance = {**table.provenance, "backend": backend}
    return dataclasses.replace(table, features=computed.features, provenance=provenance)
