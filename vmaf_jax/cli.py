"""The command line: its commands, and how each of them ends.

Text for people goes to standard error, results to standard output. Exit codes: 0 done, 1 a gate
failed, 2 bad input or environment, 3 standard output cannot be written, 4 ended by a signal with
the training saved; 128 and more, a signal.
"""

import atexit
import contextlib
import errno
import gc
import os
import resource
import sys
from typing import Annotated, Any

import typer

from vmaf_jax.commands.program import Program, run_program
from vmaf_jax.errors import GateError, InputError, WorkerEndedError, name_missing_extra
from vmaf_jax.interrupts import end_on_signals
from vmaf_jax.printable import escape_output, log_to_terminal, printable

app = typer.Typer(
    help="Train, verify and deploy tiny VMAF-class video quality predictors.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Program,
    rich_markup_mode=None,
)
_UsageError: Any = typer.BadParameter.__mro__[2]  # Click's exception, which Typer keeps private

_INPUT_ERROR, _GATE_MISSED, _NO_OUTPUT = 2, 1, 3  # exit codes
_BROKEN_PIPE = 141  # as a program that SIGPIPE ended
_UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EBADF)  # of standard output: no file is named
_TOO_LITTLE = "not enough memory; use a smaller batch, fewer rows or smaller pictures."
_NO_MEMORY = (  # in messages of libraries that ran out of it
    "resource_exhausted",
    "out of memory",
    "bad_alloc",
    "cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
)
# MiB of addresses that libraries reserve before any work, measured on two cores. With fewer they
# abort, or wait for a thread that never started, inside C++ where no handler of ours runs.
_ADDRESSES = 1500
_ADDRESSES_OF_JAX = 3900
_WITHOUT_JAX = frozenset(
    ("score", "encode", "extract", "doctor", "ladder", "import", "report", "calibrate", "check")
)
_AFTER_INTERRUPTION = {
    **dict.fromkeys(
        ("score", "extract", "evaluate", "compare-backends"),
        "run it again, what was measured is kept.",
    ),
    "train": "run it again, saved states, if any, are kept.",
    "encode": "nothing was written; run it again, what was measured is kept.",
    "select": "run it again, finished programs are kept.",
}


def _show_version(wanted: bool | None) -> None:
    if wanted:
        from vmaf_jax.commands.installation import version_lines

        print("\n".join(version_lines()))
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool | None,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show versions and exit."
        ),
    ] = None,
) -> None:
    """Train, verify and deploy tiny VMAF-class video quality predictors."""


def main(arguments: list[str] | None = None, *, leave: bool = True) -> None:
    """Runs a command and exits with its code.

    Args:
        arguments: Words of the command line, by default the process's own.
        leave: Whether the process is to end on success and on signals too; a test says False.
    """
    gc.set_threshold(50_000)  # libraries make many objects that stay: 5 % of a cached score's time
    if leave:
        # Else Python searches all of them for garbage once more: a quarter of a short command.
        atexit.register(gc.freeze)
    log_to_terminal()
    escape_output()
    words = sys.argv[1:] if arguments is None else arguments
    message = _AFTER_INTERRUPTION.get(words[0] if words else "", "nothing was written.")
    with end_on_signals(_clean_up, message) if leave else contextlib.nullcontext():
        code = _run(words)
    if leave or code:
        sys.exit(code)


def _clean_up() -> int | None:
    """Ends what was started; returns the exit code of a worker that did this program's work."""
    from vmaf_jax.commands.distributed import end_workers
    from vmaf_jax.files import remove_work_folders
    from vmaf_jax.video.ffmpeg import kill_all

    kill_all()
    code = end_workers()
    if (cluster := sys.modules.get("vmaf_jax.extraction.ray")) is not None:
        cluster.leave_cluster()
    remove_work_folders()
    return code


def _run(words: list[str]) -> int:
    """Runs a command; returns its exit code, after a line for people where it failed."""
    try:
        _check_addresses(words)
        code = _run_app(words)
        if code == 1:  # of a closed pipe, by Typer and Rich; a missed gate is a GateError
            return _BROKEN_PIPE
        return code if _flush_output() else _NO_OUTPUT
    except InputError as error:
        return _fail(str(error), _INPUT_ERROR)
    except GateError as error:
        return _fail(str(error), _GATE_MISSED)
    except WorkerEndedError as worker:
        return worker.code
    except BrokenPipeError:
        return _BROKEN_PIPE
    except MemoryError:
        return _fail(_TOO_LITTLE, _INPUT_ERROR)
    except (OSError, RuntimeError, ImportError) as error:
        if isinstance(error, OSError) and not error.filename and error.errno in _UNWRITABLE:
            return _give_up_output(error.strerror)
        if (line := _describe_machine_failure(error)) is None:
            raise
        return _fail(line, _INPUT_ERROR)


def _run_app(words: list[str]) -> int:
    """Runs a command; returns the exit code that Typer gives it. Wrong words are shown escaped."""
    try:
        with name_missing_extra():
            code = run_program(app, words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except _UsageError as error:
        from typer.rich_utils import rich_format_error  # slow to load

        error.message = printable(error.message, keep="\n\t")
        rich_format_error(error)
        return int(error.exit_code)
    return code if isinstance(code, int) else 0


def _check_addresses(words: list[str]) -> None:
    """Raises InputError where `ulimit -v` leaves the process fewer addresses than libraries take.

    A run folder as `--model` and a backend or file of JAX load JAX; the words do not tell more.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if not words or {"--help", "--version"} & set(words) or most == resource.RLIM_INFINITY:
        return
    loads_jax = any(word.startswith("--model") or "jax" in word for word in words)
    need = _ADDRESSES if words[0] in _WITHOUT_JAX and not loads_jax else _ADDRESSES_OF_JAX
    if most < need << 20:
        raise InputError(
            f"this process may have {most >> 20} MiB of addresses (ulimit -v), `{words[0]}` takes "
            f"{need} at least; raise the limit, or bound resident memory instead."
        )


def _describe_machine_failure(error: Exception) -> str | None:
    """Returns a line on a failure of the machine or of its settings; None for a bug."""
    if isinstance(error, OSError) and error.errno is not None:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}; check the name, its permissions and free space."
    text = str(error)
    if any(words in text.lower() for words in _NO_MEMORY):
        return _TOO_LITTLE
    if "Gloo" in text or "coordination service" in text:
        return "another process of the training is gone; start all of them again."
    if "Unable to initialize backend" in text:
        return f"JAX cannot start ({text.splitlines()[0]}); unset JAX_PLATFORMS or install it."
    return None


def _fail(text: str, code: int) -> int:
    """Prints a line for people on standard error, escaped; returns `code`."""
    with contextlib.suppress(OSError, ValueError):
        print(f"vmaf-jax: {printable(' '.join(text.split()))}", file=sys.stderr)
    return code


def _flush_output() -> bool:
    """Returns whether standard output took all that was written to it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return False
    except (OSError, ValueError) as error:
        _give_up_output(error)
        return False
    return True


def _give_up_output(reason: object) -> int:
    """Tells that standard output cannot be written; returns the exit code."""
    _discard_output()
    return _fail(f"standard output: cannot be written ({reason}).", _NO_OUTPUT)


def _discard_output() -> None:
    """Replaces standard output, which Python would flush, and complain about, at exit."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (until the program ends)
