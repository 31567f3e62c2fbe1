"""Errors that end a command, and their exit codes.

`InputError` (exit 2): something the user can fix; its text is one line that names the thing, what
is wrong and the fix. `GateError` (exit 1): a figure missed its limit; its text gives both.
Any other exception is a bug and shows its traceback.

The base installation scores, extracts and evaluates; other packages come with extras, such as
`train`, and the import of a missing one is an InputError too.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator

_EXTRA_OF = {
    **dict.fromkeys(("jax", "flax", "optax", "orbax", "jax2onnx", "matplotlib"), "train"),
    **dict.fromkeys(("mcp", "anyio"), "mcp"),
    "ray": "ray",
    **dict.fromkeys(("torch", "torchmetrics"), "torch"),
}


class InputError(ValueError):
    """Bad input or environment; ends a command with exit code 2."""


class OtherFeaturesError(InputError):
    """A sound model over features that this program does not measure."""


class GateError(RuntimeError):
    """A figure missed its limit; ends a command with exit code 1."""


class WorkerEndedError(Exception):
    """The end of a process that did this one's work, and has printed the reason.

    Attributes:
        code: Its exit code, which becomes that of the program.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Returns a sentence that names the known name nearest to a mistyped one.

    It begins with a blank, to be appended to a message; empty where no name is near.
    """
    names = list(choices)
    near = difflib.get_close_matches(name, names, 1)
    return "" if name in names or not near else f" Did you mean {near[0]}?"


def check_choice(what: str, name: str, choices: Iterable[str]) -> None:
    """Checks that a name is one of `choices`.

    Args:
        what: Begins the message: the option and the name, as `--engine dask`.

    Raises:
        InputError: It is none of them; the message lists them, and says which is nearest.
    """
    names = list(choices)
    if name not in names:
        near = did_you_mean(name, names)
        raise InputError(f"{what}: expected one of {', '.join(names)}.{near}")


def install_extra(extra: str) -> str:
    """Returns the command that installs an extra, and where to run it."""
    return f"pip install '.[{extra}]' in a clone of vmaf-jax"


@contextlib.contextmanager
def name_missing_extra() -> Iterator[None]:
    """Turns the import of a missing optional package into a line that names its extra.

    Raises:
        InputError: A package of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF:
            raise
        extra = _EXTRA_OF[package]
        raise InputError(
            f"this needs the extra {extra} ({package} is not installed): {install_extra(extra)}."
        ) from error
