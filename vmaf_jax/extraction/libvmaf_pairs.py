"""Pairs measured by libvmaf: several at a time, each taken from the cache where it is there."""

import concurrent.futures
import os
from collections.abc import Callable, Sequence

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.request import (
    LibvmafModel,
    Request,
    TableOrError,
    request_key,
    resolve_teachers,
)
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.inputs import VideoPair, check_video, file_digest

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
