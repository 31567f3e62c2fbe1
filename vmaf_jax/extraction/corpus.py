"""Corpora of videos by name, measured: from where their files are to a feature table.

One corpus is embedded: the support vectors of a VMAF model file, which are clips it was trained on.
They are clip means of scaled features. Unscaled, clips of one source share their `motion2`, a
property of the reference alone, by which sources are told apart: 23 of 7 to 10 clips in
`vmaf_v0.6.1`. Labels are the teacher's own unrounded scores; no video is needed.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from vmaf_jax.corpora import demo, manifest, netflix
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.table import FeatureTable, LabelScale, constant_text
from vmaf_jax.teacher import Teacher, load_teacher
from vmaf_jax.video.comparison import DEFAULT_COMPARISON
from vmaf_jax.video.inputs import Clip

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

    def __post_init__(self) -> None:
        """Raises InputError for files that another corpus has."""
        for option, owner, value in (
            ("--data-root", "netflix", self.data_root),
            ("--manifest", "manifest", self.manifest),
        ):
            if value is not None and self.corpus != owner:
                raise InputError(
                    f"{option} is of corpus {owner}, not of {self.corpus!r}; drop it, or name "
                    f"that corpus."
                )

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


# Values of one source agree to the eight digits of the file; sources differ by 0.02 or more.
_SAME_REFERENCE = 1e-3


def support_vector_table(teacher: Teacher) -> FeatureTable:
    """Returns the clips in a teacher's support vectors, pooled, labelled by itself (clipped).

    Rows keep the file's order. Sources are named `motion_<value>`, in order of motion.
    """
    model = teacher.model
    svr = teacher.params()
    features = (svr.support_vectors - svr.intercept) / svr.slope
    n = len(features)
    motion = features[:, teacher.feature_set.names.index(teacher.feature_set.reference_only[0])]
    rank = np.argsort(motion, kind="stable")
    new_source = np.diff(motion[rank], prepend=-np.inf) > _SAME_REFERENCE
    group = np.empty(n, dtype=np.int64)
    group[rank] = np.cumsum(new_source) - 1
    names = [f"motion_{motion[rank][start]:07.4f}" for start in np.flatnonzero(new_source)]
    digest = hashlib.sha256(json.dumps(model.document, sort_keys=True).encode()).hexdigest()
    return FeatureTable(
        feature_set=teacher.feature_set,
        corpus=constant_text("support_vectors", n),
        source=np.array([names[g] for g in group], dtype=object),
        clip=np.array([f"sv_{k:03d}" for k in range(n)], dtype=object),
        index=np.ones(n, dtype=np.int32),
        features=features,
        labels={teacher.name: teacher(features)},
        pooled=True,
        provenance={
            "backend": "model file",
            "backend_version": model.name,
            "inputs": {f"{model.name}.json": digest},
        },
    )
