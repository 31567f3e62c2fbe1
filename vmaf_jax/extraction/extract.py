"""Extraction: from videos to feature tables, of one pair or of many.

The result of each pair goes into the cache as soon as it is measured, so that an interrupted
extraction goes on where it was. A pair that fails does not stop the others.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, check_choice, name_missing_extra
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.request import (
    METRICS,
    LibvmafModel,
    Request,
    TableOrError,
    parse_extra_metrics,
    request_key,
    resolve_teachers,
)
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.tables.table import FeatureTable, concatenate, constant_text
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER, find_model_file, read_model_file
from vmaf_jax.video.arrays import arrays_as_files
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, ComparisonOptions
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.inputs import Clip, Video, VideoPair, check_video, file_digest

BACKENDS = ("libvmaf", "jax")
# A file, or luma or planes as `arrays_as_files` takes them.
VideoLike = str | os.PathLike[str] | Video | npt.ArrayLike | Sequence[npt.ArrayLike]


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
    """Measures features and teacher scores of every frame of a pair.

    Examples:
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
    request = Request(
        teachers,
        feature_set,
        dataclasses.replace(comparison, **options),
        cache,
        extra_metrics=parse_extra_metrics(extra_metrics),
    )
    with arrays_as_files(reference, distorted, bits) as files:
        pair = (
            as_video(files[0], width, height, pix_fmt),
            as_video(files[1], width, height, pix_fmt),
        )
        return extract_one(pair, request, backend=backend)


def extract_one(pair: VideoPair, request: Request, *, backend: str = "libvmaf") -> FeatureTable:
    """Measures one pair.

    Raises:
        InputError: as `extract_each`, or the pair cannot be measured.
    """
    (table,) = extract_each([pair], request, backend=backend)
    if isinstance(table, InputError):
        raise table
    return table


def extract_clips(
    clips: Sequence[Clip],
    request: Request | None = None,
    *,
    backend: str = "libvmaf",
    on_clip: Callable[[int], None] = lambda frames: None,
) -> FeatureTable:
    """Measures all clips, and returns their rows in the order of `clips`.

    Args:
        request: teachers, features and how to measure, by default `vmaf_v0.6.1` and its features.
        backend: `libvmaf` or `jax`.
        on_clip: called after each clip with its number of frames.

    Raises:
        InputError: of the first clip that failed, with how many others did; the results of those
            that did not are kept in the cache.
    """
    pairs = [(clip.reference, clip.distorted) for clip in clips]
    results = extract_each(pairs, request, backend=backend, on_pair=on_clip)
    failures = [result for result in results if isinstance(result, InputError)]
    if failures:
        more = f" ({len(failures) - 1} other clips failed too)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0]}{more}")
    tables = [result for result in results if isinstance(result, FeatureTable)]
    return concatenate([label_rows(table, clip) for table, clip in zip(tables, clips, strict=True)])


def extract_each(
    pairs: Sequence[VideoPair],
    request: Request | None = None,
    *,
    backend: str = "libvmaf",
    on_pair: Callable[[int], None] = lambda frames: None,
) -> list[TableOrError]:
    """Returns a table per pair, in the order of `pairs`, or the error that says why there is none.

    Args:
        request: as for `extract_clips`.
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: the backend, ffmpeg or a teacher cannot be used at all.
    """
    request = request or Request()
    check_backend(backend)
    if not all(video.has_chroma for pair in pairs for video in pair):
        _check_luma_suffices(request)
    if backend == "libvmaf":
        return extract_by_libvmaf(pairs, request, on_pair)
    if request.extra_metrics:
        raise InputError(
            f"extra metric {request.extra_metrics[0]}: libvmaf computes it, not {backend}; drop it."
        )
    with name_missing_extra():
        from vmaf_jax.extraction.jax import extract_by_jax  # loads JAX, which libvmaf does without

    return extract_by_jax(pairs, request, on_pair)


def check_backend(backend: str, backends: Sequence[str] = BACKENDS) -> None:
    """Raises InputError unless there is such a backend."""
    check_choice(f"backend {backend!r}", backend, backends)


def as_video(video: VideoLike, width: int | None, height: int | None, pix_fmt: str | None) -> Video:
    """Returns a path as a `Video`; size and format are of raw files, others say their own.

    Raises:
        InputError: it is neither a path nor a `Video`.
    """
    if isinstance(video, Video):
        return video
    if not isinstance(video, (str, os.PathLike)):
        raise InputError(f"a video is a path, an array or a Video, not {type(video).__name__}.")
    file = Video(Path(video))
    return Video(file.path, width, height, pix_fmt) if file.is_raw else file


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


def label_rows(table: FeatureTable, clip: Clip) -> FeatureTable:
    """Returns a clip's rows with its place in the corpus, its opinion score and its digests."""
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


RECIPE = 6  # of the measurement: raised with every change of values, so that none is served old


def extract_by_libvmaf(
    pairs: Sequence[VideoPair], request: Request, on_pair: Callable[[int], None]
) -> list[TableOrError]:
    """Returns a table per pair, or why there is none, as `extract_each`.

    Raises:
        InputError: no ffmpeg, or a teacher's name or file is bad.
    """
    models = resolve_teachers(request.teachers)
    ffmpeg = find_ffmpeg()
    cores = os.cpu_count() or 1
    workers = max(1, min(request.jobs or cores, len(pairs)))
    threads = request.threads or max(1, cores // workers)

    def extract(pair: VideoPair) -> TableOrError:
        try:
            table = _extract_cached(pair, request, ffmpeg, models, threads)
        except InputError as error:
            return error
        on_pair(len(table))
        return table

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(extract, pair) for pair in pairs]
        try:
            concurrent.futures.wait(futures)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def measurement_settings(request: Request, models: Sequence[LibvmafModel]) -> dict[str, object]:
    """Returns all that a measurement depends on besides pair and program, for JSON."""
    teachers = [(m.name, file_digest(m.path) if m.path else None) for m in models]
    return {"recipe": RECIPE, **request_key(request, teachers)}


def _extract_cached(
    pair: VideoPair, request: Request, ffmpeg: Ffmpeg, models: list[LibvmafModel], threads: int
) -> FeatureTable:
    for video in pair:
        check_video(video)
    settings = {
        "program": [ffmpeg.path, ffmpeg.version],
        **measurement_settings(request, models),
    }
    labels = [model.name for model in models] + list(request.extra_metrics)
    cache = Cache(request.cache_folder, settings, labels)
    if (cached := cache.find(pair)) is not None:
        return cached
    from vmaf_jax.extraction.libvmaf import measure_by_libvmaf  # what a cached pair does without

    with concurrent.futures.ThreadPoolExecutor(len(pair)) as pool:  # hashes while libvmaf measures
        digests = [pool.submit(file_digest, video.path) for video in pair]
        measurement = measure_by_libvmaf(pair, request, ffmpeg, models, threads)
        contents = [digest.result() for digest in digests]
    backend = {
        "backend": "libvmaf",
        "backend_version": measurement.version,
        "ffmpeg_version": ffmpeg.version,
    }
    return cache.store(
        pair,
        measurement.features,
        measurement.labels,
        request.feature_set,
        backend,
        contents,
        measurement.description,
    )
