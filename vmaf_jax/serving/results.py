"""What each tool gives back, as its output schema says it."""

import math
from typing import Annotated, Any

import pydantic
from pydantic import BeforeValidator, Field


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Figure = Annotated[float | None, BeforeValidator(_finite)]  # null where it is undefined


class Result(pydantic.BaseModel, frozen=True):
    """The structured content of an answer."""


class Frame(Result):
    """One frame of a clip."""

    frame: int = Field(description="Number, from 0.")
    score: float = Field(description="VMAF points, 0-100.")
    features: dict[str, float] = Field(description="By name, no unit.")


class Frames(Result):
    """A part of a clip's frames."""

    frames: list[Frame]
    next: str | None = Field(None, description="URI of the part that follows; null at the end.")


class Statistics(Result):
    """How a clip's frames are spread, VMAF points."""

    mean: float
    harmonic_mean: float
    min: float
    p1: float
    p5: float
    frames: int


class Interval(Result):
    """Where a clip's score lies."""

    level: float = Field(description="The share of new sources' clips whose label it is to hold.")
    low: float = Field(description="Points, 0-100.")
    high: float = Field(description="Points, 0-100.")
    kind: str = Field(description="How it was made.")


class Scored(Frames):
    """Result of `vmaf_score`."""

    model: str
    kind: str = Field(description="run (JAX), onnx, or libvmaf (one of VMAF's own models).")
    backend: str = Field(description="What measured the features.")
    score: float = Field(description="The clip's score by the model's own pooling, points.")
    interval: Interval | None = Field(None, description="Of the score, where it was asked for.")
    inside_training_region: bool | None = Field(
        None, description="Whether the clip is like those the model learnt from; null if unknown."
    )
    statistics: Statistics
    features: dict[str, float] = Field(description="Means over frames, no unit.")
    seconds: dict[str, float] = Field(description="Spent on extraction and on inference.")


class Described(Result):
    """Result of `describe_worst_frames`."""

    model: str
    score: float = Field(description="The clip's score, by the model's own pooling, points.")
    frames_in_clip: int
    features: dict[str, float] = Field(description="Means over the clip, no unit.")
    worst: list[Frame] = Field(description="The lowest first; pictures come in this order.")


class RankedVideo(Result):
    """One of several videos."""

    rank: int = Field(description="From 1, the highest score first.")
    reference: str
    distorted: str
    score: float = Field(description="The clip's score by the model's own pooling, points.")
    bytes: int | None = Field(description="Of the file.")
    kbit_per_s: Figure = Field(None, description="Its size over its duration.")
    interval: Interval | None = Field(None, description="Of the score, where it was asked for.")
    inside_training_region: bool | None = None
    statistics: Statistics


class FailedVideo(Result):
    """A video without a score."""

    reference: str
    distorted: str
    reason: str


class Ranked(Result):
    """Result of `rank`."""

    model: str | None = Field(description="What scored; null where no video has a score.")
    n_ranked: int
    ranked: list[RankedVideo] = Field(description="The highest first; an answer has 500.")
    n_failed: int
    failed: list[FailedVideo] = Field(description="Those without a score; an answer has 500.")
    out: str | None = Field(description="The file with everything, where one was asked for.")


class Tabled(Result):
    """Result of `extract` and of `import`."""

    out: str = Field(description="The feature table; give it as `features`.")
    rows: int
    clips: int
    n_sources: int
    sources: list[str] = Field(description="Sorted; an answer has 500.")
    labels: list[str]
    label_scale: list[float] | None = Field(description="Worst and best vote, where people voted.")


class BdRate(Result):
    """A codec beside the anchor; percent of the anchor's rate."""

    codec: str
    contents: int = Field(description="That both have curves of.")
    mean: dict[str, Figure] = Field(description="Over contents, by method.")
    intervals: dict[str, tuple[float, float] | None] = Field(
        description="Of those means; null with too few contents."
    )


class LeftOut(Result):
    """Encodes that no curve or comparison could be made of."""

    content: str | None
    codec: str
    reason: str


class Rung(Result):
    """An encode on the convex hull of its content's."""

    content: str
    codec: str
    kbps: float
    score: float
    height: int | None


class Laddered(Result):
    """Result of `ladder`."""

    anchor: str
    level: float
    curves_through: str = Field(description="hull or all encodes.")
    n_encodes: int
    bd_rate: list[BdRate]
    n_left_out: int
    left_out: list[LeftOut] = Field(description="An answer has 500.")
    n_hull: int
    hull: list[Rung] = Field(description="By content, then by rate; an answer has 500.")
    out: str | None = Field(description="The file with everything, where one was asked for.")


class ModelEntry(Result):
    """One model that goes by its name."""

    name: str
    kind: str = Field(description="student (shipped) or vmaf (VMAF's own).")
    feature_set: str
    label: str
    n_params: int | None = None
    rmse: Figure = Field(None, description="Held-out RMSE against the label, in `unit`.")
    unit: str = Field(
        description="Of `rmse`: VMAF points, or votes on the scale that was voted on."
    )
    card: str | None = Field(None, description="URI of its card, a resource.")


class Models(Result):
    """Result of `list_models`."""

    models: list[ModelEntry]


class BackendEntry(Result):
    """Something that measures features."""

    name: str
    live: bool
    detail: str


class Backends(Result):
    """Result of `list_backends`."""

    backends: list[BackendEntry]


class ClipInterval(Result):
    """A clip's score and its interval, beside its label; points, 0-100."""

    source: str
    clip: str
    label: float
    score: float
    low: float
    high: float


class ClipIntervals(Result):
    """The intervals of a split's clips."""

    level: float = Field(description="The share of new sources' clips whose label they are for.")
    held: float = Field(description="The share of these clips whose label they hold.")
    mean_width: float = Field(description="Points.")
    n_clips: int
    clips: list[ClipInterval] = Field(description="In the table's order; an answer has 500.")


class Agreement(Result):
    """A model against labels."""

    model: str
    kind: str
    plcc: Figure = Field(None, description="Pearson's correlation; null where undefined.")
    srocc: Figure = Field(None, description="Spearman's rank correlation; null where undefined.")
    rmse: Figure = Field(None, description="VMAF points.")
    max_abs: Figure = Field(None, description="Worst absolute error, VMAF points.")
    intervals: ClipIntervals | None = Field(
        None, description="Where asked for; null if the model is not calibrated on this label."
    )


class Compared(Result):
    """Result of `compare_models`: the smallest RMSE first."""

    label: str
    split: str
    rows: int
    sources: list[str]
    ranked: list[Agreement]


class Evaluated(Agreement):
    """Result of `eval_model_on_split`."""

    label: str
    split: str
    rows: int
    sources: list[str]


class Benchmarked(Result):
    """Result of `run_benchmark`."""

    what: str
    report: dict[str, Any]
    lines: list[str] = Field(description="The report for people.")


class Trained(Result):
    """Result of `train_model`."""

    run_dir: str = Field(description="The run's folder; give it as a model.")
    plcc: Figure = None
    srocc: Figure = None
    rmse: Figure = Field(None, description="Held-out (folds of whole sources), VMAF points.")
    max_abs: Figure = None
    rows: int
    sources: int
    parity_max_abs: Figure = Field(None, description="ONNX against JAX, VMAF points.")
    train_s: float


class Exported(Result):
    """Result of `export_model`."""

    files: list[str]
    lines: list[str] = Field(description="How the verification came out, for people.")
