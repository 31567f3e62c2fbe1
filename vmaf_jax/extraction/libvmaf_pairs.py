"""Extraction by libvmaf: several ffmpeg runs at a time, through the cache.

A re-run costs a hash of the files, and a first run costs libvmaf's time.
"""

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.libvmaf import LibvmafModel, measure, resolve_teachers
from vmaf_jax.extraction.request import Outcome, Pair, Request, request_key
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.video.digest import file_digest
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.video import check_video

RECIPE = 6  # of the measurement: raised with every change of values, so that none is served old


def extract_pairs(
    pairs: Sequence[Pair], request: Request, on_pair: Callable[[int], None]
) -> list[Outcome]:
    """A table per pair, or why there is none; as `extract_pair`.

    Args:
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: no ffmpeg, or a teacher's name or file is bad.
    """
    models = resolve_teachers(request.teachers)
    ffmpeg = find_ffmpeg()
    cores = os.cpu_count() or 1
    workers = max(1, min(request.jobs or cores, len(pairs)))
    threads = request.threads or max(1, cores // workers)

    def extract(pair: Pair) -> Outcome:
        try:
            table = _extract(pair, request, ffmpeg, models, threads)
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


def measurement_settings(request: Request, models: Sequence[LibvmafModel]) -> dict[str, Any]:
    """What a measurement depends on besides pair and program, as JSON takes it."""
    teachers = [(m.name, file_digest(m.path) if m.path else None) for m in models]
    return {"recipe": RECIPE, **request_key(request, teachers)}


def _extract(
    pair: Pair, request: Request, ffmpeg: Ffmpeg, models: list[LibvmafModel], threads: int
) -> FeatureTable:
    for video in pair:
        check_video(video)
    how = request.comparison
    settings = {
        "program": [ffmpeg.path, ffmpeg.version],
        **measurement_settings(request, models),
    }
    cache = Cache(
        request.cache_folder, settings, [*(model.name for model in models), *request.also]
    )
    if (cached := cache.find(pair)) is not None:
        return cached
    with concurrent.futures.ThreadPoolExecutor(len(pair)) as pool:
        digests = [pool.submit(file_digest, video.path) for video in pair]
        how_much: dict[str, Any] = {"threads": threads, "how": how, "also": request.also}
        how_much |= {"on_frames": request.on_frames}
        measurement = measure(ffmpeg, *pair, request.feature_set, models, **how_much)
        contents = [future.result() for future in digests]
    backend = {
        "backend": "libvmaf",
        "backend_version": measurement.version,
        "ffmpeg_version": ffmpeg.version,
    }
    columns = (measurement.features, measurement.labels, request.feature_set)
    return cache.store(pair, *columns, backend, contents, measurement.description)
