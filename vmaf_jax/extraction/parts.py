"""A long clip in parts, each measured by itself, to the rows of the whole.

One decode of the whole judges the pair and counts its frames. A part is measured with a frame more
at either side, which is left out again: VIF and ADM see one frame, motion the one before and the
one after. It decodes the clip from the start up to its own end, so that no frame depends on where a
file may be entered; each pays for the frames before it, so that parts are few and long, and clips
are split only where there are cores without a clip.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_one
from vmaf_jax.extraction.request import Request
from vmaf_jax.extraction.shards import Shard, Work, finish
from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.teacher.model_file import find_model_file, read_model_file
from vmaf_jax.video.checks import examine
from vmaf_jax.video.ffmpeg import about_frames, find_ffmpeg

_MOST_PARTS = 8
_SMALL = 1 << 20  # bytes: a file of fewer is not asked how long it is
_MEMORY = "motion2"  # of the one feature of a splittable set that sees other frames


@dataclasses.dataclass(frozen=True)
class LongClip:
    """A clip that was looked at, and is to be measured in parts.

    Attributes:
        shard: where its rows go.
        n_frames: that are compared.
        n_parts: how many it is measured in.
    """

    shard: Path
    n_frames: int
    n_parts: int

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The first frame of each part, and the one after its last."""
        ends = np.linspace(0, self.n_frames, self.n_parts + 1).astype(int).tolist()
        return list(itertools.pairwise(ends))


@dataclasses.dataclass(frozen=True)
class Part:
    """Frames `first` up to before `last` of the `n_frames` of a clip."""

    clip: Clip
    first: int
    last: int
    n_frames: int


def look(clip: Clip, work: Work, shard: Path) -> LongClip | None:
    """A clip that is worth splitting; None to measure it whole.

    Args:
        shard: where its rows go.

    Raises:
        InputError: as a measurement, of a clip that would be split.
    """
    if work.most_parts < 2:
        return None
    how = work.request.comparison
    pair = clip.reference, clip.distorted
    by_number = not (how.is_partial or how.aligned or how.fps)
    if not by_number or not _splittable(work.request):
        return None
    if min(video.path.stat().st_size for video in pair) < _SMALL:
        return None
    ffmpeg = find_ffmpeg()
    if _parts(about_frames(ffmpeg, clip.reference), work) < 2:
        return None
    _, _, n_frames = examine(ffmpeg, pair, how)
    n_parts = _parts(n_frames, work)
    return LongClip(shard, n_frames or 0, n_parts) if n_parts > 1 else None


def _parts(n_frames: int | None, work: Work) -> int:
    return min(_MOST_PARTS, work.most_parts, (n_frames or 0) // work.part_frames)


def _splittable(request: Request) -> bool:
    """Whether all that is measured sees no more than the frame before and the one after."""
    try:
        models = [read_model_file(find_model_file(name)) for name in request.teachers]
    except InputError:  # a model over features of its own, which libvmaf knows
        return False
    sets = [request.feature_set, *(model.feature_set for model in models)]
    return not request.extra_metrics and all(_MEMORY in feature_set for feature_set in sets)


def measure_part(part: Part, request: Request) -> FeatureTable:
    """The rows of a part alone; they stay in this machine's cache with their neighbours.

    Raises:
        InputError: as a measurement, or there are other frames now.
    """
    first, last = max(part.first - 1, 0), min(part.last + 1, part.n_frames)
    how = dataclasses.replace(request.comparison, start=f"{first}f", frames=last - first)
    request = dataclasses.replace(request, comparison=how)
    pair = part.clip.reference, part.clip.distorted
    table = extract_one(pair, request)
    if len(table) != last - first:
        raise _changed(part.clip)
    return _rows(table, slice(part.first - first, part.last - first))


def join_parts(clip: Clip, long: LongClip, parts: Sequence[FeatureTable], work: Work) -> Shard:
    """Writes the shard of a clip from its parts, in order.

    Raises:
        InputError: its files changed while they were measured, or the shard cannot be written.
    """
    inputs = [part.provenance["inputs"] for part in parts]
    if any(of_part != inputs[0] for of_part in inputs) or sum(map(len, parts)) != long.n_frames:
        raise _changed(clip)
    whole = dataclasses.replace(
        _rows(parts[0], slice(0)),
        features=np.concatenate([part.features for part in parts]),
        labels={
            name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels
        },
        index=np.arange(long.n_frames, dtype=np.int32),
        corpus=(blank := constant_text("", long.n_frames)),
        source=blank,
        clip=blank,
    )
    return finish(whole, clip, work, long.shard)


def _rows(table: FeatureTable, rows: slice) -> FeatureTable:
    texts = {name: getattr(table, name)[rows] for name in ("corpus", "source", "clip", "index")}
    labels = {name: column[rows] for name, column in table.labels.items()}
    return dataclasses.replace(table, features=table.features[rows], labels=labels, **texts)


def _changed(clip: Clip) -> InputError:
    return InputError(f"{clip.distorted.path}: changed while it was measured; run it again.")
