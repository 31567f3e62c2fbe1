"""Extraction of one pair, through the cache.

An entry's name is `<settings and sizes>-<contents>`. When no entry has the first part, the pair is
certainly new and is measured at once, its contents being hashed meanwhile; otherwise the contents
are hashed first and looked up. So a re-run costs a hash, and a first run costs libvmaf's time.
"""

import concurrent.futures
import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.features.digest import file_digest, text_digest
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.features.libvmaf import Measurement, Model, measure, resolve_models
from vmaf_jax.features.table import FeatureTable, constant_text, read_table
from vmaf_jax.features.video import Video, check_video
from vmaf_jax.files import cache_dir

RECIPE = 1  # of the measurement; a change of its filters must not be served old results
DEFAULT_TEACHER = "vmaf_v0.6.1"


def extract_pair(
    reference: str | os.PathLike[str] | Video,
    distorted: str | os.PathLike[str] | Video,
    *,
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (DEFAULT_TEACHER,),
    feature_set: FeatureSet = FEATURES,
    shortest: bool = False,
    threads: int | None = None,
    cache: Path | None = None,
) -> FeatureTable:
    """Features and teacher scores of every frame of a pair.

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format.
        width, height, pix_fmt: of raw files (both), unless they are given as `Video`.
        teachers: names of models built into libvmaf, or paths of JSON model files.
        feature_set: which features; their gain limits go with it.
        shortest: stop at the end of the shorter input instead of refusing unequal lengths.
        threads: libvmaf's threads, by default one per core; changes no value.
        cache: folder of results, by default `features` in the user's cache.

    Returns:
        A table of one clip: features `[frames, features]` (float64, no unit), a label per teacher.

    Raises:
        InputError: a file is missing, cut, not decodable or of another length; a teacher is
            unknown; no ffmpeg has libvmaf; the cache entry is corrupted.
    """
    given: dict[str, int | str | None] = {"width": width, "height": height, "pix_fmt": pix_fmt}
    pair = [
        each if isinstance(each, Video) else _video(Path(each), given)
        for each in (reference, distorted)
    ]
    models = resolve_models(teachers)
    folder = cache_dir() / "features" if cache is None else cache
    ffmpeg = find_ffmpeg()
    for video in pair:
        check_video(video)
    prefix = _settings_digest(pair, ffmpeg, feature_set, models, shortest=shortest)
    if folder.is_dir() and any(folder.glob(f"{prefix}-*.parquet")):
        entry = _entry(folder, prefix, [file_digest(video.path) for video in pair])
        if entry.exists():
            return _named(_checked_entry(entry, [model.name for model in models]), pair)
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
    table = _table(measurement, feature_set, contents, ffmpeg)
    table.write(_entry(folder, prefix, contents))
    return _named(table, pair)


def _video(path: Path, given: dict[str, int | str | None]) -> Video:
    """A raw file takes the size and format given; any other says its own."""
    video = Video(path)
    return dataclasses.replace(video, **given) if video.is_raw else video  # type: ignore[arg-type]


def _settings_digest(
    pair: list[Video],
    ffmpeg: Ffmpeg,
    feature_set: FeatureSet,
    models: list[Model],
    *,
    shortest: bool,
) -> str:
    settings = {
        "recipe": RECIPE,
        "program": [ffmpeg.path, ffmpeg.version],
        "features": feature_set.name,
        "models": [[m.name, m.path and file_digest(m.path)] for m in models],
        "shortest": shortest,
        "videos": [[v.is_raw, v.width, v.height, v.pix_fmt, v.path.stat().st_size] for v in pair],
    }
    return text_digest(json.dumps(settings))


def _entry(folder: Path, prefix: str, contents: list[str]) -> Path:
    return folder / f"{prefix}-{text_digest(' '.join(contents))}.parquet"


def _checked_entry(entry: Path, labels: list[str]) -> FeatureTable:
    try:
        table = read_table(entry)
    except InputError as error:
        raise InputError(
            f"{entry}: this cache entry is corrupted; delete it and run again."
        ) from error
    if list(table.labels) != labels:
        raise InputError(f"{entry}: this cache entry is corrupted; delete it and run again.")
    return table


def _named(table: FeatureTable, pair: list[Video]) -> FeatureTable:
    """The pair's rows under the names its files have now."""
    n = len(table)
    return dataclasses.replace(
        table,
        source=constant_text(pair[0].path.stem, n),
        clip=constant_text(pair[1].path.stem, n),
    )


def _table(
    measurement: Measurement,
    feature_set: FeatureSet,
    contents: list[str],
    ffmpeg: Ffmpeg,
) -> FeatureTable:
    """What the cache keeps: nothing of it depends on what the files are called."""
    n = len(measurement.features)
    blank = constant_text("", n)
    return FeatureTable(
        feature_set=feature_set,
        corpus=blank,
        source=blank,
        clip=blank,
        index=np.arange(n, dtype=np.int32),
        features=measurement.features,
        labels=measurement.labels,
        provenance={
            "backend": "libvmaf",
            "backend_version": measurement.version,
            "ffmpeg_version": ffmpeg.version,
            "inputs": dict(zip(("reference", "distorted"), contents, strict=True)),
        },
    )
