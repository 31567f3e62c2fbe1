"""Shards of a dataset: each clip is measured into a Parquet file, by threads or by a cluster.

A shard is named by a digest of its clip's contents, place and labels, of the settings and of the
ffmpeg that measures, so that its name is the same on every machine. A shard that is there is not
measured again.
"""

import concurrent.futures
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_one, label_rows, measurement_settings
from vmaf_jax.extraction.request import Request, resolve_teachers, video_key
from vmaf_jax.printable import format_count
from vmaf_jax.tables.dataset import shard_path
from vmaf_jax.tables.reading import read_file
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Clip, file_digest, text_digest

_NAMED_FAILURES = 5  # an error is one line


@dataclasses.dataclass(frozen=True)
class ShardSettings:
    """Settings of a dataset that is measured.

    Attributes:
        request: how every clip is measured.
        folder: of the dataset.
        mean_pool: whether a shard holds one row of means instead of a row a frame.
    """

    request: Request
    folder: Path
    mean_pool: bool = False


@dataclasses.dataclass(frozen=True)
class Shard:
    """A clip's shard: its file, how many rows it has, and the names of its labels."""

    path: Path
    rows: int
    labels: list[str]


# Yields the number of each clip with its shard, or with why it has none, in order of completion.
Engine = Callable[[Sequence[Clip], ShardSettings], Iterator[tuple[int, Shard | InputError]]]


def write_shards(
    clips: Sequence[Clip], settings: ShardSettings, engine: Engine, on_clip: Callable[[int], None]
) -> list[Shard]:
    """Writes the shards of all clips and returns them in the order of `clips`.

    Args:
        on_clip: called after each clip with its number of rows.

    Raises:
        InputError: clips failed, of which the first are named, after all others are written; or the
            engine cannot be used.
    """
    shards: dict[int, Shard] = {}
    failures: dict[int, InputError] = {}
    for k, shard in engine(clips, settings):
        if isinstance(shard, InputError):
            failures[k] = shard
        else:
            shards[k] = shard
            on_clip(shard.rows)
    if failures:
        reasons = [f"{clips[k].source}/{clips[k].name}: {failures[k]}" for k in sorted(failures)]
        if (more := len(reasons) - _NAMED_FAILURES) > 0:
            reasons[_NAMED_FAILURES:] = [f"and {more} others"]
        raise InputError(
            f"{len(failures)} of {format_count(len(clips), 'clip')} failed ({'; '.join(reasons)}); "
            f"the others are kept in {settings.folder}, repair or drop those and run it again."
        )
    return [shards[k] for k in range(len(clips))]


def local_engine(
    clips: Sequence[Clip], settings: ShardSettings
) -> Iterator[tuple[int, Shard | InputError]]:
    """Measures clips in threads of this machine, `settings.request.jobs` at a time."""
    cores = os.cpu_count() or 1
    workers = max(1, min(settings.request.jobs or cores, len(clips)))
    threads = settings.request.threads or max(1, cores // workers)
    request = dataclasses.replace(settings.request, threads=threads)
    settings = dataclasses.replace(settings, request=request)

    def measure(clip: Clip) -> Shard | InputError:
        try:
            return write_shard(clip, settings)
        except InputError as error:
            return error

    running: dict[concurrent.futures.Future[Shard | InputError], int] = {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for k, clip in enumerate(clips):
            running[pool.submit(measure, clip)] = k
            # No more than two a worker are queued, so that a million clips need no million futures.
            while len(running) >= 2 * workers or (running and k + 1 == len(clips)):
                done, _ = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
                for future in done:
                    yield running.pop(future), future.result()


def write_shard(clip: Clip, settings: ShardSettings) -> Shard:
    """Measures a clip and writes its shard, unless a sound one is there.

    Raises:
        InputError: as `extract_pair`, or the shard cannot be written.
    """
    path = locate_shard(clip, settings)
    if path.is_file():
        try:
            table = read_file(path)
        except InputError:
            path.unlink(missing_ok=True)  # damaged since it was written; measured again
        else:
            return Shard(path, len(table), list(table.labels))
    table = label_rows(extract_one((clip.reference, clip.distorted), settings.request), clip)
    if settings.mean_pool:
        table = table.mean_pool()
    table.write(path)
    return Shard(path, len(table), list(table.labels))


def locate_shard(clip: Clip, settings: ShardSettings) -> Path:
    """Returns the path of a clip's shard, whether it is there or not.

    Raises:
        InputError: a file or a setting is bad.
    """
    videos = (clip.reference, clip.distorted)
    place = dataclasses.asdict(clip)
    request = settings.request
    values = {
        "ffmpeg": find_ffmpeg().version,
        **measurement_settings(request, resolve_teachers(request.teachers)),
        "mean_pool": settings.mean_pool,
        "contents": [file_digest(video.path) for video in videos],
        "videos": [video_key(video) for video in videos],
        "place": {k: v for k, v in place.items() if k not in ("reference", "distorted")},
    }
    digest = text_digest(json.dumps(values, sort_keys=True))
    return shard_path(settings.folder.absolute(), digest)
