"""Places of feature tables: paths of this machine, and addresses of other filesystems.

An address begins with a scheme, as `s3://bucket/folder`, and is opened by fsspec with the package
that the scheme takes, which finds credentials where its users keep them (environment, profiles).
Addresses are kept in run folders and shown in messages, so that one with credentials is refused.
"""

import contextlib
import dataclasses
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(r"(secret|password|passwd|token|signature|sig|credential|key)[^=&]*=", re.I)


def locate(place: str | Path) -> "Place":
    """Returns what is at a path or at an address of another filesystem; a path is not looked at.

    Raises:
        InputError: an address whose scheme is unknown or takes a package that is missing, that
            cannot be reached, or where there is nothing.
    """
    place = parse_place(place)
    if isinstance(place, Path):
        return place
    name = place.partition("?")[0].rstrip("/")
    with one_line_errors(name):
        filesystem, path = _open(place)
        if not filesystem.exists(path):
            raise InputError(f"{name}: no such folder of shards, or table; check the address.")
        return Remote(filesystem, path, name, filesystem.isdir(path))


def parse_place(text: str | Path) -> str | Path:
    """Returns an address as it is, and anything else as a path.

    Raises:
        InputError: an address with credentials in it; the message does not show them.
    """
    if isinstance(text, Path) or (scheme := _SCHEME.match(text)) is None:
        return Path(text)
    server, _, query = text[scheme.end() :].partition("?")
    after_user = server.split("/")[0].partition(":")[2]  # a port, or a password
    if ("@" in server and not after_user.isdecimal() and after_user) or _SECRET.search(query):
        raise InputError(
            f"{scheme[0]}...: an address with credentials in it, which runs would keep; take them "
            f"out, and set them in the environment (AWS_ACCESS_KEY_ID, for one)."
        )
    return text


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file or a folder on a filesystem that an address named.

    Attributes:
        filesystem: fsspec's.
        path: on it.
        name: its address, for people.
        folder: whether it is one.
    """

    filesystem: Any
    path: str
    name: str
    folder: bool

    def __str__(self) -> str:
        return self.name

    def is_dir(self) -> bool:
        """Returns whether it is a folder."""
        return self.folder

    def is_file(self) -> bool:
        """Returns whether it is a file."""
        return not self.folder

    def files(self, ending: str) -> list["Remote"]:
        """Lists the files below the folder whose name ends so, at any depth, in order of paths.

        Names that begin with a dot or an underscore are left out, and what lies in folders of such.

        Raises:
            InputError: the filesystem does not list it.
        """
        with one_line_errors(self):
            paths = self.filesystem.find(self.path)
        start = self.path.strip("/")
        below = sorted(path.strip("/").removeprefix(start).strip("/").split("/") for path in paths)
        return [
            Remote(self.filesystem, f"{self.path}/{name}", f"{self.name}/{name}", False)
            for parts in below
            if (name := "/".join(parts)).endswith(ending)
            and not any(part[:1] in "._" for part in parts)
        ]

    def read_below(self, name: str, most: int) -> bytes | None:
        """Returns the first `most` bytes of a file of the folder; None where it has no such file.

        Raises:
            InputError: it cannot be read.
        """
        path = f"{self.path}/{name}"
        with one_line_errors(self):
            if not self.filesystem.isfile(path):
                return None
            return bytes(self.filesystem.cat_file(path, end=most))


Place = Path | Remote


def for_pyarrow(place: Place) -> tuple[str | Path, Any]:
    """Returns a file as pyarrow takes it: its path and its filesystem, None for this machine's."""
    return (place, None) if isinstance(place, Path) else (place.path, place.filesystem)


@contextlib.contextmanager
def one_line_errors(place: object) -> Iterator[None]:
    """Raises whatever a remote filesystem raises as one line that begins with `place`.

    Errors of a path of this machine are left as they are.

    Raises:
        InputError: of what is raised within.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each package of a filesystem raises its own kinds
        if isinstance(place, Path):
            raise
        line = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:200]
        raise InputError(
            f"{place}: cannot be read ({line}); check the address, and that this machine may."
        ) from error


def _open(address: str) -> tuple[Any, str]:
    """Returns the filesystem of an address, and the path on it."""
    scheme = address.partition("://")[0]
    if scheme == "file":  # a URI with escapes (`Path.as_uri`), which fsspec takes literally
        address = urllib.parse.unquote(address)
    try:
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(address)
    except ImportError as error:
        package = (getattr(error.__cause__ or error, "name", None) or "fsspec").partition(".")[0]
        raise InputError(
            f"{address}: {scheme}:// takes the package {package}, which is missing; pip install "
            f"{package}."
        ) from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise InputError(
            f"{address}: unknown scheme {scheme!r}; expected one of fsspec, such as file, s3, gs "
            f"or abfs, or a folder."
        ) from error
    return filesystem, path.rstrip("/")
