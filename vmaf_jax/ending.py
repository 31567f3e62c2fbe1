"""How the program ends when it is told to: at once, with no process and no temporary folder left.

Python runs signal handlers between its own instructions, which a long compilation holds up. So the
interpreter writes a signal's number into a socket, and a thread that reads it does the rest.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from vmaf_jax.printable import printable
from vmaf_jax.stopping import SAVED, outcome, save_first

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
