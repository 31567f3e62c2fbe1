"""The flags of `--distributed`: one training of several processes, each watched by another one.

JAX aborts a process, with a C++ stack trace, when its coordinator or another process is gone. So
the command runs the training in a child process, the worker, and tells its end in one line.
"""

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, Annotated

import typer

from vmaf_jax.environment import join_processes
from vmaf_jax.errors import InputError, WorkerEndedError
from vmaf_jax.interrupts import end_with_parent

PANEL = "Several processes or machines"
_WORKER = "VMAF_JAX_WORKER"  # set in the worker's environment
_ADDRESS = "JAX_COORDINATOR_ADDRESS"  # the variable that JAX itself reads
_CONNECT_S = 60.0  # within which process 0 has to listen; the others may start before it
_RETRY_S = 0.2  # between attempts to reach process 0
_END_S = 70.0  # a worker saves within 60 s (`interrupts`), then ends
# Lines of JAX's C++ parts about a lost process: glog's, stack traces, Gloo's, gRPC's.
_NOISE = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d|\*\*\* Check failure|    @ +0x|\[Gloo\] ")
_MORE_NOISE = ("Additional GRPC error", ":UNKNOWN:", "RPC: /", "absl::Status")
_workers: list[subprocess.Popen[str]] = []


def is_worker() -> bool:
    """Returns whether this process is a worker."""
    return _WORKER in os.environ


@dataclasses.dataclass(frozen=True)
class Processes:
    """The options of a training of several processes."""

    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed",
            help="Train over the devices of several processes.",
            rich_help_panel=PANEL,
        ),
    ] = False
    coordinator: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where process 0 listens.", rich_help_panel=PANEL),
    ] = None
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many there are.", rich_help_panel=PANEL)
    ] = None
    process: Annotated[
        int | None,
        typer.Option(min=0, help="Which of them this is, from 0.", rich_help_panel=PANEL),
    ] = None

    def join(self) -> None:
        """Joins the others in a worker; elsewhere runs a worker and ends as it does.

        Raises:
            InputError: The flags contradict each other, or the coordinator cannot be reached.
            WorkerEndedError: The worker has ended, in a process that ran one.
        """
        if not self.distributed:
            return
        check_flags(self.coordinator, self.processes, self.process)
        if not is_worker():
            raise WorkerEndedError(watch_worker(self.coordinator, self.process))
        end_with_parent()
        join_processes(self.coordinator, self.processes, self.process)


ONE_PROCESS = Processes()


def check_flags(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raises InputError where the flags contradict each other."""
    if coordinator is not None and not re.fullmatch(r".+:\d{1,5}", coordinator):
        raise InputError(f"--coordinator {coordinator}: expected HOST:PORT, as 10.0.0.1:29400.")
    if processes is not None and process is not None and process >= processes:
        raise InputError(f"--process {process}: with --processes {processes} they count from 0.")


def watch_worker(coordinator: str | None, process: int | None) -> int:
    """Runs this process's command line in a worker; returns its exit code.

    Raises:
        InputError: The coordinator cannot be reached, or is gone.
    """
    address = coordinator or os.environ.get(_ADDRESS)
    if address is not None and process:
        _wait_for_listener(address)
    command = [sys.executable, "-m", "vmaf_jax", *sys.argv[1:]]
    quiet = {_WORKER: "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    worker = subprocess.Popen(
        command,
        env={**os.environ, **quiet},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    _workers.append(worker)
    pipes = [(worker.stdout, sys.stdout), (worker.stderr, sys.stderr)]
    pumps = [threading.Thread(target=_pass_on, args=pair, daemon=True) for pair in pipes]
    for pump in pumps:
        pump.start()
    code = worker.wait()
    for pump in pumps:
        pump.join()
    _workers.remove(worker)
    if code == -signal.SIGABRT:
        raise InputError(
            f"the coordinator ({address or 'as the environment says'}) or another process cannot "
            f"be reached, or is gone; start all of them again."
        )
    return _exit_code(code)


def _exit_code(code: int) -> int:
    """Returns a shell's exit code: 128 + number for a process that a signal ended."""
    return code if code >= 0 else 128 - code


def end_workers() -> int | None:
    """Ends the worker, which may save first; returns its exit code, None without one in time."""
    code = None
    for worker in list(_workers):
        worker.terminate()
        try:
            code = _exit_code(worker.wait(_END_S))
        except subprocess.TimeoutExpired:
            worker.kill()
    return code


def _wait_for_listener(address: str) -> None:
    """Waits until a process listens at `address`."""
    host, _, port = address.rpartition(":")
    latest = time.monotonic() + _CONNECT_S
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError as error:
            if time.monotonic() < latest and not isinstance(error, socket.gaierror):
                time.sleep(_RETRY_S)
                continue
            raise InputError(
                f"coordinator {address}: cannot be reached ({error.strerror or error}); start "
                f"process 0 there, or correct --coordinator."
            ) from error
        return


def _pass_on(source: IO[str], sink: IO[str]) -> None:
    """Writes the lines of `source` to `sink`, without those of JAX's C++ parts."""
    for line in source:
        if not _NOISE.match(line) and not line.startswith(_MORE_NOISE) and line.strip():
            sink.write(line)
            sink.flush()
