"""A worker: a process that runs calls one after the other, with JAX and models loaded.

    python -m vmaf_jax.serving.worker FOLDER BYTES OUT ALLOW ...

It reads one JSON line per call from standard input, `{"tool", "arguments"}`, and writes JSON lines:
`{"ready", "schemas"}` once, `{"message"}` when a stage of a call begins, then `{"result",
"pictures"}` or `{"error"}`. What a job prints goes to standard error. FOLDER is for its temporary
files; the pool makes it, and the worker removes it when it ends. Files that a list names are read
below OUT and the ALLOW folders, of at most BYTES each, like all others.

The worker leads a process group of its own, which its ffmpeg runs belong to: ending the group ends
them all. When its parent is gone, or SIGTERM comes, it ends the group itself, whatever it computes.
"""

import base64
import importlib.util
import json
import os
import queue
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from vmaf_jax.environment import prepare_training
from vmaf_jax.errors import GateError, InputError, name_missing_extra
from vmaf_jax.interrupts import end_with_parent
from vmaf_jax.printable import format_count, log_to_terminal
from vmaf_jax.serving.path_policy import Settings
from vmaf_jax.serving.requests import TOOLS

# The SDK's client refuses events above 1 MiB over HTTP; base64 takes a third more than these.
MAX_PICTURES = 550_000  # bytes of the pictures of an answer
_END_S = 2.0  # for `finally` blocks to remove what is half-written, before the group is killed


class Wire:
    """JSON lines to the server that started this worker; also the `Progress` of its jobs."""

    def __init__(self, file: TextIO) -> None:
        """Writes to `file`."""
        self._file = file
        self._lock = threading.Lock()  # clips are measured, and reported, by several threads

    def send(self, message: dict[str, object]) -> None:
        """Writes one message."""
        with self._lock:
            self._file.write(json.dumps(message, allow_nan=False) + "\n")
            self._file.flush()

    def say(self, text: str) -> None:
        """Sends the name of a stage that begins."""
        self.send({"message": text})

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Returns a function that sends a message for each measured clip."""
        done = 0

        def on_clip(frames: int) -> None:
            nonlocal done
            done += 1
            self.say(
                f"{done} of {format_count(len(clips), 'clip')} measured, "
                f"{format_count(frames, 'frame')} in the last"
            )

        return on_clip

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Returns None: steps are not sent."""
        return None


def run_call(line: str, wire: Wire, settings: Settings) -> dict[str, object]:
    """Runs the call of one line and returns its last message."""
    from vmaf_jax.serving.tools import WORK

    call = json.loads(line)
    name = call["tool"]
    try:
        request = TOOLS[name].request.model_validate(call["arguments"])
        request.check_lists(settings)
        work = WORK[type(request)]
        with name_missing_extra():
            answer = work.run(request, wire)
        result = work.to_plain(answer.result)
    except (InputError, GateError) as error:
        return {"error": " ".join(str(error).split())}
    except MemoryError:
        return {"error": f"{name}: out of memory; give shorter or smaller videos."}
    except Exception:  # a bug: its traceback is for whoever runs the server
        traceback.print_exc()
        return {"error": f"{name}: failed unexpectedly; the server's standard error says where."}
    pictures = [base64.b64encode(picture).decode() for picture in _fit(answer.pictures)]
    return {"result": result, "pictures": pictures}


def _fit(pictures: Sequence[bytes]) -> Sequence[bytes]:
    """Returns pictures that fit an answer; few answers have so many that they are read at all."""
    if sum(map(len, pictures)) <= MAX_PICTURES:
        return pictures
    from vmaf_jax.reporting.plots import shrink_pictures

    return shrink_pictures(pictures, MAX_PICTURES)


def main() -> None:
    """Runs calls until standard input ends or SIGTERM comes; it never returns."""
    folder, max_bytes, out, *allow = sys.argv[1:]
    settings = Settings(tuple(map(Path, allow)), Path(out), max_bytes=int(max_bytes))
    log_to_terminal()
    _end_on_sigterm(folder)
    end_with_parent()
    # Control-C reaches every process of a terminal; the server decides when its workers end. A
    # handler of Python's would write to the wake-up socket, which is for SIGTERM alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Both descriptors are taken from the rest of the process, whose prints would break the protocol
    # and whose ffmpeg runs would read calls.
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    wire = Wire(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a device)
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    calls: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_calls, args=(lines, calls), daemon=True).start()
    try:
        wire.send({"ready": True, "schemas": _prepare()})
        while True:
            wire.send(run_call(calls.get(), wire, settings))
    except (SystemExit, BrokenPipeError):
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        _end_group(folder)


def _end_group(folder: str) -> None:
    """Kills this process and all that it started; a normal exit would wait for JAX's programs."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _prepare() -> dict[str, dict[str, object]]:
    """Loads what every call needs, before the first one waits for it; returns schemas of results.

    Schemas are written here because the dataclasses of results belong to the jobs, whose libraries
    the server does not load.
    """
    if importlib.util.find_spec("jax") is not None:
        prepare_training()  # starts JAX
    from vmaf_jax.serving.tools import output_schemas

    return output_schemas()


def _read_calls(lines: TextIO, calls: "queue.SimpleQueue[str]") -> None:
    """Passes calls on, and ends the group once there can be no more of them."""
    try:
        for line in lines:
            calls.put(line)
    finally:
        os.killpg(0, signal.SIGTERM)


def _end_on_sigterm(folder: str) -> None:
    """Makes SIGTERM end the group, within `_END_S` even while a compiled program runs.

    The main thread may be in such a program for hours, and handlers of Python's run in the main
    thread only; the interpreter writes to the wake-up socket at once, which another thread reads.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def kill_late() -> None:
        reader.recv(1)
        time.sleep(_END_S)
        _end_group(folder)

    def exit_main(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(0)

    threading.Thread(target=kill_late, daemon=True).start()
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, exit_main)


if __name__ == "__main__":
    main()
