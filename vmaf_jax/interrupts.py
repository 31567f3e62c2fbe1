"""Ending on signals: at once, or after the state of a training is saved.

The thread that hears a signal asks (`save_first`); the thread that trains looks (`requested`)
between two short calls of its program, saves, and says so (`saved`).

Python runs signal handlers between its own instructions, which a long compilation holds up. So the
interpreter writes a signal's number into a socket, and a thread that reads it does the rest.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from vmaf_jax.printable import printable

SAVED = 4  # exit code: told to end, and the state of the training is saved
_WAIT_S, _LOOK_S = 60.0, 0.05
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>

_outcome: list[str] = []  # what an interruption leaves behind, where it is not the usual
_saving = threading.Event()  # somebody looks
_requested = threading.Event()
_saved = threading.Event()


def leaves_behind(text: str) -> None:
    """Says what an interruption leaves behind, for the line that people then read."""
    _outcome[:] = [text]


def outcome(usual: str) -> str:
    """What an interruption leaves behind; `usual` where nobody said otherwise."""
    return _outcome[0] if _outcome else usual


def begin_looking() -> None:
    """From here on this program looks at `requested`, and saves."""
    _saving.set()


def end_looking() -> None:
    """From here on it does not."""
    _saving.clear()


def requested() -> bool:
    """Whether the program is to save and end."""
    return _requested.is_set()


def saved() -> None:
    """The state is on disk; waits for the end of the program, if it was asked for."""
    if requested():
        _saved.set()
        threading.Event().wait()


def end_saved() -> None:
    """The state is on disk and a process of this training is to end: this one ends too."""
    if not requested():
        signal.raise_signal(signal.SIGTERM)
        _requested.wait(_WAIT_S)
    saved()


def save_first() -> bool:
    """Has the state saved, where somebody looks; whether it was."""
    _requested.set()
    latest = time.monotonic() + _WAIT_S
    while _saving.is_set() and time.monotonic() < latest:
        if _saved.wait(_LOOK_S):
            return True
    return False


def end_with_parent() -> None:
    """Has the system send SIGTERM to this process when the one that started it is gone (Linux).

    Where the system cannot, nothing happens: watch a pipe as well.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


_SAVED_TEXT = b"vmaf-jax: interrupted; the training is saved, run it again to go on.\n"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ends_at_once(clean_up: Callable[[], int | None], message: str) -> Iterator[None]:
    """While the block runs, a signal ends the program with exit code 128 + its number.

    A training that can be saved is saved first, and the exit code is then `SAVED`.

    Args:
        clean_up: called first, in another thread than the block's; it gives the exit code of a
            process that worked in this one's place, and has said what became of it.
        message: written to standard error after an interruption.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        numbers = reader.recv(1)
        if not numbers or numbers[0] == 0:
            return
        saved = save_first()
        code = clean_up()
        if code is not None:
            os._exit(code)
        if saved:
            with contextlib.suppress(OSError):
                os.write(2, _SAVED_TEXT)
            os._exit(SAVED)
        with contextlib.suppress(OSError, ValueError):
            os.write(
                2,
                f"vmaf-jax: interrupted; {printable(outcome(message))}\n".encode(errors="replace"),
            )
        os._exit(128 + numbers[0])

    before = {number: signal.signal(number, _nothing) for number in SIGNALS if _heeded(number)}
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in before.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):
            writer.send(b"\0")
        watcher.join()
        writer.close()
        reader.close()


def _heeded(number: int) -> bool:
    """Whether the program's caller wants the signal heeded (`nohup` does not want SIGHUP so)."""
    return signal.getsignal(number) != signal.SIG_IGN


def _nothing(number: int, frame: object) -> None:
    """Lets the watching thread act."""


def escape_output() -> None:
    """Lets text that a terminal's encoding lacks be written escaped, not fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
