"""From videos to a feature table: one pair, or many at once, resumable.

Each clip's result goes into the cache as soon as it is measured. A failing clip does not stop the
others, so what they cost is kept; then the first failure is raised and no table is made.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.request import METRICS, Outcome, Pair, Request, parse_extra_metrics
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.tables.table import FeatureTable, concatenate, constant_text
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER, find_model_file, read_model_file
from vmaf_jax.video.arrays import as_files
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, ComparisonOptions
from vmaf_jax.video.inputs import Video

# Each has `extract_pairs(pairs, request, on_pair)`; imported when it is used.
_BACKENDS = {
    "libvmaf": "vmaf_jax.extraction.libvmaf",
    "jax": "vmaf_jax.extraction.jax",
}
BACKENDS = tuple(_BACKENDS)

VideoLike = str | os.PathLike[str] | Video | Any  # a file, or arrays as `as_files` takes them


def check_backend(backend: str) -> None:
    """Raises InputError unless there is such a backend."""
    if backend not in BACKENDS:
        raise InputError(
            f"backend {backend!r}: expected one of {', '.join(BACKENDS)}."
            f"{did_you_mean(backend, BACKENDS)}"
        )


def extract_pair(
    reference: VideoLike,
    distorted: VideoLike,
    *,
    bits: int = 8,
    backend: str = "libvmaf",
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (DEFAULT_TEACHER,),
    feature_set: FeatureSet = FEATURES,
    cache: Path | None = None,
    extra_metrics: tuple[str, ...] = (),
    comparison: Comparison = DEFAULT_COMPARISON,
    **options: Unpack[ComparisonOptions],
) -> FeatureTable:
    """Features and teacher scores of every frame of a pair.

    >>> table = extract_pair("reference.y4m", "distorted.mp4")
    >>> table.features.shape, list(table.labels)
    ((24, 6), ['vmaf_v0.6.1'])

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format; or arrays
            of integers, luma `[frames, height, width]` or planes (Y, U, V) of such frames.
        bits: of arrays: 8, 10 or 12.
        backend: `libvmaf`, or `jax`, which agrees with libvmaf's float extractors.
        width, height, pix_fmt: of raw files (both), unless they are given as `Video`.
        teachers: names or JSON files of models; libvmaf runs any, `jax` those over these features.
        feature_set: which features; their gain limits go with it.
        cache: folder of results, by default `features` in the user's cache.
        extra_metrics: other metrics that libvmaf computes in the same pass, names of `METRICS`.
        comparison: what is allowed where the two differ.
        options: attributes of `Comparison` by name, such as `shortest=True`; they replace those of
            `comparison`.

    Returns:
        A table of one clip: features `[frames, features]` (float64, no unit), a label per teacher;
        its provenance's `comparison` says how the two were compared.

    Raises:
        InputError: a file is missing, cut, not decodable or of another length; a teacher or the
            backend is unknown; no ffmpeg has libvmaf; the cache entry is corrupted; luma alone
            was given where chroma counts.
    """
    raw_format = {"width": width, "height": height, "pix_fmt": pix_fmt}
    comparison = dataclasses.replace(comparison, **options)
    request = Request(
        teachers, feature_set, comparison, cache, extra_metrics=parse_extra_metrics(extra_metrics)
    )
    with as_files(reference, distorted, bits) as files:
        pair = (as_video(files[0], raw_format), as_video(files[1], raw_format))
        return extract_one(pair, request, backend=backend)


def extract_one(pair: Pair, request: Request, *, backend: str = "libvmaf") -> FeatureTable:
    """The table of one pair.

    Raises:
        InputError: why there is none; or the backend, ffmpeg or a teacher cannot be used at all.
    """
    (outcome,) = _extract_pairs([pair], backend, request)
    if isinstance(outcome, InputError):
        raise outcome
    return outcome


def _check_luma_suffices(request: Request) -> None:
    """Raises InputError where the request reads chroma."""
    teachers = [read_model_file(find_model_file(name)) for name in request.teachers]
    reading = [t.name for t in teachers if t.feature_set.planes > 1]
    reading += [name for name in request.extra_metrics if METRICS[name].reads_chroma]
    if request.feature_set.planes > 1:
        reading.insert(0, request.feature_set.name)
    if reading:
        raise InputError(
            f"{reading[0]} reads chroma; pass planes (Y, U, V) in place of luma alone."
        )


def as_video(
    video: str | os.PathLike[str] | Video, raw_format: dict[str, int | str | None]
) -> Video:
    """A `Video`; raw files take the size and format given, others say their own.

    Raises:
        InputError: it is neither a path nor a `Video`.
    """
    if not isinstance(video, Video):
        if not isinstance(video, (str, os.PathLike)):
            raise InputError(f"a video is a path, an array or a Video, not {type(video).__name__}.")
        video = Video(Path(video))
        if video.is_raw:
            return Video(video.path, **raw_format)  # type: ignore[arg-type]
    return video


def extract_clips(
    clips: Sequence[Clip],
    request: Request | None = None,
    *,
    backend: str = "libvmaf",
    on_clip: Callable[[int], None] = lambda frames: None,
) -> FeatureTable:
    """Per-frame features and scores of all clips, in the order of `clips`.

    Args:
        clips: pairs to measure.
        request: teachers, features and how to measure, by default `vmaf_v0.6.1` and its features.
        backend: `libvmaf` or `jax`.
        on_clip: called after each clip with its number of frames.

    Raises:
        InputError: of the first clip that failed, with how many others did; none is lost.
    """
    pairs = [(clip.reference, clip.distorted) for clip in clips]
    outcomes = _extract_pairs(pairs, backend, request or Request(), on_clip)
    failures = [outcome for outcome in outcomes if isinstance(outcome, InputError)]
    if failures:
        more = f" ({len(failures) - 1} other clips failed too)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0]}{more}")
    tables = [outcome for outcome in outcomes if isinstance(outcome, FeatureTable)]
    return concatenate([placed(table, clip) for table, clip in zip(tables, clips, strict=True)])


def extract_each(
    pairs: Sequence[Pair],
    request: Request | None = None,
    *,
    backend: str = "libvmaf",
    on_pair: Callable[[int], None] = lambda frames: None,
) -> list[Outcome]:
    """A table per pair in the order of `pairs`, or the InputError that says why there is none.

    Args:
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: the backend, ffmpeg or a teacher cannot be used at all.
    """
    return _extract_pairs(pairs, backend, request or Request(), on_pair)


def _extract_pairs(
    pairs: Sequence[Pair],
    backend: str,
    request: Request,
    on_pair: Callable[[int], None] = lambda frames: None,
) -> list[Outcome]:
    check_backend(backend)
    if request.extra_metrics and backend != "libvmaf":
        raise InputError(
            f"extra metric {request.extra_metrics[0]}: libvmaf computes it, not {backend}; drop it."
        )
    if not all(video.has_chroma for pair in pairs for video in pair):
        _check_luma_suffices(request)
    outcomes: list[Outcome] = import_module(_BACKENDS[backend]).extract_pairs(
        pairs, request, on_pair
    )
    return outcomes


def placed(table: FeatureTable, clip: Clip) -> FeatureTable:
    """The clip's rows with its place in the corpus, its opinion score, and its digests."""
    n = len(table)
    labels = dict(table.labels)
    if clip.mos is not None:
        labels["mos"] = np.full(n, clip.mos)
    digests = table.provenance["inputs"]
    provenance = {k: v for k, v in table.provenance.items() if k != "comparison"}
    inputs = {
        f"{clip.source} (reference)": digests["reference"],
        f"{clip.source}/{clip.name}": digests["distorted"],
    }
    scale = {} if clip.label_scale is None else {"label_scale": list(clip.label_scale)}
    return dataclasses.replace(
        table,
        corpus=constant_text(clip.corpus, n),
        source=constant_text(clip.source, n),
        clip=constant_text(clip.name, n),
        labels=labels,
        mos_ci95=None if clip.mos_ci95 is None else np.full(n, clip.mos_ci95),
        experiment=None if clip.experiment is None else constant_text(clip.experiment, n),
        provenance={**provenance, **scale, "inputs": inputs},
    )
