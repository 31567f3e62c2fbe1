"""Bounds of a server: the files that a caller may read and write, and how many calls run at once.

A name is resolved before it is judged, so `..` and links lead nowhere else, and a refusal does not
tell whether a file outside the allowed folders exists. Some video formats are lists of other files
(HLS, DASH, concat scripts, index files) that would carry a reader out of the allowed folders; they
are refused by how the file begins.
"""

import dataclasses
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from vmaf_jax.errors import InputError
from vmaf_jax.files import read_yaml
from vmaf_jax.printable import escape_surrogates
from vmaf_jax.video.inputs import VIDEO_SUFFIXES

ALLOW = "VMAF_JAX_MCP_ALLOW"
TOKEN = "VMAF_JAX_MCP_TOKEN"  # noqa: S105 (the name of a variable)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Bounds of a server.

    Attributes:
        allow: folders below which files are read, resolved.
        out: the folder below which files are written (and may be read again), absolute.
        workers: calls that run side by side.
        queue: calls that may wait for their turn; one more is refused.
        max_bytes: size of the largest file that is read.
        seconds: longest run time of a call; trainings, benchmarks and measurements of many videos
            may take `long_seconds`.
    """

    allow: tuple[Path, ...]
    out: Path
    workers: int = 2
    queue: int = 256
    max_bytes: int = 16 << 30
    seconds: float = 600.0
    long_seconds: float = 3600.0


def make_settings(allow: list[Path] | None, out: Path | None, workers: int | None) -> Settings:
    """Makes settings from options, else from the environment, else from the working folder.

    Args:
        allow: folders to read below; by default those in `VMAF_JAX_MCP_ALLOW` (separated as in
            `PATH`), else the working folder.
        out: folder to write below; by default `runs/mcp`.
        workers: calls side by side; by default one per core, at most 4.

    Raises:
        InputError: a folder to read below does not exist.
    """
    named = [Path(part) for part in os.environ.get(ALLOW, "").split(os.pathsep) if part]
    source = "--allow" if allow else ALLOW
    folders = []
    for folder in allow or named or [Path()]:
        try:
            resolved = folder.expanduser().resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{folder}: no such folder to allow; correct {source}.") from error
        if not resolved.is_dir():
            raise InputError(f"{folder}: not a folder; {source} names folders.")
        folders.append(resolved)
    folder_out = (out or Path("runs") / "mcp").expanduser().absolute().resolve()
    return Settings(tuple(folders), folder_out, workers or min(4, os.cpu_count() or 1))


MAX_NAME = 4096  # characters
MAX_RUN_FILES = 2000  # a run has some dozens, most of them of its checkpoint
MAX_FOLDER_FILES = 100_000  # each is looked at, which takes seconds for so many
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.,-]*:")  # ffmpeg takes `concat:a|b` for a file name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_RAW = (".yuv", ".raw")  # samples without a header, which may look like anything
_HEAD = 1 << 16  # bytes in which a format is recognised
_Y4M = b"YUV4MPEG2"
_LIST_STARTS = (b"#EXTM3U", b"ffconcat", b"# VobSub index", b"[playlist]", b"v=0")
_LIST_PARTS = (b"<MPD", b"<CompositionPlaylist", b"<SmoothStreamingMedia", b"<playlist")


def resolve_input(text: str, settings: Settings, *, allow_root: bool = False) -> Path:
    """Returns the resolved path of a file or folder that may be read.

    Args:
        text: absolute, or relative to the first allowed folder or, where that has no such file, to
            the output folder.
        allow_root: whether an allowed folder itself may be named.

    Raises:
        InputError: the path is outside the allowed folders, absent, or not a file name.
    """
    if not text or len(text) > MAX_NAME or any(ord(letter) < 32 for letter in text):
        raise InputError(f"{_quote(text)}: not a file name; give a path below an allowed folder.")
    folders = (*settings.allow, settings.out)
    # A caller names what a tool wrote as it was asked to. What is not below `out` no tool wrote:
    # `../a.y4m` is meant from the first folder.
    for folder, limits in ((folders[0], folders), (settings.out, (settings.out,))):
        try:
            path = (folder / text).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            continue  # absent and outside get one answer, which tells nothing about the rest
        if _is_below(path, limits) or (allow_root and path in folders):
            return _check_utf_8(path, text)
    if _PROTOCOL.match(text):
        raise InputError(
            f"{_quote(text)}: addresses and protocols are not read; give a file's path."
        )
    allowed = ", ".join(map(str, folders))
    raise InputError(
        f"{_quote(text)}: no such file below the allowed folders ({allowed}); check the path."
    )


def _check_utf_8(path: Path, text: str) -> Path:
    """Returns the path; raises InputError where messages, which are JSON, cannot carry it."""
    name = str(path)
    if escape_surrogates(name) != name:
        raise InputError(f"{_quote(text)}: leads to a name that is no UTF-8; rename it.")
    return path


def resolve_file(text: str, settings: Settings) -> Path:
    """Returns the resolved path of a regular file of at most `settings.max_bytes`.

    Raises:
        InputError: as `resolve_input`; or a folder, a device, a pipe, or a file that is too large.
    """
    path = resolve_input(text, settings)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{_quote(text)}: not a regular file; name a file.")
    if status.st_size > settings.max_bytes:
        raise InputError(
            f"{_quote(text)}: {status.st_size} bytes, at most {settings.max_bytes} are read; "
            f"give a shorter clip."
        )
    return path


def resolve_video(text: str, settings: Settings) -> Path:
    """Returns the resolved path of a video file that names no other files.

    Raises:
        InputError: as `resolve_file`; or a playlist, a script or another text.
    """
    path = resolve_file(text, settings)
    if path.suffix.lower() in _RAW:
        return path  # ffmpeg is told the format of raw samples, and guesses nothing from them
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{_quote(text)}: cannot be read ({error.strerror}).") from error
    if head.startswith(_Y4M):
        return path
    # A byte order mark or blanks before a format's mark do not hide a list.
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    names_files = start.startswith(_LIST_STARTS) or any(part in head for part in _LIST_PARTS)
    if names_files or _is_text(head):
        raise InputError(
            f"{_quote(text)}: a playlist or another text, which may name other files; give the "
            f"video itself."
        )
    return path


def resolve_model(text: str, settings: Settings) -> str:
    """Returns a model's name unchanged, or the resolved path of its file or run folder.

    Args:
        text: a model's own name comes before a run of that name in the output folder.

    Raises:
        InputError: as `resolve_file`; or a run folder with links out of the allowed folders, or
            whose configuration names a file outside them; or a file beside which such a link stands
            for its sidecar or for another file that is read with it.
    """
    if _is_word(text):
        if not _is_written_run(text, settings):
            return text
        text = str(settings.out / text)
    path = resolve_input(text, settings)
    if not path.is_dir():
        path = resolve_file(text, settings)
        companions = [path.with_suffix(".json"), path.with_name(f"{path.stem}.parity.json")]
        companions += [path.with_name(name) for name in ("model.libvmaf.json", "folds.parquet")]
        for entry in (*companions, *path.parent.glob("external_*.parquet")):
            if os.path.lexists(entry):
                _check_entry(entry, text, settings)
        return str(path)
    _check_contents(path, text, settings, MAX_RUN_FILES)
    _check_teachers(path / "config.yaml", settings)
    return str(path)


def resolve_teacher(text: str, settings: Settings) -> str:
    """Returns the name of a column of labels unchanged, or the resolved path of a teacher's file.

    Raises:
        InputError: as `resolve_model`.
    """
    return text if _is_word(text) else resolve_model(text, settings)


def _is_word(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and not text.endswith((".onnx", ".json"))


def _is_written_run(name: str, settings: Settings) -> bool:
    """Whether the output folder holds a run of this name, which no model has."""
    if not (settings.out / name).is_dir():
        return False
    from vmaf_jax.runs.locate import checkpoints
    from vmaf_jax.scoring.model import AUTO, PHONE, V1
    from vmaf_jax.teacher.model_file import known_teachers

    is_model = name in (AUTO, PHONE, V1, *known_teachers())
    return not is_model and not (checkpoints() / name / "config.yaml").is_file()


def resolve_folder(text: str, settings: Settings) -> Path:
    """Returns the resolved path of a folder that holds no link out of the allowed folders.

    Raises:
        InputError: as `resolve_input`; or a file, or a folder with such a link.
    """
    path = resolve_input(text, settings, allow_root=True)
    if not path.is_dir():
        raise InputError(f"{_quote(text)}: not a folder; name one.")
    _check_contents(path, text, settings, MAX_FOLDER_FILES)
    return path


def resolve_videos(text: str, settings: Settings) -> Path:
    """Returns the resolved path of a video, or of a folder in which every video may be read.

    Raises:
        InputError: as `resolve_video`, for any video in the folder.
    """
    path = resolve_input(text, settings, allow_root=True)
    if not path.is_dir():
        return resolve_video(text, settings)
    for count, entry in enumerate(path.iterdir()):
        if count >= MAX_FOLDER_FILES:
            raise InputError(f"{_quote(text)}: more than {MAX_FOLDER_FILES} files; name some.")
        if entry.suffix.lower() in VIDEO_SUFFIXES:
            try:
                resolve_video(str(entry), settings)
            except InputError as error:
                raise InputError(
                    f"{error} Or name the folder's other videos one by one."
                ) from error
    return path


def resolve_output(text: str, settings: Settings) -> Path:
    """Returns the path of a file or folder to be written below the output folder.

    Args:
        text: relative to the output folder.

    Raises:
        InputError: not a plain name, or a path that leads elsewhere by `..` or by a link.
    """
    parts = Path(text).parts if text and len(text) <= MAX_NAME else ()
    if not parts or not all(_NAME.fullmatch(part) for part in parts):
        raise InputError(
            f"{_quote(text)}: not a name to write below {settings.out}; use letters, digits, '.', "
            f"'_' and '-', such as mine/model.onnx."
        )
    path = settings.out.joinpath(*parts)
    try:
        resolved = path.resolve()
        if resolved.is_relative_to(settings.out) and not path.is_symlink():
            return resolved
    except (OSError, RuntimeError):
        pass  # a loop of links
    raise InputError(f"{_quote(text)}: leads out of {settings.out}; choose another name.")


def _resolved_by(resolve: Callable[[str, Settings], str | Path]) -> AfterValidator:
    """Returns the validator that replaces a caller's text by the path that may be used.

    Without settings as its context, in a worker, the text is such a path already.
    """

    return AfterValidator(
        lambda text, info: text if info.context is None else str(resolve(text, info.context))
    )


Text = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
InputFile = Annotated[Text, _resolved_by(resolve_file)]
InputFolder = Annotated[Text, _resolved_by(resolve_folder)]
VideoPath = Annotated[Text, _resolved_by(resolve_video)]
VideosPath = Annotated[Text, _resolved_by(resolve_videos)]
OutputPath = Annotated[Text, _resolved_by(resolve_output)]
ModelName = Annotated[Text, _resolved_by(resolve_model)]
TeacherName = Annotated[Text, _resolved_by(resolve_teacher)]


def check_listed_files(
    path: Path, columns: Sequence[str], resolve: Callable[[str, Settings], Path], settings: Settings
) -> None:
    """Checks the files that a list names, before its reader can tell which of them exist.

    Args:
        path: the list, which may be read.
        columns: those whose cells are files, relative to the list's folder.
        resolve: raises InputError for a file that may not be read.

    Raises:
        InputError: as `resolve`; or the list cannot be read.
    """
    from vmaf_jax.corpora.netflix import read_dataset_records
    from vmaf_jax.corpora.records import read_records

    for row in read_dataset_records(path) if path.suffix == ".py" else read_records(path, "list"):
        for column in columns:
            name = row.get(column) if isinstance(row, dict) else None
            if isinstance(name, bytes):  # readers of rows take Parquet's binary columns for text
                raise InputError(f"{path.name}: column {column!r} holds bytes; store text.")
            if isinstance(name, str) and name:
                resolve(str(path.parent / name), settings)


def check_training_data(run: Path, settings: Settings) -> None:
    """Raises InputError where a run's configuration names data that may not be read."""
    config = run / "config.yaml"
    data = read_yaml(config).get("data") if config.is_file() else None
    if not isinstance(data, dict):
        return
    for name in ("features", "data_root", "manifest"):
        if (value := data.get(name)) is not None:
            path = resolve_input(str(value), settings, allow_root=True)
            resolve = resolve_folder if path.is_dir() else resolve_file
            resolve(str(value), settings)
    if data.get("manifest") is not None:
        columns = ("reference", "distorted")
        check_listed_files(Path(str(data["manifest"])), columns, resolve_video, settings)


def _check_contents(folder: Path, text: str, settings: Settings, max_files: int) -> None:
    """Raises InputError where a folder has too many files, or one outside the allowed folders."""
    for count, entry in enumerate(folder.rglob("*")):
        if count >= max_files:
            raise InputError(f"{_quote(text)}: more than {max_files} files; name another folder.")
        _check_entry(entry, text, settings)


def _check_entry(entry: Path, text: str, settings: Settings) -> None:
    """Raises InputError where what is read with `text` leads elsewhere, or is no plain file."""
    try:
        inside = _is_below(entry.resolve(strict=True), (*settings.allow, settings.out))
    except (OSError, RuntimeError):
        inside = False
    if not inside or not (entry.is_file() or entry.is_dir()):
        raise InputError(
            f"{_quote(text)}: comes with {_quote(entry.name)}, which leads elsewhere; copy the "
            f"files themselves."
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
            resolve_file(teacher, settings)


def _is_below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path != folder and path.is_relative_to(folder) for folder in folders)


def _is_text(head: bytes) -> bool:
    """Whether a file begins with nothing but UTF-8 text; no video but Y4M does."""
    if not head or b"\0" in head:
        return False
    try:
        head[:-4].decode()  # the last character may be cut in two
    except UnicodeDecodeError:
        return False
    return True


def _quote(text: str) -> str:
    """Returns a caller's text for a message: one short line without control characters."""
    short = text if len(text) <= 200 else f"{text[:200]}..."
    return short if short.isprintable() and short else ascii(short)
