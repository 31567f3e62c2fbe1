"""Extraction over a Ray cluster: one task of one core for each clip.

Nodes read files under the same paths as this machine (a shared file system). Work that was lost
with a node is given to another; what fails twice is told with the others' results.

A clip's shard is written by the node, so that this program may die: whoever runs it again finds the
shards that are written. Where there are more cores than clips, long ones are measured in parts by
several: these come back, and stay in the nodes' caches; this program writes the shard. A pair's
table comes back, and stays in the node's cache.
"""

import contextlib
import copy
import dataclasses
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.environment import __version__
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import named
from vmaf_jax.extraction.extract import extract_one
from vmaf_jax.extraction.libvmaf import resolve_teachers
from vmaf_jax.extraction.parts import LongClip, Part, join_parts, look, measure_part
from vmaf_jax.extraction.request import Outcome, Pair, Request
from vmaf_jax.extraction.shards import Engine, Outcomes, Shard, Work, measure_shard, sound_shard
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Tools:
    """What measurements depend on beside clips and settings, the same on every node."""

    ffmpeg: str
    vmaf_jax: str = __version__

    def __str__(self) -> str:
        return f"ffmpeg {self.ffmpeg} and vmaf-jax {self.vmaf_jax}"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a node may measure nothing, in one line."""

    reason: str


def own_tools() -> Tools:
    """Those of this machine.

    Raises:
        InputError: it has no ffmpeg with libvmaf.
    """
    return Tools(find_ffmpeg().version)


def check_node(expected: Tools) -> Refusal | None:
    """Why this node may not measure beside those that have the `expected` tools; None if it may."""
    try:
        tools = own_tools()
    except InputError as error:
        return Refusal(f"node {socket.gethostname()}: {error}")
    if tools != expected:
        return Refusal(
            f"node {socket.gethostname()} has {tools}, this machine {expected}; results of two "
            f"versions are not mixed, install the same on both or take the node out."
        )
    return None


def measure_on_node(
    clip: Clip, work: Work, expected: Tools
) -> Shard | LongClip | InputError | Refusal:
    """The shard of a clip, or that it is long and to be measured in parts, or why neither."""

    def answer() -> Shard | LongClip:
        shard = sound_shard(clip, work)
        if isinstance(shard, Shard):
            return shard
        return look(clip, work, shard) or measure_shard(clip, work, shard)

    return _answered(answer, expected)


def measure_part_on_node(
    part: Part, request: Request, expected: Tools
) -> FeatureTable | InputError | Refusal:
    """The rows of a part of a clip, or why there are none."""
    return _answered(lambda: measure_part(part, request), expected)


def table_on_node(pair: Pair, request: Request, expected: Tools) -> Outcome | Refusal:
    """The table of a pair, which stays in the node's cache too, or why there is none."""
    return _answered(lambda: extract_one(pair, request), expected)


def _answered(answer: Callable[[], Answer], expected: Tools) -> Answer | InputError | Refusal:
    """What a node that may measure answers, or why it has no answer."""
    if (refusal := check_node(expected)) is not None:
        return refusal
    try:
        return answer()
    except InputError as error:
        return InputError(str(error))  # without its causes, which may not travel


Item = TypeVar("Item")
Settings = TypeVar("Settings")
Result = TypeVar("Result")
# What a node is asked: one item, under settings, by the tools that it must have.
Task = Callable[[Item, Settings, Tools], Result | InputError | Refusal]

_TASKS_PER_CORE = 2  # in flight: one that runs, and one that waits for it
_TRIES = 2  # of an item that fails
_LOSSES = 10  # of an item whose nodes die
_CONNECT_S = 60.0
_LEAVE_S = 10.0
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # "0": a cluster of one machine, on loopback alone
_LOOK_S = 5.0  # between looks at how large the cluster is


@contextlib.contextmanager
def ray_cluster(address: str | None) -> Iterator["Cluster"]:
    """A cluster; it is left, or ended if it is this machine's own, at the end.

    Args:
        address: `host:port` of its head, `auto` for the one that this machine is part of, or None
            to start one of this machine alone.

    Raises:
        InputError: Ray is not installed, no cluster answers, or a node has other tools.
    """
    if address is None:
        os.environ.setdefault(_LOOPBACK, "0")
    ray = _ray()
    _connect(ray, address)
    try:
        yield Cluster.joined(ray)
    finally:
        ray.shutdown()


def leave_cluster() -> None:
    """Leaves the cluster, or ends this machine's own: for a program that is told to end."""
    ray = sys.modules.get("ray")
    if ray is None:
        return
    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(_LEAVE_S)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster that this program has joined.

    Attributes:
        ray: the module, connected.
        tools: what every node has, as this machine does.
    """

    ray: Any
    tools: Tools

    @staticmethod
    def joined(ray: Any) -> "Cluster":
        """The cluster that `ray` has joined.

        Raises:
            InputError: a node has other tools than this machine, or none.
        """
        tools = own_tools()
        _check_nodes(ray, tools)
        return Cluster(ray, tools)

    def cores(self) -> int:
        """Of all nodes, now."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    def results(
        self, task: Task[Item, Settings, Result], items: Iterable[Item], settings: Settings
    ) -> Iterator[tuple[int, Result | InputError]]:
        """Of every item, by its number, as it comes: its result, or why it has none.

        `_TASKS_PER_CORE` tasks a core are in flight at the most; items are read as there is room.

        Args:
            items, settings: as a node reads them: whole paths.

        Raises:
            InputError: a node has other tools.
        """
        ray = self.ray
        remote = ray.remote(num_cpus=1, max_retries=0)(task)
        shared, expected = ray.put(settings), ray.put(self.tools)
        waiting = enumerate(items)
        again: list[tuple[int, Item]] = []
        running: dict[Any, tuple[int, Item]] = {}
        setbacks = _Setbacks()
        room = _Room(self)
        while True:
            while len(running) < room.tasks():
                numbered = again.pop() if again else next(waiting, None)
                if numbered is None:
                    break
                running[remote.remote(numbered[1], shared, expected)] = numbered
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_S)
            for answer in done:
                k, item = running.pop(answer)
                outcome = _result(ray, answer)
                if isinstance(outcome, Refusal):
                    raise InputError(outcome.reason)
                if setbacks.worth_another_try(k, outcome):
                    again.append((k, item))
                else:
                    yield k, outcome.error if isinstance(outcome, _NodeLost) else outcome


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # signals are ours
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--engine ray: Ray is not installed; pip install 'vmaf-jax[ray]'."
        ) from error
    # Standard output is for results; Ray prints there which nodes died, whatever it is asked.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _connect(ray: Any, address: str | None) -> None:
    """Joins a cluster; Ray itself would wait for minutes where none answers."""
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        try:
            ray.init(address="local", include_dashboard=False, **quietly)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"--engine ray: cannot start Ray ({_last_line(error)}).") from error
        return
    unreachable = InputError(
        f"--address {address}: no Ray cluster answers there; start one (`ray start --head`), or "
        f"correct it."
    )
    if address != "auto":
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, ValueError, OverflowError) as error:
            raise unreachable from error
    failures: list[BaseException] = []
    ended = threading.Event()

    def join() -> None:
        try:
            ray.init(address=address, **quietly)
        except (OSError, RuntimeError, ValueError) as error:
            failures.append(error)
        ended.set()

    threading.Thread(target=join, daemon=True).start()
    if not ended.wait(_CONNECT_S) or failures:
        raise unreachable


def _check_nodes(ray: Any, tools: Tools) -> None:
    """Raises InputError where the cluster has no core, or a node that may not measure."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise InputError("the Ray cluster has no node with a core; add one (`ray start`).")
    check = ray.remote(num_cpus=0, max_retries=0)(check_node)
    answers = [
        check.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(tools)
        for node in nodes
    ]
    for node, answer in zip(nodes, answers, strict=True):
        try:
            refusal = ray.get(answer)
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            continue  # it died since it was listed, and gets no clip
        except ray.exceptions.RayError as error:
            raise InputError(
                f"node {node['NodeManagerHostname']}: cannot measure ({_last_line(error)}); "
                f"install vmaf-jax {tools.vmaf_jax} there, or take it out."
            ) from error
        if refusal is not None:
            raise InputError(refusal.reason)


@dataclasses.dataclass(frozen=True)
class _NodeLost:
    """The node of a task is gone, which says nothing about its item."""

    error: InputError


def _result(ray: Any, answer: Any) -> Any:
    """What a task gave: its result, an InputError, a Refusal or a _NodeLost."""
    try:
        return ray.get(answer)
    except (ray.exceptions.NodeDiedError, ray.exceptions.LocalRayletDiedError) as error:
        return _NodeLost(InputError(f"{_LOSSES} of its nodes died ({_last_line(error)})"))
    except ray.exceptions.RayError as error:
        return InputError(f"its worker ended ({_last_line(error)})")


class _Setbacks:
    """How often each item failed, or lost its node."""

    def __init__(self) -> None:
        self._failed: dict[int, int] = {}
        self._lost: dict[int, int] = {}

    def worth_another_try(self, k: int, outcome: Any) -> bool:
        """Whether item `k`, which had this outcome, is to be tried again."""
        lost = isinstance(outcome, _NodeLost)
        if not lost and not isinstance(outcome, InputError):
            return False
        counts, most = (self._lost, _LOSSES) if lost else (self._failed, _TRIES)
        counts[k] = counts.get(k, 0) + 1
        return counts[k] < most


class _Room:
    """How many tasks the cluster takes; nodes come and go."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._looked, self._tasks = cluster, -_LOOK_S, 0

    def tasks(self) -> int:
        """In flight, at the most."""
        if time.monotonic() - self._looked >= _LOOK_S or not self._tasks:
            self._looked = time.monotonic()
            self._tasks = _TASKS_PER_CORE * self._cluster.cores()
        return max(1, self._tasks)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:200]


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
