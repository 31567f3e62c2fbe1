"""Shards of a dataset: one file for each clip, measured by threads or by a cluster.

The name is a digest of the clip's two files, its place and labels, the settings, and what measures:
the same on every machine. A shard that is there already is not measured again.
"""

import concurrent.futures
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_one, placed
from vmaf_jax.extraction.libvmaf import measurement_settings, resolve_teachers
from vmaf_jax.extraction.request import Request, video_key
from vmaf_jax.tables.dataset import shard_path
from vmaf_jax.tables.reading import read_file
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import file_digest, text_digest


@dataclasses.dataclass(frozen=True)
class Work:
    """What is done to every clip.

    Attributes:
        request: how it is measured.
        folder: of the dataset.
        mean_pool: one row of means instead of rows of frames.
        most_parts: that a long clip is measured in, at the same time; 1 measures every clip whole.
        part_frames: of a part, at least.
    """

    request: Request
    folder: Path
    mean_pool: bool = False
    most_parts: int = 1
    part_frames: int = 1000


@dataclasses.dataclass(frozen=True)
class Shard:
    """A clip's shard: where it lies, its rows, and its label columns."""

    path: Path
    rows: int
    labels: list[str]


def write_shard(clip: Clip, work: Work) -> Shard:
    """Measures a clip and writes its shard, unless a sound one is there.

    Raises:
        InputError: as `extract_pair`, or the shard cannot be written.
    """
    shard = sound_shard(clip, work)
    if isinstance(shard, Shard):
        return shard
    return measure_shard(clip, work, shard)


def measure_shard(clip: Clip, work: Work, path: Path) -> Shard:
    """Measures a clip whole and writes its shard.

    Raises:
        InputError: as `write_shard`.
    """
    return finish(extract_one((clip.reference, clip.distorted), work.request), clip, work, path)


def sound_shard(clip: Clip, work: Work) -> Shard | Path:
    """The shard of a clip, if a sound one is there; else the path it is to have.

    Raises:
        InputError: a file or a setting is bad.
    """
    path = shard_path(work.folder.absolute(), _digest(clip, work))
    if path.is_file():
        try:
            table = read_file(path)
        except InputError:
            path.unlink(missing_ok=True)  # damaged since; measured again
        else:
            return Shard(path, len(table), list(table.labels))
    return path


def finish(measured: FeatureTable, clip: Clip, work: Work, path: Path) -> Shard:
    """Writes what was measured of a clip as its shard.

    Raises:
        InputError: it cannot be written.
    """
    table = placed(measured, clip)
    if work.mean_pool:
        table = table.mean_pool()
    table.write(path)
    return Shard(path, len(table), list(table.labels))


def _digest(clip: Clip, work: Work) -> str:
    videos = (clip.reference, clip.distorted)
    place = dataclasses.asdict(clip)
    values = {
        "ffmpeg": find_ffmpeg().version,
        **measurement_settings(work.request, resolve_teachers(work.request.teachers)),
        "mean_pool": work.mean_pool,
        "contents": [file_digest(video.path) for video in videos],
        "videos": [video_key(video) for video in videos],
        "place": {k: v for k, v in place.items() if k not in ("reference", "distorted")},
    }
    return text_digest(json.dumps(values, sort_keys=True))


ENGINES = ("local", "ray")
_NAMED_FAILURES = 5
# Of every clip, by its number, as it comes: its shard, or why it has none.
Outcomes = Iterator[tuple[int, Shard | InputError]]
Engine = Callable[[Sequence[Clip], Work], Outcomes]


def check_engine(engine: str, address: str | None) -> None:
    """Raises InputError where there is no such engine, or an address that it has no use for."""
    if engine not in ENGINES:
        raise InputError(f"--engine {engine}: expected one of {', '.join(ENGINES)}.")
    if engine == "local" and address is not None:
        raise InputError("--address is of a Ray cluster; add --engine ray, or drop it.")


def local_engine(clips: Sequence[Clip], work: Work) -> Outcomes:
    """Threads of this machine, as many as `work.request.jobs`, each of which runs an ffmpeg."""
    cores = os.cpu_count() or 1
    workers = max(1, min(work.request.jobs or cores, len(clips)))
    threads = work.request.threads or max(1, cores // workers)
    work = dataclasses.replace(work, request=dataclasses.replace(work.request, threads=threads))

    def outcome(clip: Clip) -> Shard | InputError:
        try:
            return write_shard(clip, work)
        except InputError as error:
            return error

    running: dict[concurrent.futures.Future[Shard | InputError], int] = {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for k, clip in enumerate(clips):
            running[pool.submit(outcome, clip)] = k
            while len(running) >= 2 * workers or (running and k + 1 == len(clips)):
                done, _ = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
                for future in done:
                    yield running.pop(future), future.result()


def write_shards(
    clips: Sequence[Clip], work: Work, engine: Engine, on_clip: Callable[[int], None]
) -> list[Shard]:
    """The shards of all clips, in the order of `clips`.

    Args:
        on_clip: called after each clip with its rows.

    Raises:
        InputError: clips that failed, by name, after all others are written; or what the engine
            cannot work with.
    """
    shards: list[Shard | None] = [None] * len(clips)
    failures: dict[int, InputError] = {}
    for k, outcome in engine(clips, work):
        if isinstance(outcome, InputError):
            failures[k] = outcome
        else:
            shards[k] = outcome
            on_clip(outcome.rows)
    if failures:
        numbers = sorted(failures)
        named = "; ".join(
            f"{clips[k].source}/{clips[k].name}: {failures[k]}" for k in numbers[:_NAMED_FAILURES]
        )
        more = len(numbers) - _NAMED_FAILURES
        rest = f"; and {more} others" if more > 0 else ""
        raise InputError(
            f"{len(numbers)} of {len(clips)} clips failed ({named}{rest}); the others are kept in "
            f"{work.folder}, mend or drop those and run it again."
        )
    return [shard for shard in shards if shard is not None]
