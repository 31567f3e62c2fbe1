"""Where feature tables are read: paths of this machine, and addresses of other filesystems.

An address begins with a scheme, as `s3://bucket/folder`. pyarrow opens `file`, `s3`, `gs`, `hdfs`
and `abfs`; what it has not is opened by fsspec, with the package that the scheme takes. Both find
credentials where their users keep them (environment, profiles): addresses are kept in run folders
and shown in messages, and none with credentials is taken.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(r"(secret|password|passwd|token|signature|sig|credential|key)[^=&]*=", re.I)
_OF_PYARROW = ("file", "s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file or a folder on a filesystem that an address named.

    Attributes:
        filesystem: of pyarrow.
        path: there.
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
        """Whether it is a folder."""
        return self.folder

    def is_file(self) -> bool:
        """Whether it is a file."""
        return not self.folder

    def files(self, ending: str) -> list["Remote"]:
        """Every file below the folder whose name ends so, at any depth, by the parts of its path.

        Names that begin with a dot or an underscore are left out, and what lies in folders of such.

        Raises:
            InputError: the filesystem does not list it.
        """
        from pyarrow.fs import FileSelector, FileType

        with refused_in_a_line(self):
            entries = self.filesystem.get_file_info(FileSelector(self.path, recursive=True))
        start = self.path.strip("/")
        below_it = []
        for entry in entries:
            below = entry.path.strip("/").removeprefix(start).strip("/")
            parts = below.split("/")
            hidden = any(part[:1] in "._" for part in parts)
            if entry.type == FileType.File and below.endswith(ending) and not hidden:
                file = Remote(self.filesystem, entry.path, f"{self.name}/{below}", False)
                below_it.append((parts, file))
        return [file for _, file in sorted(below_it, key=lambda pair: pair[0])]

    def read_below(self, name: str, most: int) -> bytes | None:
        """The first `most` bytes of a file of the folder; None where it has no such file.

        Raises:
            InputError: it cannot be read.
        """
        from pyarrow.fs import FileType

        path = f"{self.path.rstrip('/')}/{name}"
        with refused_in_a_line(self):
            if self.filesystem.get_file_info(path).type != FileType.File:
                return None
            with self.filesystem.open_input_file(path) as file:
                return bytes(file.read(most))


Place = Path | Remote


def place_of(text: str | Path) -> str | Path:
    """An address as it is, and anything else as a path.

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


def find(place: str | Path) -> Place:
    """What is at a path, or at an address of another filesystem; a path is not looked at.

    Raises:
        InputError: an address whose scheme is unknown or takes a package that is missing, that
            cannot be reached, or where there is nothing.
    """
    place = place_of(place)
    if isinstance(place, Path):
        return place
    from pyarrow.fs import FileType

    name = place.partition("?")[0].rstrip("/")
    with refused_in_a_line(name):
        filesystem, path = _open(place)
        kind = filesystem.get_file_info(path).type
    if kind == FileType.NotFound:
        raise InputError(f"{name}: no such folder of shards, or table; check the address.")
    return Remote(filesystem, path, name, kind == FileType.Directory)


def on_filesystem(place: Place) -> tuple[str | Path, Any]:
    """A file as pyarrow takes it: its path, and its filesystem, None for this machine's."""
    return (place, None) if isinstance(place, Path) else (place.path, place.filesystem)


@contextlib.contextmanager
def refused_in_a_line(place: object) -> Iterator[None]:
    """Whatever a filesystem raises as one line that begins with `place`; as it is, of a path.

    Raises:
        InputError: what is raised within.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of some library that a filesystem is made of
        if isinstance(place, Path):
            raise
        line = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:200]
        raise InputError(
            f"{place}: cannot be read ({line}); check the address, and that this machine may."
        ) from error


def _open(address: str) -> tuple[Any, str]:
    """The filesystem of an address, and the path on it."""
    import pyarrow as pa
    from pyarrow import fs

    if address.partition("://")[0].lower() in _OF_PYARROW:
        with contextlib.suppress(pa.ArrowNotImplementedError):  # one that was built without it
            return fs.FileSystem.from_uri(address)
    return _by_fsspec(address)


def _by_fsspec(address: str) -> tuple[Any, str]:
    from pyarrow import fs

    scheme = address.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise _missing(address, scheme, "fsspec") from error
    try:
        opened, path = url_to_fs(address)
    except ImportError as error:
        package = getattr(error.__cause__ or error, "name", None) or "fsspec[full]"
        raise _missing(address, scheme, str(package).partition(".")[0]) from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise InputError(
            f"{address}: unknown scheme {scheme!r}; known are {', '.join(_OF_PYARROW)}, and "
            f"those of fsspec; name one, or a folder."
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(opened)), path


def _missing(address: str, scheme: str, package: str) -> InputError:
    return InputError(
        f"{address}: {scheme}:// takes the package {package}, which is missing; pip install "
        f"{package}."
    )
