"""A request to end that waits until what was trained so far is saved.

The thread that hears a signal asks (`save_first`); the thread that trains looks (`requested`)
between two short calls of its program, saves, and says so (`saved`).
"""

import contextlib
import ctypes
import signal
import threading
import time

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
