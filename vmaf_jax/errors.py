"""The two ways a command ends badly, and their exit codes.

`InputError` (exit 2): something the user can mend; its text is one line that names the thing, what
is wrong and the mend. `GateError` (exit 1): a figure missed its limit; its text gives both.
Anything else that escapes is a bug and shows its traceback.
"""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input or environment; ends a command with exit code 2."""


class OtherFeaturesError(InputError):
    """A sound model that takes features which are not to be had here."""


class GateError(RuntimeError):
    """A figure missed its limit; ends a command with exit code 1."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A sentence to end a message with: the known name that a mistyped one is nearest to.

    Begins with a blank; empty where the name is known, or near to none.
    """
    names = list(choices)
    near = difflib.get_close_matches(name, names, 1)
    return "" if name in names or not near else f" Did you mean {near[0]}?"
