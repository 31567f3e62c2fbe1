"""A worker: a process that runs calls one after the other, with JAX and models loaded.

    python -m vmaf_jax.serving.worker FOLDER BYTES OUT ALLOW ...

It reads a JSON line a call from standard input, `{"tool", "arguments"}`, and writes JSON lines:
`{"ready"}` once, `{"message"}` when a stage of a call begins, then `{"result", "pictures"}` or
`{"error"}`. What a job prints goes to standard error. The worker leads a process group of its own,
which its ffmpeg runs belong to: ending the group ends them all. When whoever started it is gone, or
SIGTERM comes, it ends the group itself, whatever it computes. FOLDER is for its temporary files; it
is made before and removed with the worker. Files that a list names are read below OUT and the ALLOW
folders, of at most BYTES each, as all others are.
"""

import base64
import contextlib
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
from typing import Any, TextIO

from vmaf_jax.environment import prepare_training
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.interrupts import end_with_parent
from vmaf_jax.printable import log_to_terminal
from vmaf_jax.serving.settings import Settings

_END_S = 2.0  # after which a group that was asked to end is made to


class Wire:
    """JSON lines to whoever started this worker; also the `Progress` of its jobs."""

    def __init__(self, file: TextIO) -> None:
        """Writes to `file`."""
        self._file = file
        self._lock = threading.Lock()  # clips are reported from several threads

    def send(self, message: dict[str, Any]) -> None:
        """Writes one message."""
        with self._lock:
            self._file.write(json.dumps(message, allow_nan=False) + "\n")
            self._file.flush()

    def say(self, text: str) -> None:
        """A stage begins."""
        self.send({"message": text})

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """A message for each clip that was measured."""
        done = 0

        def on_clip(frames: int) -> None:
            nonlocal done
            done += 1
            self.say(f"{done} of {len(clips)} clips measured, {frames} frames in the last")

        return on_clip

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Nobody is shown."""
        return None


def answer(line: str, wire: Wire, settings: Settings) -> dict[str, Any]:
    """The last message of a call."""
    from vmaf_jax.serving.catalogue import TOOLS
    from vmaf_jax.serving.requests import check_lists
    from vmaf_jax.serving.tools import RUN

    call = json.loads(line)
    name = call["tool"]
    try:
        request = TOOLS[name].request.model_validate(call["arguments"])
        check_lists(request, settings)
        done = RUN[name](request, wire)
    except (InputError, GateError) as error:
        return {"error": " ".join(str(error).split())}
    except MemoryError:
        return {"error": f"{name}: out of memory; give shorter or smaller videos."}
    except Exception:  # a bug: its traceback is for whoever runs the server
        traceback.print_exc()
        return {"error": f"{name}: failed unexpectedly; the server's standard error says where."}
    pictures = [base64.b64encode(picture).decode() for picture in done.pictures]
    return {"result": done.result.model_dump(mode="json"), "pictures": pictures}


def main() -> None:
    """Runs calls until standard input ends or SIGTERM comes; it never returns."""
    folder, max_bytes, out, *allow = sys.argv[1:]
    settings = Settings(tuple(map(Path, allow)), Path(out), max_bytes=int(max_bytes))
    log_to_terminal()
    _heed_sigterm(folder)
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides; no byte wakes the thread
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    wire = Wire(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a device)
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    calls: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, calls), daemon=True).start()
    try:
        _prepare()
        with contextlib.suppress(BrokenPipeError):
            wire.send({"ready": True})
            while True:
                wire.send(answer(calls.get(), wire, settings))
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        _end_group(folder)


def _end_group(folder: str) -> None:
    """Ends this process and all that it started, now: the interpreter's own end waits for JAX."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _prepare() -> None:
    """Loads what every call needs, so that the first does not wait for it."""
    prepare_training()
    import jax

    import vmaf_jax.scoring.score
    import vmaf_jax.serving.tools  # noqa: F401

    jax.devices()


def _listen(lines: TextIO, calls: "queue.SimpleQueue[str]") -> None:
    """Hands calls on; ends everything when there can be no more of them."""
    try:
        for line in lines:
            calls.put(line)
    finally:
        os.killpg(0, signal.SIGTERM)


def _heed_sigterm(folder: str) -> None:
    """Has SIGTERM end the group: `finally` blocks remove what is half-written, but not for long.

    The main thread may be in a compiled program for hours, where no handler of Python's runs; the
    interpreter wakes another thread at once.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def insist() -> None:
        reader.recv(1)
        time.sleep(_END_S)
        _end_group(folder)

    def leave(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(0)

    threading.Thread(target=insist, daemon=True).start()
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, leave)


if __name__ == "__main__":
    main()
