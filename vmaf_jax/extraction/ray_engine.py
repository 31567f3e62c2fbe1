"""Measuring over a cluster by Ray: a task a clip, a core each.

A clip's shard is written by the node, so that this program may die: whoever runs it again finds the
shards that are written. A pair's table comes back, and stays in the node's cache.
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
from vmaf_jax.extraction.engines import Engine
from vmaf_jax.extraction.libvmaf import resolve_teachers
from vmaf_jax.extraction.ray_cluster import Cluster, ray_cluster
from vmaf_jax.extraction.ray_task import measure_on_node, table_on_node
from vmaf_jax.extraction.request import Outcome, Pair, Request
from vmaf_jax.extraction.shards import Work
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

    def outcomes(clips: Sequence[Clip], work: Work) -> Any:
        request, folder = _travelling(work.request), work.folder.absolute()
        work = dataclasses.replace(work, request=request, folder=folder)
        return cluster.results(measure_on_node, map(_absolute, clips), work)

    return outcomes


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
