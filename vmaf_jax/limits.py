"""How large inputs may be, looked at before they are read, and raised by the environment."""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from vmaf_jax.errors import InputError


def limit(name: str, default: int) -> int:
    """A size or count that inputs keep to: `VMAF_JAX_MAX_<name>`, else `default`.

    Raises:
        InputError: the variable is no whole number above 0.
    """
    variable = f"VMAF_JAX_MAX_{name}"
    text = os.environ.get(variable, str(default))
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", text):
        raise InputError(
            f"{variable}={text[:40]}: expected a whole number above 0, of at most 18 digits."
        )
    return int(text)


def read_limited(path: Path, name: str, default: int) -> bytes:
    """The bytes of a regular file that is not larger than its kind ever is.

    Args:
        name, default: of its limit in bytes, as `limit` has them.

    Raises:
        InputError: missing, unreadable, no regular file, or too large.
    """
    most = limit(name, default)
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = file.read(most + 1) if size <= most else b""
        except OSError as error:
            raise InputError(f"{path}: cannot read ({error.strerror}); check it.") from error
    if (size := max(size, len(content))) > most:
        raise InputError(
            f"{path}: {size} bytes, at most {most} are read; check the name, or set "
            f"VMAF_JAX_MAX_{name}."
        )
    return content


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading; never waits, as a FIFO would have it.

    Raises:
        InputError: missing, unreadable, or no regular file.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot read ({reason}); check the name.") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise InputError(f"{path}: not a regular file; name one.")
    return os.fdopen(number, "rb")
