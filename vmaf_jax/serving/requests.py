"""The arguments of each MCP tool, and the files that a caller may name.

Names are resolved first, so `..` and links lead nowhere else. A refusal does not tell whether a
file outside exists. Some video formats are lists of other files (HLS, DASH, concat scripts, index
files), which would carry a reader out of the allowed folders; they are refused by what the file
begins with.

A field whose value names a file carries a `PathRule`, and `checked` replaces it by the path that
may be used. Nothing else in a request reaches the file system.
"""

import dataclasses
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import Field

from vmaf_jax.errors import InputError
from vmaf_jax.plain_yaml import read_yaml
from vmaf_jax.serving.settings import Settings
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.inputs import VIDEO_SUFFIXES

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
    from vmaf_jax.corpora.netflix_py import read_dataset_records
    from vmaf_jax.corpora.records import read_records

    for row in read_dataset_records(path) if path.suffix == ".py" else read_records(path, "list"):
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


DEFAULT_MODEL = "vmaf_v0.6.1"


@dataclasses.dataclass(frozen=True)
class PathRule:
    """How a field's text becomes a path that may be used.

    Attributes:
        resolve: gives the path, or raises InputError.
        columns: of a list: those whose cells name files, relative to its folder.
        listed: how such a cell becomes a path that may be used.
    """

    resolve: Callable[[str, Settings], str | Path]
    columns: tuple[str, ...] = ()
    listed: Callable[[str, Settings], Path] = readable_file


Text = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
VideoPath = Annotated[Text, PathRule(readable_video)]
TablePath = Annotated[Text, PathRule(readable_file)]
ModelName = Annotated[Text, PathRule(readable_model)]
OutputPath = Annotated[Text, PathRule(writable)]
FolderPath = Annotated[Text, PathRule(readable_folder)]
VideosPath = Annotated[Text, PathRule(readable_videos)]
VideoList = Annotated[Text, PathRule(readable_file, ("reference", "distorted"), readable_video)]
LogList = Annotated[Text, PathRule(readable_file, ("log",))]
_MODEL = (
    "A VMAF model (vmaf_v0.6.1), a shipped student (tiny, nano, rbf), or the path of a run folder, "
    "an .onnx or a libvmaf .json file; list_models names them. A path has a slash or a suffix."
)
_TABLE = "Path of a feature table (.parquet), as `vmaf-jax extract` writes it."
_SPLIT = "all, train, val or test (whole sources each), or the name of a source of the table."
_LABEL = "Label column, such as vmaf_v0.6.1 or mos; by default the one that the model learnt."


class Request(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The arguments of a call."""


class Nothing(Request):
    """No arguments."""


class Measurement(Request):
    """How videos are measured, as on the command line."""

    backend: Literal["libvmaf", "jax"] = Field(
        "libvmaf",
        description="What measures the features: libvmaf, the reference, or jax (JAX on its first "
        "device).",
    )
    shortest: bool = Field(False, description="Measure what both have where lengths differ.")
    force: bool = Field(False, description="Measure a pair whose score means little.")
    scale: Literal["stretch", "pad", "crop"] | None = Field(
        None, description="How another aspect ratio is brought to the reference's picture."
    )
    fps: Literal["match"] | None = Field(None, description="match: pair frames by time stamp.")
    sync: Literal["auto"] | None = Field(
        None,
        description="auto: find by luma how many frames the distorted one starts late or early.",
    )
    offset: int = Field(
        0, ge=-100_000, le=100_000, description="Frames that the distorted one starts late."
    )
    allow_damaged: bool = Field(False, description="Measure damaged streams too.")
    start: Word | None = Field(
        None, description="Where to begin: seconds, 1:02:03.5, or a frame as 48f."
    )
    frames: int | None = Field(
        None, ge=1, le=100_000_000, description="Measure so many frames at most."
    )
    deinterlace: Literal["auto", "tff", "bff"] | None = Field(
        None, description="auto: what says it is interlaced; tff, bff: both videos."
    )
    stream: Word | None = Field(
        None, description="Which video stream of the distorted file, from 0; or of both, as 0:1."
    )

    @property
    def comparison(self) -> Comparison:
        """What is allowed where the two differ."""
        return Comparison(
            shortest=self.shortest,
            force=self.force,
            scale=self.scale,
            fps=self.fps,
            sync=self.sync,
            offset=self.offset,
            allow_damaged=self.allow_damaged,
            start=self.start,
            frames=self.frames,
            deinterlace=self.deinterlace,
            stream=self.stream,
        )


class Scoring(Measurement):
    """What scores, and the form of raw files."""

    width: int | None = Field(None, ge=1, le=16384, description="Pixels; for raw .yuv files.")
    height: int | None = Field(None, ge=1, le=16384, description="Pixels; for raw .yuv files.")
    pix_fmt: Word | None = Field(
        None, description="For raw .yuv files: ffmpeg's name, such as yuv420p or yuv420p10le."
    )
    model: Annotated[ModelName, Field(description=_MODEL)] = DEFAULT_MODEL


class Pair(Scoring):
    """A reference and a distorted video, and what scores them."""

    reference: Annotated[VideoPath, Field(description="Path of the reference (pristine) video.")]
    distorted: Annotated[VideoPath, Field(description="Path of the distorted video.")]


ScoreLevel = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Level, as 0.9, of an interval for a clip's score; of models that carry a "
        "calibration.",
    ),
]


class Score(Pair):
    """Arguments of `vmaf_score`."""

    interval: ScoreLevel = None
    plot: bool = Field(False, description="Also draw the scores over the frames.")
    per_frame: bool = Field(False, description="Also each frame's score and features.")


class WorstFrames(Pair):
    """Arguments of `describe_worst_frames`."""

    count: int = Field(3, ge=1, le=16, description="How many frames.")
    apart: int = Field(1, ge=1, le=10_000, description="Frames between any two of them.")
    pictures: bool = Field(True, description="Also show each frame.")


Level = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Level, as 0.9: the interval of each clip too, and how often they hold the "
        "label, of models that are calibrated on it.",
    ),
]


class Evaluate(Request):
    """Arguments of `eval_model_on_split`."""

    model: Annotated[ModelName, Field(description=_MODEL)]
    features: Annotated[TablePath, Field(description=_TABLE)]
    split: Word = Field("all", description=_SPLIT)
    label: Word | None = Field(None, description=_LABEL)
    interval: Level = None


class Compare(Request):
    """Arguments of `compare_models`."""

    models: list[ModelName] = Field(min_length=1, max_length=32, description=_MODEL)
    features: Annotated[TablePath, Field(description=_TABLE)]
    split: Word = Field("all", description=_SPLIT)
    label: Word | None = Field(None, description=_LABEL)
    interval: Level = None


class Benchmark(Request):
    """Arguments of `run_benchmark`."""

    what: Literal["inference", "features", "extract", "train"] = Field(
        description="What is timed against what it replaces."
    )
    repeats: int | None = Field(None, ge=1, le=101, description="Runs of each side.")


class Train(Request):
    """Arguments of `train_model`."""

    name: Annotated[OutputPath, Field(description="Name of the run; its folder's name.")]
    overwrite: bool = Field(False, description="Replace an earlier run of that name.")
    features: Annotated[TablePath | None, Field(description=_TABLE)] = None
    corpus: Literal["support_vectors", "demo"] = Field(
        "support_vectors", description="What is learnt where no table is given."
    )
    label: Literal["teacher", "mos"] = Field("teacher", description="VMAF's scores, or viewers'.")
    teacher: Annotated[
        ModelName,
        Field(description="The label column of teacher labels, or a libvmaf .json file."),
    ] = "vmaf_v0.6.1"
    network: Literal["nano", "tiny", "rbf"] = Field("tiny", description="The student's network.")
    steps: int = Field(1500, ge=1, le=20_000, description="Training steps.")
    seed: int = Field(0, ge=0, lt=2**31, description="Of everything random.")
    folds: int | None = Field(
        None, ge=2, le=10_000, description="Folds of whole sources; by default one a source."
    )


class Export(Request):
    """Arguments of `export_model`."""

    model: Annotated[ModelName, Field(description="A shipped student or the path of a run folder.")]
    out: Annotated[
        OutputPath, Field(description="File to write below the output folder, such as m/tiny.onnx.")
    ]
    format: Literal["onnx", "libvmaf"] = Field("onnx", description="libvmaf is for rbf students.")
    quantize: Literal["dynamic", "static"] | None = Field(
        None, description="Also write an 8-bit file beside an ONNX one."
    )


class Rank(Scoring):
    """Arguments of `rank`."""

    reference: Annotated[
        VideosPath, Field(description="Path of the reference video, or of a folder of references.")
    ]
    distorted: list[VideosPath] = Field(
        min_length=1,
        max_length=1000,
        description="Paths of distorted videos or of folders of them. Where references are a "
        "folder, a video's name begins with its reference's.",
    )
    interval: ScoreLevel = None
    out: Annotated[
        OutputPath | None,
        Field(description="Also write everything, each frame too, to this .json file."),
    ] = None


Teachers = Annotated[
    list[ModelName] | None,
    Field(max_length=32, description="VMAF models whose scores become label columns."),
]
VoteScale = Annotated[
    list[float] | None,
    Field(min_length=2, max_length=2, description="The worst and the best vote, as [1, 5]."),
]
_TABLE_OUT = "Feature table to write below the output folder, such as mine.parquet."
_FEATURES = "Name of a feature set, such as vmaf or vmaf_neg."


class Extract(Measurement):
    """Arguments of `extract`."""

    corpus: Literal["manifest", "netflix", "demo", "demo_1080p", "support_vectors"] = Field(
        "manifest", description="Which videos."
    )
    out: Annotated[OutputPath, Field(description=_TABLE_OUT)]
    manifest: Annotated[
        VideoList | None,
        Field(description="List of videos of corpus manifest: reference, distorted, source."),
    ] = None
    data_root: Annotated[FolderPath | None, Field(description="Folder of corpus netflix.")] = None
    label_scale: VoteScale = None
    teacher: Teachers = None
    features: Word = Field("vmaf", description=_FEATURES)
    mean_pool: bool = Field(False, description="Clip means instead of frames.")


class Import(Request):
    """Arguments of `import`."""

    out: Annotated[OutputPath, Field(description=_TABLE_OUT)]
    logs: Annotated[
        LogList | None, Field(description="List of libvmaf's logs: log, source, mos.")
    ] = None
    frames: Annotated[
        TablePath | None, Field(description="Table of clip, frame and the features.")
    ] = None
    clips: Annotated[TablePath | None, Field(description="Of frames: clip, source, mos.")] = None
    corpus: Literal["avt_vqdb_uhd_1"] | None = Field(
        None, description="A published corpus, whose clone data_root is."
    )
    data_root: Annotated[FolderPath | None, Field(description="Folder of corpus.")] = None
    ratings: Annotated[TablePath | None, Field(description="Raw votes: clip, subject, score.")] = (
        None
    )
    label_scale: VoteScale = None
    features: Word = Field("vmaf", description=_FEATURES)
    teacher: Teachers = None
    name: Word | None = Field(None, description="Name of the corpus.")


class Ladder(Request):
    """Arguments of `ladder`."""

    table: Annotated[
        TablePath,
        Field(description="Scored encodes (.csv, .json, .jsonl, .parquet): codec, bitrate, score."),
    ]
    anchor: Word | None = Field(None, description="The codec that others are held to.")
    level: float = Field(0.95, gt=0, lt=1, description="Of BD-rate's intervals.")
    hull: bool | None = Field(
        None, description="Curves through each codec's hull, or all encodes; by default as it fits."
    )
    allow_crossing: bool = Field(False, description="Compare curves that cross.")
    content: Word | None = Field(None, description="Only this content.")
    plot: bool = Field(False, description="Also draw the curves.")
    out: Annotated[
        OutputPath | None,
        Field(description="Also write everything, each encode too, to this .json file."),
    ] = None


_Kind = TypeVar("_Kind", bound=Request)


def parse(kind: type[_Kind], arguments: dict[str, Any]) -> _Kind:
    """A caller's arguments as a request.

    Raises:
        InputError: a field is missing, unknown or out of range; one line names the first such.
    """
    try:
        request = kind.model_validate(arguments)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        expected = ", ".join(kind.model_fields) or "none"
        if first["type"] == "extra_forbidden":
            text = f"unknown argument {where!r}; expected: {expected}."
        elif first["type"] == "missing":
            text = f"argument {where!r} is missing; expected: {expected}."
        else:
            text = f"argument {where!r}: {first['msg']}; correct it."
        raise InputError(" ".join(text.split())) from None
    return request


def checked(request: _Kind, settings: Settings) -> _Kind:
    """The request with every file that it names resolved and allowed.

    Raises:
        InputError: a file may not be read or written.
    """
    updates: dict[str, Any] = {}
    for name, field in type(request).model_fields.items():
        value = getattr(request, name)
        rules = [rule for rule in _rules(field) if value is not None]
        for rule in rules[:1]:
            if isinstance(value, list):
                updates[name] = [str(rule.resolve(text, settings)) for text in value]
            else:
                updates[name] = str(rule.resolve(value, settings))
    return request.model_copy(update=updates)


def check_lists(request: Request, settings: Settings) -> None:
    """Looks at the lists that a checked request names: every file in them must be allowed too.

    Raises:
        InputError: one is not, or a list cannot be read.
    """
    for name, field in type(request).model_fields.items():
        value = getattr(request, name)
        for rule in _rules(field):
            if rule.columns and value is not None:
                check_listed(Path(value), rule.columns, rule.listed, settings)


def _rules(field: Any) -> list[PathRule]:
    """Path rules of a field, of its items, or of what stands beside None."""

    def inner(annotation: Any) -> list[PathRule]:
        metadata = getattr(annotation, "__metadata__", ())
        parts = getattr(annotation, "__args__", ())
        here = [mark for mark in metadata if isinstance(mark, PathRule)]
        return here + [rule for part in parts for rule in inner(part)]

    direct = [mark for mark in field.metadata if isinstance(mark, PathRule)]
    return direct + inner(field.annotation)
