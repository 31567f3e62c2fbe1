"""How large inputs may be, looked at before they are read, and raised by the environment."""

import os
import stat
from pathlib import Path

from vmaf_jax.errors import InputError


def limit(name: str, default: int) -> int:
    """A size or count that inputs keep to: `VMAF_JAX_MAX_<name>`, else `default`.

    Raises:
        InputError: the variable is no whole number above 0.
    """
    variable = f"VMAF_JAX_MAX_{name}"
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or not int(text):
        raise InputError(f"{variable}={text}: expected a whole number above 0.")
    return int(text)


def read_limited(path: Path, name: str, default: int) -> bytes:
    """The bytes of a regular file that is not larger than its kind ever is.

    Args:
        name, default: of its limit in bytes, as `limit` has them.

    Raises:
        InputError: missing, unreadable, no regular file, or too large.
    """
    most = limit(name, default)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a regular file; name one.")
        if status.st_size > most:
            raise InputError(
                f"{path}: {status.st_size} bytes, at most {most} are read; check the name, or set "
                f"VMAF_JAX_MAX_{name}."
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot read ({reason}); check the name.") from error
