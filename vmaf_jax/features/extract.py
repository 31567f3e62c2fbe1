"""Extraction of one pair by libvmaf, through the cache.

A re-run costs a hash of the files, and a first run costs libvmaf's time.
"""

import concurrent.futures
import os
from pathlib import Path

from vmaf_jax.features.cache import Cache, Pair
from vmaf_jax.features.digest import file_digest
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.ffmpeg import find_ffmpeg
from vmaf_jax.features.libvmaf import measure, resolve_models
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.features.video import check_video
from vmaf_jax.files import cache_dir

RECIPE = 2  # of the measurement; a change of its filters must not be served old results
DEFAULT_TEACHER = "vmaf_v0.6.1"


def extract_in_libvmaf(
    pair: Pair,
    *,
    teachers: tuple[str, ...],
    feature_set: FeatureSet,
    shortest: bool = False,
    threads: int | None = None,
    cache: Path | None = None,
) -> FeatureTable:
    """Features of every frame of a pair, and what models make of them, all by libvmaf.

    Args:
        teachers: names of models built into libvmaf, or paths of JSON model files.
        shortest: stop at the end of the shorter input instead of refusing unequal lengths.
        threads: libvmaf's threads, by default one per core; changes no value.
        cache: folder of results, by default `features` in the user's cache.

    Raises:
        InputError: a file is missing, cut, not decodable or of another length; a teacher is
            unknown; no ffmpeg has libvmaf; the cache entry is corrupted.
    """
    models = resolve_models(teachers)
    ffmpeg = find_ffmpeg()
    for video in pair:
        check_video(video)
    settings = {
        "recipe": RECIPE,
        "program": [ffmpeg.path, ffmpeg.version],
        "features": feature_set.name,
        "models": [[m.name, m.path and file_digest(m.path)] for m in models],
        "shortest": shortest,
    }
    kept = Cache(features_cache(cache), settings, [model.name for model in models])
    if (found := kept.find(pair)) is not None:
        return found
    cores = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(len(pair)) as pool:
        digests = [pool.submit(file_digest, video.path) for video in pair]
        measurement = measure(
            ffmpeg,
            pair[0],
            pair[1],
            feature_set,
            models,
            threads=threads or cores,
            shortest=shortest,
        )
        contents = [future.result() for future in digests]
    backend = {
        "backend": "libvmaf",
        "backend_version": measurement.version,
        "ffmpeg_version": ffmpeg.version,
    }
    features, labels = measurement.features, measurement.labels
    return kept.store(pair, features, labels, feature_set, backend, contents)


def features_cache(cache: Path | None) -> Path:
    """The folder given, or `features` in the user's cache."""
    return cache_dir() / "features" if cache is None else cache
