"""What is asked of an extraction, whichever backend answers."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import cache_dir
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.video import Video

Pair = tuple[Video, Video]
Outcome = FeatureTable | InputError  # of one pair: its table, or why there is none


@dataclasses.dataclass(frozen=True)
class Request:
    """Settings of an extraction.

    Attributes:
        teachers: names or JSON files of models whose scores become labels.
        feature_set: which features; their gain limits go with it.
        comparison: what is allowed where the two videos of a pair differ.
        cache: folder of results, by default `features` in the user's cache.
        jobs: pairs that libvmaf measures at a time, by default one per core; the remaining cores
            go to its threads.
        threads: of libvmaf for a pair, by default an even share of the cores; they change no value.
        also: other metrics that libvmaf computes in the same pass, as columns beside the teachers'.
        on_frames: told how many more frames are measured, of whichever pair; None tells nobody.
        device: the `jax.Device` that JAX computes on, by default its first.
    """

    teachers: tuple[str, ...] = (DEFAULT_TEACHER,)
    feature_set: FeatureSet = FEATURES
    comparison: Comparison = DEFAULT_COMPARISON
    cache: Path | None = None
    jobs: int | None = None
    threads: int | None = None
    on_frames: Callable[[int], None] | None = None
    device: Any = None
    also: tuple[str, ...] = ()

    @property
    def cache_folder(self) -> Path:
        """The folder of results."""
        return cache_dir() / "features" if self.cache is None else self.cache


# Fields of a request that change no value; backends say on which device they computed.
_WITHOUT_EFFECT = ("cache", "jobs", "threads", "on_frames", "device")


def request_key(request: Request, teachers: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """Returns all of a request that its results depend on, as JSON takes it.

    Every field counts but those that are known to change no value, so that a new one is in the
    names of cached results before anybody thinks of it.

    Args:
        teachers: name of each teacher, and a digest of its model (None for one of libvmaf's own).
    """
    values = dataclasses.asdict(dataclasses.replace(request, on_frames=None, device=None))
    return {k: v for k, v in values.items() if k not in _WITHOUT_EFFECT} | {"teachers": teachers}


def video_key(video: Video) -> dict[str, Any]:
    """Returns all that is said of a file, as JSON takes it, but for its name."""
    values = dataclasses.asdict(video)
    return {k: v for k, v in values.items() if k != "path"} | {"is_raw": video.is_raw}
