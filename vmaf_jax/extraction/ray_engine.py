"""Measuring over a cluster by Ray: a task a clip, a core each.

A clip's shard is written by the node, so that this program may die: whoever runs it again finds the
shards that are written. Where there are more cores than clips, long ones are measured in parts by
several: these come back, and stay in the nodes' caches; this program writes the shard. A pair's
table comes back, and stays in the node's cache.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import named
from vmaf_jax.extraction.engines import Engine, Outcomes
from vmaf_jax.extraction.libvmaf import resolve_teachers
from vmaf_jax.extraction.parts import LongClip, Part, join_parts
from vmaf_jax.extraction.ray_cluster import Cluster, ray_cluster
from vmaf_jax.extraction.ray_task import measure_on_node, measure_part_on_node, table_on_node
from vmaf_jax.extraction.request import Outcome, Pair, Request
from vmaf_jax.extraction.shards import Shard, Work
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.video.video import Video


@contextlib.contextmanager
def ray_engine(address: str | None) -> Iterator[Engine]:
    """A cluster as an engine; `address` and errors as for `ray_cluster`."""
    with ray_cluster(address) as cluster:
        yield shards_by(cluster)


def cluster_outcomes(ray: Any) -> Engine:
    """The cluster that `ray` has joined, as an engine.

    Raises:
        InputError: a node has other tools than this machine, or none.
    """
    return shards_by(Cluster.joined(ray))


def shards_by(cluster: Cluster) -> Engine:
    """A cluster as an engine."""

    def outcomes(clips: Sequence[Clip], work: Work) -> Outcomes:
        request, folder = _travelling(work.request), work.folder.absolute()
        clips = [_absolute(clip) for clip in clips]
        most_parts = cluster.cores() // max(1, len(clips))
        work = dataclasses.replace(work, request=request, folder=folder, most_parts=most_parts)
        long: dict[int, LongClip] = {}
        looked_at: Iterator[tuple[int, Shard | LongClip | InputError]]
        looked_at = cluster.results(measure_on_node, clips, work)
        for k, outcome in looked_at:
            if isinstance(outcome, LongClip):
                long[k] = outcome
            else:
                yield k, outcome
        yield from _in_parts(cluster, {k: (clips[k], long[k]) for k in sorted(long)}, work)

    return outcomes


def _in_parts(cluster: Cluster, long: dict[int, tuple[Clip, LongClip]], work: Work) -> Outcomes:
    """The shards of clips that were looked at, written here, each as soon as all its parts came."""
    places = [(k, place) for k, (_, clip) in long.items() for place in range(len(clip.bounds))]
    parts = (
        Part(long[k][0], *long[k][1].bounds[place], long[k][1].n_frames) for k, place in places
    )
    measured: dict[int, dict[int, FeatureTable | InputError]] = {k: {} for k in long}
    for j, outcome in cluster.results(measure_part_on_node, parts, work.request):
        k, place = places[j]
        measured[k][place] = copy.deepcopy(outcome)  # out of Ray's memory
        if len(measured[k]) == len(long[k][1].bounds):
            yield k, _joined(*long[k], measured.pop(k), work)


def _joined(
    clip: Clip, long: LongClip, parts: dict[int, FeatureTable | InputError], work: Work
) -> Shard | InputError:
    ordered = [parts[place] for place in sorted(parts)]
    tables = [part for part in ordered if isinstance(part, FeatureTable)]
    if len(tables) < len(ordered):
        return next(part for part in ordered if isinstance(part, InputError))
    try:
        return join_parts(clip, long, tables, work)
    except InputError as error:
        return error


def extract_each_by_ray(
    pairs: Sequence[Pair],
    request: Request,
    *,
    address: str | None,
    on_pair: Callable[[int], None] = lambda frames: None,
) -> list[Outcome]:
    """As `extract_each`, by libvmaf on a cluster; a pair that fails is tried twice.

    Args:
        address: as for `ray_cluster`.

    Raises:
        InputError: as for `ray_cluster`, or a teacher cannot be used at all.
    """
    resolve_teachers(request.teachers)
    outcomes: dict[int, Outcome] = {}
    travelling = ((_whole(reference), _whole(distorted)) for reference, distorted in pairs)
    with ray_cluster(address) as cluster:
        for k, outcome in cluster.results(table_on_node, travelling, _travelling(request)):
            if isinstance(outcome, InputError):
                outcomes[k] = _as_given(outcome, pairs[k])
                continue
            # Its arrays lie in Ray's memory, which goes with the cluster.
            outcomes[k] = named(copy.deepcopy(outcome), pairs[k])
            on_pair(len(outcome))
    return [outcomes[k] for k in range(len(pairs))]


def _travelling(request: Request) -> Request:
    """The request as a node reads it: whole paths, and a thread a task, which has a core."""
    teachers = tuple(
        str(Path(name).absolute()) if name.endswith(".json") else name for name in request.teachers
    )
    cache = None if request.cache is None else request.cache.absolute()
    request = dataclasses.replace(request, teachers=teachers, cache=cache, threads=1)
    return dataclasses.replace(request, on_frames=None)  # whoever counts them is on this machine


def _absolute(clip: Clip) -> Clip:
    return dataclasses.replace(
        clip, reference=_whole(clip.reference), distorted=_whole(clip.distorted)
    )


def _whole(video: Video) -> Video:
    return dataclasses.replace(video, path=video.path.absolute())


def _as_given(error: InputError, pair: Pair) -> InputError:
    """The error with the paths that this program was given."""
    text = str(error)
    for video in pair:
        text = text.replace(str(video.path.absolute()), str(video.path))
    return InputError(text)
