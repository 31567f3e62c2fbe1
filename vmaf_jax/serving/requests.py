"""The tools as a client sees them: their names and descriptions, and the arguments of each.

A request's docstring is its tool's description, and its fields are the tool's arguments. A field
that names a file has a type such as `VideoPath`, whose validator replaces the caller's text by the
path that may be used; nothing else in a request reaches the file system.
"""

import dataclasses
import functools
import inspect
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import pydantic
from pydantic import AfterValidator, Field

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES, HIGHEST
from vmaf_jax.serving.path_policy import (
    InputFile,
    InputFolder,
    ModelName,
    OutputPath,
    Settings,
    TeacherName,
    VideoPath,
    VideosPath,
    Word,
    check_listed_files,
    check_training_data,
    resolve_file,
    resolve_video,
)
from vmaf_jax.video.comparison import Comparison

_MODEL = (
    "A VMAF model (vmaf_v0.6.1), a shipped student (tiny, nano, rbf), or the path of a run folder, "
    "an .onnx or a libvmaf .json file; list_models names them. A path has a slash or a suffix."
)
_TABLE = "Path of a feature table (.parquet), as `vmaf-jax extract` writes it."
Table = Annotated[InputFile, Field(description=_TABLE)]
ClipLevel = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Level, as 0.9, of an interval for a clip's score; of models that carry a "
        "calibration.",
    ),
]
WorstRegionWanted = Annotated[
    bool,
    Field(description="Also find the part of a picture that departs most: frame, time, box."),
]
Distance = Annotated[
    float | None,
    Field(
        gt=0,
        le=100,
        description="How far the viewers sit, in picture heights, as 3.2; of models that know "
        "viewing distances, such as opinions.",
    ),
]
FeatureSetName = Annotated[
    Word, Field(description="Name of a feature set, such as vmaf or vmaf_neg.")
]
Teachers = Annotated[
    list[ModelName] | None,
    Field(max_length=32, description="VMAF models whose scores become label columns."),
]


def _check_votes(ends: list[float]) -> list[float]:
    from vmaf_jax.tables.table import check_scale

    check_scale(ends, "label_scale")
    return ends


VoteScale = Annotated[
    Annotated[list[float], AfterValidator(_check_votes)] | None,
    Field(min_length=2, max_length=2, description="The worst and the best vote, as [1, 5]."),
]
TableOut = Annotated[
    OutputPath,
    Field(description="Feature table to write below the output folder, such as mine.parquet."),
]


class Request(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The arguments of a call."""

    def __init_subclass__(cls, settings: type | None = None, **kwargs: Any) -> None:
        """Adds an argument for each field of a dataclass of settings, before Pydantic looks."""
        super().__init_subclass__(**kwargs)
        if settings is None:
            return
        for name, hint in get_type_hints(settings, include_extras=True).items():
            kind, (option,) = hint.__origin__, hint.__metadata__
            if option.choices:
                kind = Literal[option.choices] | None
            elif str in get_args(kind):
                kind = Word | None  # a text stands for a number too
            cls.__annotations__[name] = kind
            setattr(cls, name, Field(getattr(settings, name), description=option.help))

    @pydantic.model_validator(mode="before")
    @classmethod
    def _truth_values_are_no_numbers(cls, values: dict[str, object]) -> dict[str, object]:
        """Refuses `true` for 1, which Pydantic takes."""
        for name, field in cls.model_fields.items():
            kinds = (field.annotation, *get_args(field.annotation))
            if isinstance(values.get(name), bool) and bool not in kinds:
                raise InputError(f"argument {name!r}: a truth value is none of its values.")
        return values

    def check_lists(self, settings: Settings) -> None:
        """Raises InputError where a list that the request names holds a file that may not be read.

        Reading a list takes time and heavy libraries, so the worker checks it.
        """


class Measurement(Request, settings=Comparison):
    """How a pair of videos is measured, as on the command line."""

    backend: Literal["libvmaf", "jax"] = Field(
        "libvmaf",
        description="What measures the features: libvmaf, the reference, or jax (JAX on its first "
        "device).",
    )

    @property
    def comparison(self) -> Comparison:
        """How the two videos are compared."""
        return fill_settings(Comparison, self)


Display = Literal["1080p@3H", "1080p@5H", "2160p@1.5H", "2160p@3H"]
Pool = Literal["mean", "harmonic", "p1", "p5", "p10", "median", "worst-second", "worst-shot"]
_DISPLAY = Field(
    None,
    description="Screen, and distance in its heights, that auto and v1 score for; by default "
    "as the reference's resolution suggests.",
)


class Scoring(Measurement):
    """How videos are scored, and the format of raw files."""

    width: int | None = Field(None, ge=1, le=16384, description="Pixels; for raw .yuv files.")
    height: int | None = Field(None, ge=1, le=16384, description="Pixels; for raw .yuv files.")
    pix_fmt: Word | None = Field(
        None, description="For raw .yuv files: ffmpeg's name, such as yuv420p or yuv420p10le."
    )
    model: ModelName = Field(
        "auto",
        description="auto, VMAF's own by the reference's resolution; v1, VMAF v1's by resolution "
        "and frame rate; phone, that for phones; or: " + _MODEL,
    )
    display: Display | None = _DISPLAY
    pool: Pool | None = Field(
        None, description="How frames become the clip's score; by default as the model does."
    )


class Pair(Scoring):
    """A reference and a distorted video, and how they are scored."""

    reference: VideoPath = Field(description="Path of the reference (pristine) video.")
    distorted: VideoPath = Field(description="Path of the distorted video.")


class ScoreRequest(Pair):
    """Scores a distorted video against its reference with VMAF or one of its students: the clip's
    score and its statistics; with per_frame, every frame's score and features. Encoded files and
    Y4M say their own size; raw .yuv needs width, height and pix_fmt.
    """

    interval: ClipLevel = None
    distance: Distance = None
    plot: bool = Field(False, description="Also draw the scores over the frames.")
    worst_region: WorstRegionWanted = False
    per_frame: bool = Field(False, description="Also each frame's score and features.")


class RankRequest(Scoring):
    """Scores several distorted videos, or folders of them, against their reference, and ranks
    them: scores, statistics, sizes and bit rates, and the reason for each that cannot be scored.
    Takes as long as measuring them all.
    """

    reference: VideosPath = Field(
        description="Path of the reference video, or of a folder of references."
    )
    distorted: list[VideosPath] = Field(
        min_length=1,
        max_length=1000,
        description="Paths of distorted videos or of folders of them. Where references are a "
        "folder, a video's name begins with its reference's.",
    )
    interval: ClipLevel = None
    distance: Distance = None
    worst_region: WorstRegionWanted = False
    out: OutputPath | None = Field(
        None, description="Also write everything, each frame too, to this .json file."
    )


class WorstFramesRequest(Pair):
    """Describes the frames of a pair that score lowest: their numbers, scores and features, and a
    picture of each (reference, distorted, difference).
    """

    count: int = Field(3, ge=1, le=16, description="How many frames.")
    apart: int = Field(1, ge=1, le=10_000, description="Frames between any two of them.")
    pictures: bool = Field(True, description="Also show each frame.")


class MapsRequest(Pair):
    """Draws where the frames of a pair that score lowest lose quality: pictures (PNG) of VIF and
    ADM, and with VMAF v1 of banding and chroma, brighter where more is lost, written to a folder.
    """

    worst_region: WorstRegionWanted = False
    out: OutputPath = Field(description="Folder to write below the output folder, such as maps.")


class ExtractRequest(Measurement):
    """Measures a list of videos, or a known corpus, and writes a feature table below the output
    folder, with the scores of VMAF models and opinions as labels. Takes minutes to hours; measured
    clips are kept, so repeat a call that ran out of time.
    """

    corpus: Literal["manifest", "netflix", "demo", "demo_1080p", "support_vectors"] = Field(
        "manifest", description="Which videos."
    )
    out: TableOut
    manifest: InputFile | None = Field(
        None, description="List of videos of corpus manifest: reference, distorted, source."
    )
    data_root: InputFolder | None = Field(None, description="Folder of corpus netflix.")
    label_scale: VoteScale = None
    teachers: Teachers = Field(None, alias="teacher")  # as the option --teacher
    features: FeatureSetName = FEATURES.name
    mean_pool: bool = Field(False, description="Clip means instead of frames.")

    def check_lists(self, settings: Settings) -> None:
        """Raises InputError where the manifest names a video that may not be read."""
        if self.manifest is not None:
            columns = ("reference", "distorted")
            check_listed_files(Path(self.manifest), columns, resolve_video, settings)


class ImportRequest(Request):
    """Writes a feature table below the output folder from logs of libvmaf, or from features that
    are measured already, with opinion scores or raw votes.
    """

    out: TableOut
    logs: InputFile | None = Field(None, description="List of libvmaf's logs: log, source, mos.")
    frames: InputFile | None = Field(None, description="Table of clip, frame and the features.")
    clips: InputFile | None = Field(None, description="Of frames: clip, source, mos.")
    corpus: (
        Literal[
            "avt_vqdb_uhd_1",
            "avt_vqdb_uhd_1_nvc",
            "avt_vqdb_uhd_1_vsr",
            "avt_vqdb_uhd_1_appeal",
            "avt_vqdb_uhd_1_vd",
        ]
        | None
    ) = Field(None, description="A published corpus, whose clone data_root is.")
    data_root: InputFolder | None = Field(None, description="Folder of corpus.")
    ratings: InputFile | None = Field(None, description="Raw votes: clip, subject, vote.")
    label_scale: VoteScale = None
    features: FeatureSetName = FEATURES.name
    teachers: Teachers = Field(None, alias="teacher")  # as the option --teacher
    name: Word | None = Field(None, description="Name of the corpus.")
    sources: list[Word] | None = Field(
        None, alias="source", max_length=1000, description="Those whose clips are kept, else all."
    )
    exclude_suspects: bool = Field(
        False, description="Leave out the clips and subjects that check_table finds."
    )

    def check_lists(self, settings: Settings) -> None:
        """Raises InputError where the list names a log that may not be read."""
        if self.logs is not None:
            check_listed_files(Path(self.logs), ("log",), resolve_file, settings)


class CheckRequest(Request):
    """Finds what deserves no belief in a feature table: clips out of step, of another reference or
    model, duplicates, swapped labels, and subjects who vote at random or upside down.
    """

    table: Table
    ratings: InputFile | None = Field(None, description="Raw votes: clip, subject, vote.")
    out: OutputPath | None = Field(None, description="Also write all findings to this .json file.")


class LadderRequest(Request):
    """Compares codecs by rate and quality, from a table of scored encodes: BD-rate with its
    intervals, and each content's convex hull.
    """

    table: InputFile = Field(
        description="Scored encodes (.csv, .json, .jsonl, .parquet): codec, bitrate, score."
    )
    anchor: Word | None = Field(None, description="Codec to compare others with.")
    level: float = Field(0.95, gt=0, lt=1, description="Of BD-rate's intervals.")
    hull: bool | None = Field(
        None, description="Curves through each codec's hull, or all encodes; by default as it fits."
    )
    allow_crossing: bool = Field(False, description="Compare curves that cross.")
    content: Word | None = Field(None, description="Only this content.")
    plot: bool = Field(False, description="Also draw the curves.")
    out: OutputPath | None = Field(
        None, description="Also write everything, each encode too, to this .json file."
    )


class _CalibrationRequest(Request):
    features: Table
    model: ModelName = Field(
        "vmaf_4k_v0.6.1", description="The model beneath; it scores frames by the six features."
    )
    title: Word | None = Field(None, description="Only this source.")
    codecs: InputFile | None = Field(
        None, description="clip, codec: where votes show it, clips of one codec err alike."
    )
    label_scale: VoteScale = None


class SuggestRequest(_CalibrationRequest):
    """Names the clips of each title of a feature table whose votes would tell most of its other
    clips, in the order in which to have them rated, with the error to expect after each.
    """

    count: int = Field(ge=1, le=1000, description="Clips of each title.")
    already: InputFile | None = Field(
        None, description="Votes that there are: clip, mos; or subject, vote."
    )
    costs: InputFile | None = Field(None, description="Cost of rating: clip, cost.")


class CalibrateRequest(_CalibrationRequest):
    """Predicts the votes of every clip of a feature table, with intervals, from votes on some of
    them, and writes a model of these titles to a folder below the output folder.
    """

    votes: InputFile = Field(description="Votes: clip, mos, mos_ci95; or clip, subject, vote.")
    out: OutputPath = Field(description="The folder; scores take it as a model.")
    interval: float = Field(0.9, gt=0, lt=1, description="Level of the intervals.")
    overwrite: bool = Field(False, description="Replace an earlier result in that folder.")


class EncodeRequest(Request):
    """Encodes a video below the output folder as cheaply as a target score allows: the weakest
    quality setting whose finished file, measured, meets the target. Without such a setting there
    is no file, and the answer says what was reached. Takes several times as long as one encode.
    """

    reference: VideoPath = Field(description="Path of the video to encode.")
    target: float = Field(gt=0, lt=HIGHEST, description="Points that the finished file keeps.")
    out: OutputPath = Field(description="The finished file: .mp4, .mkv, .mov or .webm; a new one.")
    model: ModelName = Field("auto", description=f"{_MODEL} auto is VMAF's own.")
    votes: bool = Field(False, description="The target is a vote, as 4.2, of a model of votes.")
    encoder: Literal["libx264", "libx265", "libsvtav1", "libvpx-vp9", "libaom-av1"] = Field(
        "libx264", description="ffmpeg's name of the encoder."
    )
    preset: Word | None = Field(None, description="The encoder's speed, in its words.")
    pix_fmt: Word | None = Field(None, description="Of the encode, such as yuv420p10le.")
    height: int | None = Field(
        None, ge=16, le=16384, description="Lines of the encode, scaled back for scoring."
    )
    confidence: float = Field(
        0.95, ge=0.5, lt=1, description="At which the finished file meets the target."
    )
    pool: Pool | None = Field(
        None, description="How frames become the score; by default the model's own way."
    )
    tolerance: float = Field(
        1.5, gt=0, le=100, description="Points above the target beyond which it is encoded again."
    )
    max_kbps: float | None = Field(None, gt=0, description="Most kbit/s of the video.")
    min_saving: float | None = Field(
        None, gt=0, lt=100, description="Least percent of the source's bytes to save."
    )
    per_shot: bool = Field(False, description="Give each shot the setting that suits it.")


class ListModelsRequest(Request):
    """Lists models by name: shipped students with their held-out error, and VMAF's own."""


class ListBackendsRequest(Request):
    """Lists what can measure features on this machine, and whether it is live; libvmaf is the
    reference.
    """


class RowsRequest(Request):
    """The rows of a table that models are judged on."""

    features: Table
    split: Word = Field(
        "all",
        description="all, train, val or test (whole sources each), or the name of a source of the "
        "table.",
    )
    label: Word | None = Field(
        None,
        description="Label column, such as vmaf_v0.6.1 or mos; by default the one that the model "
        "learnt.",
    )
    interval: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Level, as 0.9: the interval of each clip too, and how often they hold the "
        "label, of models that are calibrated on it.",
    )


class EvaluateRequest(RowsRequest):
    """Computes PLCC, SROCC and RMSE of one model on a split of a feature table."""

    model: ModelName = Field(description=_MODEL)


class CompareRequest(RowsRequest):
    """Computes PLCC, SROCC and RMSE of several models on the same split of a feature table, and
    ranks them by RMSE.
    """

    models: list[ModelName] = Field(min_length=1, max_length=32, description=_MODEL)


class TrainRequest(Request):
    """Trains a student on a feature table or an embedded corpus, cross-validates it over whole
    sources, exports it and verifies the export, in a run folder below the output folder. Takes a
    minute or more.
    """

    name: OutputPath = Field(description="Name of the run; its folder's name.")
    overwrite: bool = Field(False, description="Replace an earlier run of that name.")
    features: InputFile | None = Field(None, description=_TABLE)
    corpus: Literal["support_vectors", "demo"] = Field(
        "support_vectors", description="What is learnt where no table is given."
    )
    label: Literal["teacher", "mos"] = Field("teacher", description="VMAF's scores, or viewers'.")
    teacher: TeacherName = Field(
        FEATURES.teacher, description="The label column of teacher labels, or a libvmaf .json file."
    )
    network: Literal["nano", "tiny", "rbf"] = Field("tiny", description="The student's network.")
    steps: int = Field(1500, ge=1, le=20_000, description="Training steps.")
    seed: int = Field(0, ge=0, lt=2**31, description="Of everything random.")
    folds: int | None = Field(
        None, ge=2, le=10_000, description="Folds of whole sources; by default one a source."
    )


class ExportRequest(Request):
    """Writes a trained student as ONNX (with 8 bits too) or libvmaf JSON below the output folder,
    verified against JAX.
    """

    model: ModelName = Field(description="A shipped student or the path of a run folder.")
    out: OutputPath = Field(
        description="File to write below the output folder, such as m/tiny.onnx."
    )
    format: Literal["onnx", "libvmaf"] = Field("onnx", description="libvmaf is for rbf students.")
    quantize: Literal["dynamic", "static"] | None = Field(
        None, description="Also write an 8-bit file beside an ONNX one."
    )

    def check_lists(self, settings: Settings) -> None:
        """Raises InputError where 8 bits are fitted to data of a run that may not be read."""
        if self.quantize is not None:
            check_training_data(Path(self.model), settings)


class BenchmarkRequest(Request):
    """Times a part of the library side by side with what it replaces. Takes minutes."""

    what: Literal["inference", "features", "extract", "train"] = Field(
        description="What is timed against what it replaces."
    )
    repeats: int | None = Field(None, ge=1, le=101, description="Runs of each side.")


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool's name, its arguments, and how a call of it is run.

    Attributes:
        name, title: for the client and its user.
        request: the kind of its arguments.
        long: whether a call may run for as long as a training.
        ends_worker: whether its worker is not used again: trainings and benchmarks leave more
            memory and threads behind than scores do.
        writes: whether it leaves files below the output folder.
    """

    name: str
    title: str
    request: type[Request]
    long: bool = False
    ends_worker: bool = False
    writes: bool = False

    @property
    def description(self) -> str:
        """Describes the tool to the client and its user, in one paragraph."""
        return " ".join(inspect.cleandoc(self.request.__doc__ or "").split())

    @functools.cached_property
    def input_schema(self) -> dict[str, object]:
        """The JSON schema of the arguments, without the description that the tool itself has."""
        schema = self.request.model_json_schema()
        return {name: value for name, value in schema.items() if name != "description"}


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("vmaf_score", "Score a video", ScoreRequest),
        Tool("rank", "Rank videos", RankRequest, long=True, writes=True),
        Tool("extract", "Extract features", ExtractRequest, long=True, writes=True),
        Tool("import", "Import features", ImportRequest, long=True, writes=True),
        Tool("check_table", "Check a feature table", CheckRequest, writes=True),
        Tool("ladder", "Compare codecs", LadderRequest, writes=True),
        Tool("encode", "Encode to a target", EncodeRequest, long=True, writes=True),
        Tool("suggest_clips", "Suggest clips to rate", SuggestRequest),
        Tool("calibrate", "Calibrate to titles", CalibrateRequest, writes=True),
        Tool("list_models", "List models", ListModelsRequest),
        Tool("list_backends", "List backends", ListBackendsRequest),
        Tool("eval_model_on_split", "Evaluate a model", EvaluateRequest),
        Tool("compare_models", "Compare models", CompareRequest),
        Tool("describe_worst_frames", "Describe the worst frames", WorstFramesRequest),
        Tool("quality_maps", "Draw where quality is lost", MapsRequest, writes=True),
        Tool("run_benchmark", "Run a benchmark", BenchmarkRequest, long=True, ends_worker=True),
        Tool(
            "train_model", "Train a model", TrainRequest, long=True, ends_worker=True, writes=True
        ),
        Tool("export_model", "Export a model", ExportRequest, writes=True),
    )
}


_Kind = TypeVar("_Kind", bound=Request)
_Settings = TypeVar("_Settings")


def parse_request(kind: type[_Kind], arguments: dict[str, object], settings: Settings) -> _Kind:
    """Validates a caller's arguments, and replaces the files in them by paths that may be used.

    Raises:
        InputError: an argument is missing, unknown or out of range, or names a file that may not be
            read or written; one line names the first such.
    """
    try:
        return kind.model_validate(arguments, context=settings)
    except pydantic.ValidationError as error:
        raise _first_error(error, kind) from None


def fill_settings(kind: type[_Settings], request: Request) -> _Settings:
    """Builds the settings of a job from the arguments that bear their names.

    Raises:
        InputError: as the settings do.
    """
    values = request.model_dump(exclude_none=True)  # what is not given has the settings' default
    # Settings of jobs hold the comparison as a part; requests have its fields among their own.
    if isinstance(request, Measurement) and kind is not Comparison:
        values["comparison"] = request.comparison
    try:
        return pydantic.TypeAdapter(kind).validate_python(values)
    except pydantic.ValidationError as error:
        raise _first_error(error, type(request)) from None


def _first_error(error: pydantic.ValidationError, kind: type[Request]) -> InputError:
    first = error.errors(include_url=False, include_input=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # of a validator of ours, in one line already
        return cause
    where = ".".join(str(part) for part in first["loc"])[:200]
    expected = ", ".join(kind.model_json_schema()["properties"]) or "none"
    if first["type"] == "extra_forbidden":
        text = f"unknown argument {where!r}; expected: {expected}."
    elif first["type"] == "missing":
        text = f"argument {where!r} is missing; expected: {expected}."
    else:
        text = f"argument {where!r}: {first['msg']}; correct it."
    return InputError(" ".join(text.split()))
