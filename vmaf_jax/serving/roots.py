"""Which files a caller may name: regular ones below allowed folders, of sane size.

Names are resolved first, so `..` and links lead nowhere else. A refusal does not tell whether a
file outside exists. Some video formats are lists of other files (HLS, DASH, concat scripts, index
files), which would carry a reader out of the allowed folders; they are refused by what the file
begins with.
"""

import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.plain_yaml import read_yaml
from vmaf_jax.serving.settings import Settings
from vmaf_jax.video.video import VIDEO_SUFFIXES

MAX_NAME = 4096  # characters
MAX_RUN_FILES = 2000
MAX_FOLDER_FILES = 100_000
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.,-]*:")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_RAW = (".yuv", ".raw")
_HEAD = 1 << 16  # bytes that are looked at
_Y4M = b"YUV4MPEG2"
_LIST_STARTS = (b"#EXTM3U", b"ffconcat", b"# VobSub index", b"[playlist]", b"v=0")
_LIST_PARTS = (b"<MPD", b"<CompositionPlaylist", b"<SmoothStreamingMedia", b"<playlist")


def readable(text: str, settings: Settings, *, whole: bool = False) -> Path:
    """The resolved path of something that may be read.

    Args:
        text: absolute, or relative to the first allowed folder.
        whole: whether an allowed folder itself may be meant.

    Raises:
        InputError: outside the allowed folders, absent, or no name at all.
    """
    shown = _shown(text)
    if not text or len(text) > MAX_NAME or any(ord(letter) < 32 for letter in text):
        raise InputError(f"{shown}: not a file name; give a path below an allowed folder.")
    folders = (*settings.allow, settings.out)
    try:
        path = (folders[0] / text).resolve(strict=True)
        if _is_below(path, folders) or (whole and path in folders):
            return path
    except (OSError, RuntimeError, ValueError):
        pass  # absent or outside: one answer for both
    if _PROTOCOL.match(text):
        raise InputError(f"{shown}: addresses and protocols are not read; give a file's path.")
    allowed = ", ".join(map(str, folders))
    raise InputError(
        f"{shown}: no such file below the allowed folders ({allowed}); check the path."
    )


def readable_file(text: str, settings: Settings) -> Path:
    """As `readable`, for a regular file of sane size.

    Raises:
        InputError: also for a folder, a device, a pipe, or a file that is too large.
    """
    path = readable(text, settings)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{_shown(text)}: not a regular file; name a file.")
    if status.st_size > settings.max_bytes:
        raise InputError(
            f"{_shown(text)}: {status.st_size} bytes, at most {settings.max_bytes} are read; "
            f"give a shorter clip."
        )
    return path


def readable_video(text: str, settings: Settings) -> Path:
    """As `readable_file`, for a video that names no other files.

    Raises:
        InputError: also for playlists, scripts and other text.
    """
    path = readable_file(text, settings)
    if path.suffix.lower() in _RAW:
        return path  # samples, which nothing is guessed from
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{_shown(text)}: cannot be read ({error.strerror}).") from error
    if head.startswith(_Y4M):
        return path
    begins = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins.startswith(_LIST_STARTS) or any(part in head for part in _LIST_PARTS) or _text(head):
        raise InputError(
            f"{_shown(text)}: a playlist or another text, which may name other files; give the "
            f"video itself."
        )
    return path


def readable_model(text: str, settings: Settings) -> str:
    """A model's name as it is, or the path of its file or run folder.

    Raises:
        InputError: as `readable_file`; a run folder with links out of the allowed folders, or
            whose configuration names a file outside them.
    """
    if _NAME.fullmatch(text) and not text.endswith((".onnx", ".json")):
        return text
    path = readable(text, settings)
    if not path.is_dir():
        return str(readable_file(text, settings))
    _check_inside(path, text, settings, MAX_RUN_FILES)
    _check_teachers(path / "config.yaml", settings)
    return str(path)


def readable_folder(text: str, settings: Settings) -> Path:
    """As `readable`, for a folder out of which nothing leads.

    Raises:
        InputError: also for a file, or a folder with links out of the allowed folders.
    """
    path = readable(text, settings, whole=True)
    if not path.is_dir():
        raise InputError(f"{_shown(text)}: not a folder; name one.")
    _check_inside(path, text, settings, MAX_FOLDER_FILES)
    return path


def readable_videos(text: str, settings: Settings) -> Path:
    """As `readable_video`, or a folder whose videos are such files.

    Raises:
        InputError: as `readable_video`, of any video in the folder.
    """
    path = readable(text, settings, whole=True)
    if not path.is_dir():
        return readable_video(text, settings)
    for count, entry in enumerate(path.iterdir()):
        if count >= MAX_FOLDER_FILES:
            raise InputError(f"{_shown(text)}: more than {MAX_FOLDER_FILES} files; name some.")
        if entry.suffix.lower() in VIDEO_SUFFIXES:
            readable_video(str(entry), settings)
    return path


def check_listed(
    path: Path,
    columns: Sequence[str],
    resolve: Callable[[str, Settings], Path],
    settings: Settings,
) -> None:
    """Checks the files that a list names, before whoever reads it tells which of them exist.

    Args:
        path: the list, which may be read.
        columns: those whose cells are files, relative to the list's folder.
        resolve: raises InputError for a file that may not be read.

    Raises:
        InputError: as `resolve`, or the list cannot be read.
    """
    from vmaf_jax.corpora.dataset_file import dataset_records
    from vmaf_jax.corpora.records import read_records

    for row in dataset_records(path) if path.suffix == ".py" else read_records(path, "list"):
        for column in columns:
            name = row.get(column) if isinstance(row, dict) else None
            if isinstance(name, bytes):  # of Parquet, which readers of rows take for text
                raise InputError(f"{path.name}: column {column!r} holds bytes; store text.")
            if isinstance(name, str) and name:
                resolve(str(path.parent / name), settings)


def _check_inside(folder: Path, text: str, settings: Settings, most: int) -> None:
    """Raises InputError where a folder has too many files, or one that leads elsewhere."""
    folders = (*settings.allow, settings.out)
    for count, entry in enumerate(folder.rglob("*")):
        if count >= most:
            raise InputError(f"{_shown(text)}: more than {most} files; name another folder.")
        try:
            inside = _is_below(entry.resolve(strict=True), folders)
        except (OSError, RuntimeError):
            inside = False
        if not inside or not (entry.is_file() or entry.is_dir()):
            raise InputError(
                f"{_shown(text)}: holds {_shown(entry.name)}, which leads elsewhere; copy the "
                f"folder."
            )


def _check_teachers(config: Path, settings: Settings) -> None:
    """Raises InputError where a run's configuration names a teacher's file that may not be read."""
    if not config.is_file():
        return
    values = read_yaml(config)
    for part in ("student", "data"):
        section = values.get(part)
        teacher = section.get("teacher") if isinstance(section, dict) else None
        if isinstance(teacher, str) and teacher.endswith(".json"):
            readable_file(teacher, settings)


def writable(text: str, settings: Settings) -> Path:
    """The path of something to be written, below the output folder.

    Args:
        text: relative to the output folder.

    Raises:
        InputError: it would lie elsewhere, by `..` or by a link, or is no name.
    """
    parts = Path(text).parts if text and len(text) <= MAX_NAME else ()
    if not parts or not all(_NAME.fullmatch(part) for part in parts):
        raise InputError(
            f"{_shown(text)}: not a name to write below {settings.out}; use letters, digits, '.', "
            f"'_' and '-', such as mine/model.onnx."
        )
    path = settings.out.joinpath(*parts)
    try:
        resolved = path.resolve()
        if resolved.is_relative_to(settings.out) and not path.is_symlink():
            return resolved
    except (OSError, RuntimeError):
        pass  # a loop of links
    raise InputError(f"{_shown(text)}: leads out of {settings.out}; choose another name.")


def _is_below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path != folder and path.is_relative_to(folder) for folder in folders)


def _text(head: bytes) -> bool:
    """Whether a file begins with nothing but text, as no video does but Y4M."""
    if not head or b"\0" in head:
        return False
    try:
        head[:-4].decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(text: str) -> str:
    """A caller's text for a message: one line, not long, nothing that moves a terminal."""
    short = text if len(text) <= 200 else f"{text[:200]}..."
    return short if short.isprintable() and short else ascii(short)
