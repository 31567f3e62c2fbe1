"""Ending on signals: at once, or after the state of a training is saved.

A training opens `interruptible`, asks `save_requested` between two calls of its program, saves, and
then calls `end_if_requested`. Everything else ends as soon as a signal arrives.

Python runs signal handlers between its own instructions, which a long compilation holds up. So the
interpreter writes a signal's number into a pipe, and a thread that reads it does the rest.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

from vmaf_jax.printable import printable

SAVED = 4  # exit code: told to end, and the state of the training is saved
# Seconds that a signal waits for a state. Supervisors commonly kill after 30 to 90; a state of
# many members takes seconds to write, and the call of the program before it up to some tens.
_MAX_WAIT_S = 60.0
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAVED_TEXT = "the training is saved, run it again to go on."

_interruptible = threading.Event()
_save_requested = threading.Event()
_saved = threading.Event()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While open, a signal sets `save_requested()` instead of ending the program.

    The program ends in `end_if_requested`, or after a minute without that call.
    """
    _interruptible.set()
    try:
        yield
    finally:
        _interruptible.clear()


def save_requested() -> bool:
    """Returns whether the program is to save its state and end."""
    return _save_requested.is_set()


def request_save() -> None:
    """Requests what a signal would: another process of this training received one."""
    if not save_requested():
        signal.raise_signal(signal.SIGTERM)
        _save_requested.wait(_MAX_WAIT_S)


def end_if_requested() -> None:
    """Ends the program if `save_requested()`; to be called when its state is on disk."""
    if save_requested():
        _saved.set()
        threading.Event().wait()  # the thread that heard the signal ends the process


def end_with_parent() -> None:
    """Has the system send SIGTERM to this process when the one that started it is gone (Linux).

    Where the system cannot, nothing happens: watch a pipe as well.
    """
    import ctypes  # for workers of a training alone

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def end_on_signals(clean_up: Callable[[], int | None], message: str) -> Iterator[None]:
    """While open, a signal ends the program with exit code 128 + its number.

    A training that can be saved is saved first, and the exit code is then `SAVED`.

    Args:
        clean_up: Called first, in another thread than the block's. Returns the exit code of a
            process that did this program's work and reported how it ended; None without one.
        message: Written to standard error after an interruption: what is left behind.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        numbers = os.read(reader, 1)
        if not numbers or numbers[0] == 0:
            return
        saved = _wait_for_save()
        code = clean_up()
        if code is None:
            text = f"vmaf-jax: interrupted; {printable(_SAVED_TEXT if saved else message)}\n"
            with contextlib.suppress(OSError):
                os.write(2, text.encode(errors="replace"))
            code = SAVED if saved else 128 + numbers[0]
        os._exit(code)

    before = {number: signal.signal(number, _ignore) for number in _SIGNALS if _is_heeded(number)}
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in before.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):
            os.write(writer, b"\0")
        watcher.join()
        os.close(writer)
        os.close(reader)


def _wait_for_save() -> bool:
    """Requests a save and waits for it; returns whether a state was saved."""
    _save_requested.set()
    latest = time.monotonic() + _MAX_WAIT_S
    while _interruptible.is_set() and time.monotonic() < latest:
        if _saved.wait(_POLL_S):
            return True
    return False


def _is_heeded(number: int) -> bool:
    """Returns False for a signal that the caller has this program ignore, as `nohup` does."""
    return signal.getsignal(number) != signal.SIG_IGN


def _ignore(number: int, frame: object) -> None:
    """Leaves the signal to the watching thread, which the wakeup descriptor tells of it."""
