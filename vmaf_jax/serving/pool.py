"""Workers, and the calls that wait for them.

As many calls run side by side as there are workers; the others wait in the order in which they
came, and beyond a limit they are refused. A worker is kept between calls. One whose call is
cancelled, takes too long or fails in the process is ended with all its children, and another takes
its place: nothing less ends, at any moment, a training or an ffmpeg that a thread waits for.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypedDict

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from vmaf_jax.errors import InputError
from vmaf_jax.printable import replace_surrogates
from vmaf_jax.serving.path_policy import TOKEN, Settings
from vmaf_jax.serving.requests import Tool

_START_S = 120.0  # JAX and the jobs load in seconds, on a busy machine in tens of them
_GRACE_S = 3.0  # longer than a worker gives itself to remove what is half-written
_BEAT_S = 5.0  # between notifications of a call that has nothing new to say
_MAX_ANSWER = 64 << 20  # bytes; some 300,000 frames

OnProgress = Callable[[float, str], Awaitable[None]]
Schemas = dict[str, dict[str, object]]


class Message(TypedDict, total=False):
    """A line from a worker, as `worker.py` says: some of these."""

    ready: bool
    schemas: Schemas
    message: str
    result: dict[str, object]
    pictures: list[str]
    error: str


class WorkerLostError(InputError):
    """A worker that ended, or whose pipe holds an unread answer."""


class Worker:
    """A worker process (`worker.py`), its pipes and its folder of temporary files.

    Attributes:
        schemas: of the tools' results, by the tools' names.
    """

    def __init__(self, process: Process, folder: Path) -> None:
        """Wraps a process that was just started; `start` calls this."""
        self.schemas: Schemas = {}
        self._process, self._folder = process, folder
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        self._stdin, self._lines = process.stdin, BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls, settings: Settings) -> "Worker":
        """Starts a worker and waits until it is ready.

        Raises:
            InputError: it did not start.
        """
        allowed = [str(settings.max_bytes), str(settings.out), *map(str, settings.allow)]
        folder = Path(tempfile.mkdtemp(prefix=f"vmaf-jax-{os.getpid()}-mcp-"))
        try:
            process = await anyio.open_process(
                [sys.executable, "-m", "vmaf_jax.serving.worker", str(folder), *allowed],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
                cwd=folder,
                # Only the server needs the secret of its clients.
                env={k: v for k, v in os.environ.items() if k != TOKEN} | {"TMPDIR": str(folder)},
                start_new_session=True,  # a process group, which ends with all its children
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        worker = cls(process, folder)
        try:
            with anyio.fail_after(_START_S):
                worker.schemas = (await worker._receive())["schemas"]
        except BaseException as error:
            await worker.end()
            if isinstance(error, (InputError, TimeoutError)):
                raise InputError("a worker did not start; the server's log says why.") from error
            raise
        return worker

    async def call(
        self, tool: str, arguments: dict[str, object], on_progress: OnProgress
    ) -> Message:
        """Runs a call and returns the message that ends it, `result` and `pictures`.

        Args:
            on_progress: called with a growing number and a text, at each stage and while it lasts.

        Raises:
            InputError: the call failed, with the reason for people.
        """
        line = json.dumps({"tool": tool, "arguments": arguments}) + "\n"
        await self._stdin.send(line.encode())
        stage, started, count = tool, anyio.current_time(), 0
        while True:
            message: Message = {"message": f"{stage}, {anyio.current_time() - started:.0f} s"}
            with anyio.move_on_after(_BEAT_S):
                message = await self._receive()
                stage = message.get("message", stage)
            if "error" in message:
                raise InputError(message["error"])
            if "result" in message:
                return message
            count += 1
            await on_progress(count, message["message"])

    async def _receive(self) -> Message:
        try:
            line = await self._lines.receive_until(b"\n", _MAX_ANSWER)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError) as error:
            raise WorkerLostError(
                "the worker ended in mid-call, perhaps out of memory; try again with less."
            ) from error
        except anyio.DelimiterNotFound as error:
            raise WorkerLostError("the answer is too large; ask about a shorter clip.") from error
        message: Message = json.loads(replace_surrogates(line.decode()))
        return message

    async def end(self) -> None:
        """Ends the process and its children; a cancellation of the caller does not stop that."""
        with anyio.CancelScope(shield=True):
            self._signal(signal.SIGTERM)
            with anyio.move_on_after(_GRACE_S):
                await self._process.wait()
            self._signal(signal.SIGKILL)
            await self._process.wait()
            await self._process.aclose()
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._folder, ignore_errors=True))

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class Pool:
    """Workers that calls share."""

    def __init__(self, settings: Settings) -> None:
        """Makes an empty pool; `open_pool` makes one whose workers end."""
        self._settings = settings
        self._turns = anyio.CapacityLimiter(settings.workers)
        self._starting = anyio.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._schemas: Schemas | None = None

    async def run(
        self, tool: Tool, arguments: dict[str, object], on_progress: OnProgress
    ) -> Message:
        """Waits for a turn, runs a call and returns its last message.

        Raises:
            InputError: too many calls wait already, this one took too long, or it failed.
        """
        if self._turns.statistics().tasks_waiting >= self._settings.queue:
            raise InputError(
                f"the server is busy: {self._settings.queue} calls wait already; try again later."
            )
        async with self._turns:
            worker = await self._take()
            keep = False
            seconds = self._settings.long_seconds if tool.long else self._settings.seconds
            try:
                with anyio.fail_after(seconds):
                    answer = await worker.call(tool.name, arguments, on_progress)
                keep = not tool.ends_worker
                return answer
            except TimeoutError as error:
                raise InputError(
                    f"{tool.name}: ended after {seconds:g} s, the longest that a call may take; "
                    f"ask about less, such as a shorter clip."
                ) from error
            except InputError as error:
                keep = not tool.ends_worker and not isinstance(error, WorkerLostError)
                raise
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise InputError("the worker ended between calls; try again.") from error
            finally:
                if keep:
                    self._idle.append(worker)
                else:
                    await self._drop(worker)

    async def schemas(self) -> Schemas:
        """Returns the schemas of the tools' results, once a first worker is ready.

        Raises:
            InputError: it did not start.
        """
        if self._schemas is None:
            self._idle.append(await self._take())
        return self._schemas or {}

    async def warm(self) -> None:
        """Starts a worker before the first call; that call reports a failure."""
        with contextlib.suppress(InputError):
            await self.schemas()

    async def close(self) -> None:
        """Ends all workers."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for worker in list(self._all):
                    group.start_soon(self._drop, worker)

    async def _take(self) -> Worker:
        """Returns an idle worker, else a new one.

        Workers start one at a time: while one starts, a call that ends may leave another idle.
        """
        async with self._starting:
            if self._idle:
                return self._idle.pop()
            worker = await Worker.start(self._settings)
            self._all.add(worker)
            self._schemas = worker.schemas
            return worker

    async def _drop(self, worker: Worker) -> None:
        self._all.discard(worker)
        await worker.end()


@contextlib.asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
    """Opens a pool that starts a first worker, and ends all workers when the block is left."""
    pool = Pool(settings)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.warm)
            yield pool
            group.cancel_scope.cancel()
    finally:
        await pool.close()
