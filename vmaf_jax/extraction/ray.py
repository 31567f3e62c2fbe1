"""Extraction over a Ray cluster: a task of one core measures one clip or one pair.

Nodes read files under the same paths as this machine (a shared file system). A node writes the
shard of its clip itself, so that this program may be killed: the next run finds the shards that are
written. The table of a pair is sent back, and stays in the node's cache too.
"""

import contextlib
import copy
import dataclasses
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vmaf_jax.environment import __version__
from vmaf_jax.errors import InputError, name_missing_extra
from vmaf_jax.extraction.cache import name_rows
from vmaf_jax.extraction.extract import extract_one
from vmaf_jax.extraction.request import Request, TableOrError, resolve_teachers
from vmaf_jax.extraction.shards import Engine, Shard, ShardSettings, write_shard
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Clip, Video, VideoPair

Item = TypeVar("Item")
Settings = TypeVar("Settings")
Result = TypeVar("Result")

_TASKS_PER_CORE = 2  # in flight: one that runs, and one that waits for it
_MAX_TRIES = 2  # of an item that fails: its worker may have been short of memory
_MAX_LOSSES = 10  # of an item whose nodes die, which says nothing about the item
_CONNECT_S = 60.0
_LEAVE_S = 10.0
_LOOK_S = 5.0  # between looks at how large the cluster is, since nodes come and go


@contextlib.contextmanager
def ray_engine(address: str | None) -> Iterator[Engine]:
    """Opens a cluster as an engine for shards; `address` and errors as for `ray_cluster`."""
    with ray_cluster(address) as cluster:
        yield cluster.write_shards


def extract_each_by_ray(
    pairs: Sequence[VideoPair],
    request: Request,
    *,
    address: str | None,
    on_pair: Callable[[int], None] = lambda frames: None,
) -> list[TableOrError]:
    """Measures pairs by libvmaf on a cluster, with the results of `extract_each`.

    Args:
        address: as for `ray_cluster`.
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: as for `ray_cluster`, or a teacher cannot be used at all.
    """
    resolve_teachers(request.teachers)
    tables: dict[int, TableOrError] = {}
    absolute = ((_absolute(reference), _absolute(distorted)) for reference, distorted in pairs)
    with ray_cluster(address) as cluster:
        for k, table in cluster.results(extract_one, absolute, _request_of_node(request)):
            if isinstance(table, InputError):
                tables[k] = _with_given_paths(table, pairs[k])
                continue
            # Its arrays lie in Ray's memory, which goes with the cluster.
            tables[k] = name_rows(copy.deepcopy(table), pairs[k])
            on_pair(len(table))
    return [tables[k] for k in range(len(pairs))]


@contextlib.contextmanager
def ray_cluster(address: str | None) -> Iterator["Cluster"]:
    """Joins a cluster, or starts one of this machine alone, and leaves or ends it at the end.

    Args:
        address: `host:port` of its head, `auto` for the one that this machine is part of, or None
            to start one.

    Raises:
        InputError: Ray is not installed, no cluster answers, or a node has other tools.
    """
    if address is None:
        # "0" makes a cluster of one machine listen on loopback alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = _import_ray()
    _connect(ray, address)
    try:
        cluster = Cluster(ray, local_tools())
        cluster.check_nodes()
        yield cluster
    finally:
        ray.shutdown()


def leave_cluster() -> None:
    """Leaves the cluster, or ends this machine's own, when the program is to end."""
    ray = sys.modules.get("ray")
    if ray is None:
        return
    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(_LEAVE_S)


@dataclasses.dataclass(frozen=True)
class Tools:
    """Versions of the programs that results depend on, the same on every node."""

    ffmpeg: str
    vmaf_jax: str = __version__

    def __str__(self) -> str:
        return f"ffmpeg {self.ffmpeg} and vmaf-jax {self.vmaf_jax}"


def local_tools() -> Tools:
    """Returns the versions of this machine.

    Raises:
        InputError: it has no ffmpeg with libvmaf.
    """
    return Tools(find_ffmpeg().version)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster that this program has joined.

    Attributes:
        ray: the module, connected.
        tools: of this machine, which every node must have.
    """

    ray: ModuleType
    tools: Tools

    def n_cores(self) -> int:
        """Returns the number of CPU cores of all live nodes."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    def write_shards(
        self, clips: Sequence[Clip], settings: ShardSettings
    ) -> Iterator[tuple[int, Shard | InputError]]:
        """Has every clip's shard written by a node."""
        request, folder = _request_of_node(settings.request), settings.folder.absolute()
        settings = dataclasses.replace(settings, request=request, folder=folder)
        absolute = (
            dataclasses.replace(
                clip, reference=_absolute(clip.reference), distorted=_absolute(clip.distorted)
            )
            for clip in clips
        )
        return self.results(write_shard, absolute, settings)

    def results(
        self, task: Callable[[Item, Settings], Result], items: Iterable[Item], settings: Settings
    ) -> Iterator[tuple[int, Result | InputError]]:
        """Runs `task(item, settings)` for every item on some node, and yields what it returns.

        Items of nodes that die are given to others, and failed ones are tried once more. Items are
        read as there is room: at most `_TASKS_PER_CORE` tasks a core are in flight.

        Args:
            items, settings: with absolute paths.

        Yields:
            The number of each item with its result, or with why it has none, as they finish.

        Raises:
            InputError: a node has other tools.
        """
        ray = self.ray
        remote = ray.remote(num_cpus=1, max_retries=0)(_run_on_node)
        shared, tools = ray.put(settings), ray.put(self.tools)
        waiting = enumerate(items)
        again: list[tuple[int, Item]] = []
        running: dict[Any, tuple[int, Item]] = {}
        losses, failures = Counter[int](), Counter[int]()
        room, looked = 0, 0.0
        while True:
            if not room or time.monotonic() - looked >= _LOOK_S:
                room, looked = _TASKS_PER_CORE * self.n_cores(), time.monotonic()
            while len(running) < max(1, room):
                numbered = again.pop() if again else next(waiting, None)
                if numbered is None:
                    break
                running[remote.remote(task, numbered[1], shared, tools)] = numbered
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_S)
            for answer in done:
                k, item = running.pop(answer)
                result, node_died = _get(ray, answer)
                if isinstance(result, NodeRefusedError):
                    raise result
                if isinstance(result, InputError):
                    counts, most = (losses, _MAX_LOSSES) if node_died else (failures, _MAX_TRIES)
                    counts[k] += 1
                    if counts[k] < most:
                        again.append((k, item))
                        continue
                yield k, result

    def check_nodes(self) -> None:
        """Raises InputError where the cluster has no core, or a node that may not measure."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray = self.ray
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        if not nodes:
            raise InputError("the Ray cluster has no node with a core; add one (`ray start`).")
        check = ray.remote(num_cpus=0, max_retries=0)(_check_node)
        answers = [
            check.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(self.tools)
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
                    f"install vmaf-jax {self.tools.vmaf_jax} there, or take it out."
                ) from error
            if refusal is not None:
                raise refusal


class NodeRefusedError(InputError):
    """The error that a node may measure nothing: no other try would help."""


def _run_on_node(
    task: Callable[[Item, Settings], Result], item: Item, settings: Settings, expected: Tools
) -> Result | InputError:
    """Runs a task on the node that this process is of, unless the node has other tools."""
    if (refusal := _check_node(expected)) is not None:
        return refusal
    try:
        return task(item, settings)
    except InputError as error:
        return InputError(str(error))  # without its causes, which may not be pickled


def _check_node(expected: Tools) -> NodeRefusedError | None:
    """Returns why this node may not measure beside nodes with the `expected` tools, or None."""
    try:
        tools = local_tools()
    except InputError as error:
        return NodeRefusedError(f"node {socket.gethostname()}: {error}")
    if tools != expected:
        return NodeRefusedError(
            f"node {socket.gethostname()} has {tools}, this machine {expected}; results of two "
            f"versions are not mixed, install the same on both or take the node out."
        )
    return None


def _get(ray: ModuleType, answer: Any) -> tuple[Any, bool]:
    """Returns a task's result, or why it has none, and whether its node died."""
    try:
        return ray.get(answer), False
    except (ray.exceptions.NodeDiedError, ray.exceptions.LocalRayletDiedError) as error:
        return InputError(f"{_MAX_LOSSES} of its nodes died ({_last_line(error)})"), True
    except ray.exceptions.RayError as error:
        return InputError(f"its worker ended ({_last_line(error)})"), False


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # `interrupts` has its own
    with name_missing_extra():
        import ray
    # Standard output is for results; Ray prints there which nodes died, whatever it is asked.
    ray._private.worker._worker_logs_enabled = False
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, address: str | None) -> None:
    """Joins the cluster at an address, or starts one; raises InputError where neither is done."""
    if address is None:
        try:
            ray.init(
                address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR"
            )
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

    def join() -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            failures.append(error)

    # Ray itself waits for minutes where something else listens at the address.
    joining = threading.Thread(target=join, daemon=True)
    joining.start()
    joining.join(_CONNECT_S)
    if joining.is_alive() or failures:
        raise unreachable


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:200]


def _request_of_node(request: Request) -> Request:
    """Returns a request with absolute paths and one thread, since a task has one core."""
    teachers = tuple(
        str(Path(name).absolute()) if name.endswith(".json") else name for name in request.teachers
    )
    cache = None if request.cache is None else request.cache.absolute()
    # `on_frames` stays behind: whoever counts frames is a function of this process.
    return dataclasses.replace(request, teachers=teachers, cache=cache, threads=1, on_frames=None)


def _absolute(video: Video) -> Video:
    return dataclasses.replace(video, path=video.path.absolute())


def _with_given_paths(error: InputError, pair: VideoPair) -> InputError:
    """Returns an error of a node with the paths that this program was given."""
    text = str(error)
    for video in pair:
        text = text.replace(str(video.path.absolute()), str(video.path))
    return InputError(text)
