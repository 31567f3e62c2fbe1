"""The suite's type checker: beartype, which compiles a check when its function is first called.

Each process of the suite loads all modules; to compile all of their checks takes it four seconds.
"""

from collections.abc import Callable

import beartype


def check(function: Callable) -> Callable:
    """Returns a function that calls `function` with its arguments and its result checked."""
    checked = None

    def check_call(*args, **kwargs):
        nonlocal checked
        if checked is None:
            checked = beartype.beartype(function)
        return checked(*args, **kwargs)

    return check_call
