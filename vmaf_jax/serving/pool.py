"""Workers, and calls that wait for them.

So many calls run side by side as there are workers; the others wait in the order in which they
came, and past a limit they are refused. A worker stays between calls. One whose call is cancelled,
takes too long or goes wrong is ended with all its children, and another takes its place: nothing
less ends a training, or an ffmpeg that a thread waits for, at any moment.
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
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from vmaf_jax.errors import InputError
from vmaf_jax.serving.settings import TOKEN, Settings
from vmaf_jax.serving.texts import mend_json

_START_S = 120.0
_GRACE_S = 3.0  # for what is half-written to be removed
_BEAT_S = 5.0  # between notifications of a call that has nothing new to say
_MAX_ANSWER = 64 << 20  # bytes; some 300,000 frames

Progress = Callable[[float, str], Awaitable[None]]


class Worker:
    """A worker process (`worker.py`), its pipes and its folder of temporary files."""

    def __init__(self, process: Process, folder: Path) -> None:
        """Takes a process that was just started; `start` does."""
        self._process, self._folder = process, folder
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        self._stdin, self._lines = process.stdin, BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls, settings: Settings) -> "Worker":
        """A worker that is ready.

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
                env={**_environment(), "TMPDIR": str(folder)},
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        worker = cls(process, folder)
        try:
            with anyio.fail_after(_START_S):
                await worker._receive()
        except BaseException as error:
            await worker.end()
            if isinstance(error, (InputError, TimeoutError)):
                raise InputError("a worker did not start; the server's log says why.") from error
            raise
        return worker

    async def call(
        self, tool: str, arguments: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Runs a call; the message that ends it, `result` and `pictures`.

        Args:
            progress: called with a growing number and a text, at each stage and while it lasts.

        Raises:
            InputError: the call failed, with the reason for people.
        """
        line = json.dumps({"tool": tool, "arguments": arguments}) + "\n"
        await self._stdin.send(line.encode())
        stage, started, count = tool, anyio.current_time(), 0
        while True:
            message: dict[str, Any] = {
                "message": f"{stage}, {anyio.current_time() - started:.0f} s"
            }
            with anyio.move_on_after(_BEAT_S):
                message = await self._receive()
                stage = message.get("message", stage)
            if "error" in message:
                raise InputError(message["error"])
            if "result" in message:
                return message
            count += 1
            await progress(count, message["message"])

    async def _receive(self) -> dict[str, Any]:
        try:
            line = await self._lines.receive_until(b"\n", _MAX_ANSWER)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError) as error:
            raise WorkerLostError(
                "the worker ended in mid-call, perhaps out of memory; try again with less."
            ) from error
        except anyio.DelimiterNotFound as error:
            raise WorkerLostError("the answer is too large; ask about a shorter clip.") from error
        return dict(json.loads(mend_json(line.decode())))

    async def end(self) -> None:
        """Ends the process and its children, wherever they are; nobody can interrupt that."""
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


def _environment() -> dict[str, str]:
    """What a worker is told: all but the secret, which only the server needs."""
    return {name: value for name, value in os.environ.items() if name != TOKEN}


class WorkerLostError(InputError):
    """The worker is of no more use."""


class Pool:
    """Workers that calls share."""

    def __init__(self, settings: Settings) -> None:
        """An empty pool; `open_pool` makes one that ends its workers."""
        self._settings = settings
        self._turns = anyio.CapacityLimiter(settings.workers)
        self._starting = anyio.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()

    async def run(
        self,
        tool: str,
        arguments: dict[str, Any],
        progress: Progress,
        *,
        long: bool,
        ends_worker: bool,
    ) -> dict[str, Any]:
        """Waits for its turn, and runs a call.

        Args:
            long: whether it has the long run time.
            ends_worker: whether its worker is not used again.

        Raises:
            InputError: too many wait already, it took too long, or it failed.
        """
        if self._turns.statistics().tasks_waiting >= self._settings.queue:
            raise InputError(
                f"the server is busy: {self._settings.queue} calls wait already; try again later."
            )
        async with self._turns:
            worker = await self._take()
            keep = False
            seconds = self._settings.long_seconds if long else self._settings.seconds
            try:
                with anyio.fail_after(seconds):
                    answer = await worker.call(tool, arguments, progress)
                keep = not ends_worker
                return answer
            except TimeoutError as error:
                raise InputError(
                    f"{tool}: ended after {seconds:g} s, the longest that a call may take; ask "
                    f"about less, such as a shorter clip."
                ) from error
            except InputError as error:
                keep = not ends_worker and not isinstance(error, WorkerLostError)
                raise
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise InputError("the worker ended between calls; try again.") from error
            finally:
                if keep:
                    self._idle.append(worker)
                else:
                    await self._drop(worker)

    async def warm(self) -> None:
        """Starts a worker before anything is asked of it; a failure is told to the first call."""
        with contextlib.suppress(InputError):
            self._idle.append(await self._take())

    async def close(self) -> None:
        """Ends all workers."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for worker in list(self._all):
                    group.start_soon(self._drop, worker)

    async def _take(self) -> Worker:
        """An idle worker, else a new one; one starts at a time, and a start may make one idle."""
        async with self._starting:
            if self._idle:
                return self._idle.pop()
            worker = await Worker.start(self._settings)
            self._all.add(worker)
            return worker

    async def _drop(self, worker: Worker) -> None:
        self._all.discard(worker)
        await worker.end()


@contextlib.asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
    """A pool with a first worker on its way; all workers have ended when the block is left."""
    pool = Pool(settings)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.warm)
            yield pool
            group.cancel_scope.cancel()
    finally:
        await pool.close()
