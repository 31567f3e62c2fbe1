"""Files written whole or not at all, folders of this program, and limits on the size of inputs.

Every writer goes through `atomic_path`: the content is written beside its destination under a
temporary name and renamed, so a reader never sees half a file and an interruption leaves none.
"""

import contextlib
import dataclasses
import fcntl
import io
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from vmaf_jax.errors import InputError

if TYPE_CHECKING:
    import yaml


def cache_dir() -> Path:
    """Returns the folder of rebuildable files: `VMAF_JAX_CACHE`, else in the user's cache."""
    import platformdirs

    chosen = os.environ.get("VMAF_JAX_CACHE")
    try:
        folder = Path(chosen) if chosen else platformdirs.user_cache_path("vmaf-jax")
        return folder.expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{chosen}: no such user; name a folder for the cache.") from error


def data_folder(name: str) -> Path:
    """Returns a folder of data: in the package, or beside it in a checkout.

    Args:
        name: `checkpoints`, `configs` or `docs`.
    """
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def make_dir(path: Path) -> Path:
    """Creates a folder and its parents.

    Raises:
        InputError: It cannot be created, or a file is in the way.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot create this folder ({error.strerror}); choose another output place."
        ) from error
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Creates a folder and its parents; those of them that are empty at the end are removed.

    A command that fails thus leaves no folder that it made for its result.

    Raises:
        InputError: As `make_dir`.
    """
    made = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        yield make_dir(path)
    finally:
        with contextlib.suppress(OSError):  # the first that is not empty ends it
            for folder in made:
                folder.rmdir()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` that replaces it when the block succeeds.

    The block may create a file or a folder there. On any failure it is removed, and so are folders
    that were made for it.

    Raises:
        InputError: The place is read-only, full, or otherwise not writable.
    """
    check_replaceable(path)
    with new_folder(path.parent):
        yield from _replace(path)


def _replace(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, as `atomic_path`."""
    mark = f"{os.getpid()}-{os.urandom(4).hex()}"
    temporary = path.with_name(f".{path.name[:200]}.{mark}.tmp")
    remove_leftovers(path.parent, f".{path.name[:200]}.", ".tmp")
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            old = path.with_name(f".{path.name[:200]}.{mark}.old")
            path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                old.rename(path)
                raise
            shutil.rmtree(old)
        else:
            temporary.replace(path)
    except InputError as error:  # one of a file in the folder names the place that it is to have
        error.args = (str(error).replace(str(temporary), str(path)),)
        raise
    except OSError as error:
        folders = [Path(folder) for folder in _WORK_FOLDERS]
        if any(f.parent == Path(tempfile.gettempdir()) and f in path.parents for f in folders):
            raise temporary_error(error) from error
        raise InputError(
            f"{path}: cannot write ({error.strerror or error}); free space or choose a writable "
            f"place."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def take_lock(path: Path, busy: str) -> IO[bytes]:
    """Creates the file `path` if need be and locks it; closing the result releases the lock.

    A link is not followed and an existing file is not emptied: anybody who may write into the
    folder could have put them there.

    Args:
        busy: Message where another process holds the lock.

    Raises:
        InputError: Another process holds it, it is a link or no regular file, or it cannot be made.
    """
    # A FIFO is opened at once for reading and writing, a device without waiting for it.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        number = os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise InputError(f"{path}: a link, and is to be a lock; remove it.") from error
        raise InputError(
            f"{path}: cannot be opened as a lock ({error.strerror}); remove it, or choose a "
            f"writable place."
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise InputError(f"{path}: no regular file, and is to be a lock; remove it.")
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fdopen(number, "r+b")
    except BaseException as error:
        os.close(number)
        if isinstance(error, OSError):
            raise InputError(busy) from error
        raise


def remove_leftovers(folder: Path, start: str, end: str = "") -> None:
    """Removes files of killed processes from `folder`: `<start><process id>-...<end>`."""
    names = re.compile(re.escape(start) + r"(\d+)-.*" + re.escape(end))
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            match = names.fullmatch(entry.name)
            if match is None or _is_running(int(match[1])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True


@contextlib.contextmanager
def work_folder(place: Path | None = None) -> Iterator[Path]:
    """Opens a temporary folder; those of killed processes of this program are removed first.

    Args:
        place: Where it is made, hidden; by default among the system's temporary files.

    Raises:
        InputError: No folder can be created.
    """
    try:
        start = "vmaf-jax-" if place is None else ".vmaf-jax-"
        place = place or Path(tempfile.gettempdir())
        remove_leftovers(place, start)
        folder = tempfile.mkdtemp(prefix=f"{start}{os.getpid()}-", dir=place)
    except OSError as error:
        raise temporary_error(error) from error
    _WORK_FOLDERS.add(folder)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _WORK_FOLDERS.discard(folder)


_WORK_FOLDERS: set[str] = set()


def temporary_error(error: OSError) -> InputError:
    """Returns the error of a temporary folder that is full or read-only."""
    return InputError(
        f"no temporary file can be made ({error.strerror or error}); free space, or point TMPDIR "
        f"at a writable folder."
    )


def remove_work_folders() -> None:
    """Removes the temporary folders and locks of this process, before it ends."""
    for folder in list(_WORK_FOLDERS):
        shutil.rmtree(folder, ignore_errors=True)
    for path in list(_CLAIMS):
        path.unlink(missing_ok=True)


def check_local(path: Path) -> None:
    """Raises InputError for an output that is an address, such as `s3:/bucket` (a path)."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+:", path.parts[0] if path.parts else ""):
        raise InputError(f"{path}: an address; results are written to this machine, name a path.")


def check_replaceable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Checks that the output `path` may be replaced.

    Raises:
        InputError: It is an input, something other than a regular file or folder, a link to such a
            thing, or an address.
    """
    check_local(path)
    try:
        if not (path.exists() or path.is_symlink()):
            return
        for source in inputs:
            if source.exists() and path.exists() and path.samefile(source):
                raise InputError(f"{path}: is the input {source}; choose another output.")
        if path.is_symlink() and (path.is_file() or path.is_dir() or not path.exists()):
            raise InputError(
                f"{path}: a link to {path.readlink()}; name the file itself, or remove the link."
            )
        if not (path.is_file() or path.is_dir()):
            raise InputError(f"{path}: is no regular file and is not replaced; choose another.")
    except OSError as error:
        raise InputError(f"{path}: cannot be looked at ({error.strerror}); rename it.") from error


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as CSV with `\\n` line ends."""
    import csv

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path` atomically."""
    # "x" fails where there is a file already, so nothing is written through a link.
    with atomic_path(path) as temporary, temporary.open("xb") as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Writes `content` to `path` atomically, as UTF-8 with `\\n` line ends."""
    write_bytes(path, content.encode())


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Writes several files: all of their contents first, and only then are they renamed.

    Raises:
        InputError: One cannot be written; then none is.
    """
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            with stack.enter_context(atomic_path(path)).open("xb") as file:
                file.write(content)


def to_json(value: object) -> str:
    """Returns a value as indented JSON: dataclasses as objects, NaN and infinity as null."""

    def plain(item: Any) -> Any:
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            return {
                field.metadata.get("json", field.name): plain(getattr(item, field.name))
                for field in dataclasses.fields(item)
            }
        if hasattr(item, "model_dump"):  # Pydantic's models
            return item.model_dump(mode="json")
        if isinstance(item, dict):
            return {key: plain(entry) for key, entry in item.items()}
        if isinstance(item, (list, tuple)):
            return [plain(entry) for entry in item]
        if hasattr(item, "item"):  # NumPy's numbers
            item = item.item()
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(plain(value), indent=2) + "\n"


def check_json_keys(content: bytes) -> None:
    """Checks that each key of a JSON document occurs once in its object.

    Pydantic's reader of JSON keeps the last of equal keys silently. A document that is broken
    otherwise passes: that reader states what is wrong with it.

    Raises:
        ValueError: A key occurs twice.
    """
    try:
        json.loads(content, object_pairs_hook=unique_keys)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Returns a JSON object whose keys are unique, in `json.loads`; the last would win silently.

    Raises:
        ValueError: a key occurs twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return values


def check_result_folder(folder: Path, mark: str, *, overwrite: bool) -> None:
    """Checks, before long work, that a result folder can be written or replaced.

    Args:
        mark: A file that an earlier result has; a folder with other things in it is left alone.
        overwrite: Whether an earlier result may be replaced.

    Raises:
        InputError: `folder` is a file or a link, holds something else or an earlier result, or
            cannot be created.
    """
    check_local(folder)
    if folder.is_symlink():
        check_replaceable(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file is in the way; choose another folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / mark).is_file():
        raise InputError(
            f"{folder}: holds other things (no {mark}) and is not replaced; choose a new folder."
        )
    if not overwrite and (folder / mark).is_file():
        raise InputError(
            f"{folder}: holds an earlier result; choose another folder, or add --overwrite to "
            f"replace it."
        )
    check_writable(folder.absolute().parent)


@contextlib.contextmanager
def claim_result_folder(folder: Path, mark: str, *, overwrite: bool) -> Iterator[None]:
    """Keeps other programs from writing a result folder until the block ends.

    Else the later of two would replace the result of the other, without `overwrite`.

    Args:
        mark, overwrite: As for `check_result_folder`, which checks before and under the lock.

    Raises:
        InputError: As `check_result_folder`, or another program holds the folder.
    """
    check_result_folder(folder, mark, overwrite=overwrite)
    folder = folder.absolute()
    busy = f"{folder}: another program writes its result here; wait for it, or choose another."
    path = folder.with_name(f".{folder.name[:200]}.lock")
    with new_folder(folder.parent), take_lock(path, busy):
        _CLAIMS.add(path)
        try:
            check_result_folder(folder, mark, overwrite=overwrite)
            yield
        finally:
            path.unlink(missing_ok=True)
            _CLAIMS.discard(path)


_CLAIMS: set[Path] = set()


def check_output(path: Path, suffix: str, inputs: Iterable[Path] = ()) -> None:
    """Checks, before long work, that the file `path` can be written, and its suffix.

    Args:
        inputs: Files that are read, and so must not be replaced.

    Raises:
        InputError: Its name does not end in `suffix`, it is an input, a folder or a device, or
            no file can be created in its folder.
    """
    check_replaceable(path, inputs)
    if path.suffix != suffix:
        raise InputError(f"{path}: the name must end in {suffix}.")
    if path.is_dir():
        raise InputError(f"{path}: a folder; name a {suffix} file in it.")
    check_writable(path.parent)


def is_folder(path: Path) -> bool:
    """Returns whether a folder exists; a name that no file system takes is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def holds_plain_files(folder: Path) -> bool:
    """Returns whether a folder holds files and folders alone: no FIFO, device or linked folder."""
    return all(
        path.is_file() or (path.is_dir() and not path.is_symlink()) for path in folder.rglob("*")
    )


def check_writable(folder: Path) -> None:
    """Checks, before long work, that a file can be created in `folder`, which need not exist.

    Nothing is made yet, since the request may still be refused.

    Raises:
        InputError: It cannot.
    """
    try:
        whole = folder.absolute()
        place = next(each for each in (whole, *whole.parents) if os.path.lexists(each))
        for name in whole.relative_to(place).parts:
            with contextlib.suppress(FileNotFoundError):
                (place / name).lstat()  # fails where the name is too long
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write here ({error.strerror}); choose another output place."
        ) from error


def limit(name: str, default: int) -> int:
    """Returns a limit on the size or number of inputs: `VMAF_JAX_MAX_<name>`, else `default`.

    Raises:
        InputError: The variable is no whole number above 0.
    """
    variable = f"VMAF_JAX_MAX_{name}"
    text = os.environ.get(variable, str(default))
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", text):
        raise InputError(
            f"{variable}={text[:40]}: expected a whole number above 0, of at most 18 digits."
        )
    return int(text)


def read_limited(path: Path, name: str, default: int) -> bytes:
    """Reads a regular file of limited size.

    Args:
        name, default: Of its limit in bytes, as for `limit`.

    Raises:
        InputError: The file is missing, unreadable, no regular file, or too large.
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
    """Opens a regular file for reading, without ever waiting for a writer of a FIFO.

    Raises:
        InputError: The file is missing, unreadable, or no regular file.
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


MAX_YAML_BYTES = 1 << 20
_MAX_VALUES, _MAX_DEPTH = 100_000, 50


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping from a file.

    Raises:
        InputError: The file is missing, unreadable, too large, broken, or no mapping.
    """
    content = read_limited(path, "CONFIG_BYTES", MAX_YAML_BYTES)
    try:
        values = parse_yaml(content.decode())
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not valid YAML ({reason}); correct it.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, such as `name: tiny`.")
    return values


def parse_yaml(text: str) -> object:
    """Parses a YAML document into dictionaries, lists and plain values.

    Limits are checked before any value is constructed. Aliases are refused: a few nested ones can
    stand for more values than memory holds.

    Raises:
        ValueError: The text is broken, holds several documents, aliases, tags of programs or a key
            twice, is nested deeper than 50 levels, or has more than 100,000 values.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast
    most, depth, count = limit("CONFIG_VALUES", _MAX_VALUES), 0, 0
    try:
        for event in yaml.parse(text, loader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("aliases are not read; write the value out")
            count += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
            if count > most:
                raise ValueError(f"more than {most} values")
        check_yaml_keys(yaml.compose(text, loader))
        return yaml.load(text, loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, OverflowError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def check_yaml_keys(node: "yaml.Node | None", parent: str = "") -> None:
    """Checks that each key of a composed YAML document occurs once in its mapping.

    PyYAML keeps the last of equal keys silently; YAML 1.2 (section 3.2.1.3) forbids them.

    Args:
        parent: Name of the node, with a point at its end, for the message.

    Raises:
        ValueError: A key occurs twice; the message names both lines.
    """
    import yaml

    first: dict[tuple[str, str], int] = {}
    for entry in node.value if isinstance(node, yaml.CollectionNode) else ():
        if not isinstance(entry, tuple):  # of a list
            check_yaml_keys(entry, parent)
            continue
        key, value = entry
        name, line = f"{parent}{str(key.value)[:60]}", key.start_mark.line + 1
        if (same := (key.tag, str(key.value))) in first:
            raise ValueError(
                f"line {line}: the key {name} occurs twice, first in line {first[same]}; keep one"
            )
        first[same] = line
        check_yaml_keys(value, f"{name}.")
