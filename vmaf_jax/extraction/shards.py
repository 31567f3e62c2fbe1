"""A clip to a shard of a dataset, named after everything that its rows follow from.

The name is a digest of the clip's two files, its place and labels, the settings, and what measures:
the same on every machine. A shard that is there already is not measured again.
"""

import dataclasses
import json
from pathlib import Path

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.api import extract_one, placed
from vmaf_jax.extraction.libvmaf import resolve_teachers
from vmaf_jax.extraction.libvmaf_pairs import measurement_settings
from vmaf_jax.extraction.request import Request, video_key
from vmaf_jax.features.dataset_writer import shard_path
from vmaf_jax.features.reading import read_file
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.video.digest import file_digest, text_digest
from vmaf_jax.video.ffmpeg import find_ffmpeg


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
