"""The answers of the tools, and the schemas that clients get of them.

A result holds the dataclasses of its job where they are plain values, and the part of the others
that fits an answer. Schemas are written from these dataclasses, with the descriptions of fields
from their docstrings. Importing this module loads JAX and the jobs, so only workers do.
"""

import inspect
import re
from dataclasses import dataclass

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from vmaf_jax.corpora.encodes import Encode
from vmaf_jax.evaluation.conformal import ScoreInterval
from vmaf_jax.jobs.calibrate import CalibratedClip, TitleSuggestions
from vmaf_jax.jobs.check import Finding
from vmaf_jax.jobs.doctor import ListedBackend, ListedModel
from vmaf_jax.jobs.ladder import LeftOut
from vmaf_jax.scoring.intervals import ClipIntervals
from vmaf_jax.scoring.rank import Failure
from vmaf_jax.scoring.scores import WorstRegion
from vmaf_jax.serving.resources import PART
from vmaf_jax.tables.dataset import TableSummary


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of a clip.

    Attributes:
        frame: number among the compared frames, from 0.
        reference_frame, distorted_frame: its numbers in the two videos.
        score: VMAF points, 0-100.
        features: by name, no unit.
    """

    frame: int
    reference_frame: int
    distorted_frame: int
    score: float
    features: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """A part of a clip's frames.

    Attributes:
        next: URI of the part that follows; null at the end.
    """

    frames: list[Frame]
    next: str | None = None


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The distribution of a clip's frames, VMAF points."""

    mean: float
    harmonic_mean: float
    min: float
    p1: float
    p5: float
    p10: float
    median: float
    frames: int
    worst_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A part of a clip.

    Attributes:
        score: the mean over its frames, points.
        first_frame, last_frame: both included.
        from_s, to_s: in the reference, seconds; null where it has no frame rate.
        reference_frames, distorted_frames: its first and last frame in the two videos.
        distorted_from_s, distorted_to_s: in the distorted video, seconds.
    """

    score: float
    first_frame: int
    last_frame: int
    from_s: float | None = None
    to_s: float | None = None
    reference_frames: tuple[int, int]
    distorted_frames: tuple[int, int]
    distorted_from_s: float | None = None
    distorted_to_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreResult(Frames):
    """The score of a clip.

    Attributes:
        kind: run (JAX), onnx, or libvmaf (one of VMAF's own models).
        model_choice: why this model was taken, where auto or phone stood for it.
        backend: what measured the features.
        score: the clip's score, points.
        pooling: how frames became the score; the model's own way unless another was requested.
        moments: worst-second, and worst-shot where that pooling was requested.
        interval: of the score, where it was requested.
        worst_region: the part of a picture that departs most, where it was requested.
        inside_training_region: whether the clip is like those the model learnt from; null if
            unknown.
        features: means over frames, no unit.
        seconds: spent on extraction and on inference.
        warnings: what differs between the videos, and what was left out of them, a sentence each.
    """

    model: str
    kind: str
    model_choice: str | None = None
    backend: str
    score: float
    pooling: str
    moments: dict[str, Moment]
    interval: ScoreInterval | None = None
    worst_region: WorstRegion | None = None
    inside_training_region: bool | None = None
    statistics: Statistics
    features: dict[str, float]
    seconds: dict[str, float]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class WorstFramesResult:
    """The frames of a clip that score lowest.

    Attributes:
        score: the clip's score by the model's own pooling, points.
        features: means over the clip, no unit.
        worst: the lowest first; pictures come in this order.
        warnings: what differs between the videos, and what was left out of them, a sentence each.
    """

    model: str
    score: float
    frames_in_clip: int
    features: dict[str, float]
    worst: list[Frame]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class MapsResult:
    """Pictures of where frames lose quality.

    Attributes:
        score: the clip's score, points.
        files: PNG; a name has the frame's number and the feature.
        worst_region: the part of a picture that departs most, where it was requested.
        warnings: what differs between the videos, and what was left out of them, a sentence each.
    """

    model: str
    score: float
    files: list[str]
    worst_region: WorstRegion | None = None
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class RankedVideo:
    """One of several videos that were scored.

    Attributes:
        rank: from 1, the highest score first.
        score: the clip's score, points, by the requested pooling or the model's own.
        bytes: of the file.
        kbit_per_s: its size over its duration; null where that is unknown.
        interval: of the score, where it was requested.
        worst_region: the part of a picture that departs most, where it was requested.
        warnings: what differs between the videos, and what was left out of them, a sentence each.
    """

    rank: int
    reference: str
    distorted: str
    score: float
    bytes: int | None
    kbit_per_s: float | None = None
    interval: ScoreInterval | None = None
    worst_region: WorstRegion | None = None
    inside_training_region: bool | None = None
    statistics: Statistics
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class RankResult:
    """Several videos, the best first.

    Attributes:
        model: what scored; null where no video has a score.
        ranked: the highest first; an answer has 500.
        failed: those without a score; an answer has 500.
        out: the file with everything, where one was requested.
    """

    model: str | None
    n_ranked: int
    ranked: list[RankedVideo]
    n_failed: int
    failed: list[Failure]
    out: str | None


@dataclass(frozen=True, kw_only=True)
class TableResult:
    """A feature table that was written.

    Attributes:
        out: its path; give it as `features`.
        sources: sorted; an answer has 500.
        label_scale: worst and best vote, where people voted.
    """

    out: str
    rows: int
    clips: int
    n_sources: int
    sources: list[str]
    labels: list[str]
    label_scale: list[float] | None

    @classmethod
    def of(cls, out: str, summary: TableSummary) -> "TableResult":
        """Describes the table that was written to `out`."""
        return cls(
            out=out,
            rows=summary.rows,
            clips=summary.n_clips,
            n_sources=len(summary.sources),
            sources=summary.sources[:PART],
            labels=summary.labels,
            label_scale=None if summary.label_scale is None else list(summary.label_scale),
        )


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What deserves no belief in a feature table.

    Attributes:
        n_clips: how many were looked at.
        n_findings: how many clips and subjects were found.
        findings: by clip, in the order of the table; an answer has 500.
        skipped: looks that the table does not allow, and why.
        out: the file with everything, where one was requested.
    """

    n_clips: int
    n_findings: int
    findings: list[Finding]
    skipped: list[str]
    out: str | None


@dataclass(frozen=True, kw_only=True)
class BdRate:
    """A codec beside the anchor, percent of the anchor's rate.

    Attributes:
        contents: number of contents that both have curves of.
        mean: over contents, by method; null where it is undefined.
        intervals: of those means; null with too few contents.
    """

    codec: str
    contents: int
    mean: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]


@dataclass(frozen=True, kw_only=True)
class LadderResult:
    """Codecs compared by rate and quality.

    Attributes:
        curves_through: hull or all encodes.
        left_out: encodes that no curve or comparison could be made of; an answer has 500.
        hull: encodes on the hull of their content, by content, then by rate; an answer has 500.
        out: the file with everything, where one was requested.
    """

    anchor: str
    level: float
    curves_through: str
    n_encodes: int
    bd_rate: list[BdRate]
    n_left_out: int
    left_out: list[LeftOut]
    n_hull: int
    hull: list[Encode]
    out: str | None


@dataclass(frozen=True, kw_only=True)
class SuggestResult:
    """Clips of titles to have rated; errors are on `label_scale`. An answer has 500 titles."""

    label_scale: tuple[float, float]
    n_titles: int
    suggestions: list[TitleSuggestions]


@dataclass(frozen=True, kw_only=True)
class CalibrateResult:
    """Clips with their votes as predicted, on `label_scale`; all in `clips.csv` of the folder.

    Attributes:
        out: the folder, which is a model.
        interval: level of the intervals.
        clips: an answer has 500.
        note: which titles are of a test without votes; null without such.
    """

    out: str
    model: str
    label_scale: tuple[float, float]
    interval: float
    n_clips: int
    n_rated: int
    clips: list[CalibratedClip]
    note: str | None


@dataclass(frozen=True)
class ModelsResult:
    """The models that go by a name."""

    models: list[ListedModel]


@dataclass(frozen=True)
class BackendsResult:
    """What measures features on the server's machine."""

    backends: list[ListedBackend]


@dataclass(frozen=True, kw_only=True)
class SplitIntervals(ClipIntervals):
    """The intervals of a split's clips.

    Attributes:
        held: the share of these clips whose label they hold.
        clips: in the table's order; an answer has 500 for all models together.
        n_clips: how many clips there are.
    """

    n_clips: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A model's agreement with labels; figures that are undefined are null.

    Attributes:
        plcc: Pearson's correlation.
        srocc: Spearman's rank correlation.
        rmse: VMAF points.
        max_abs: worst absolute error, VMAF points.
        intervals: where requested; null if the model is not calibrated on this label.
    """

    model: str
    kind: str
    plcc: float | None = None
    srocc: float | None = None
    rmse: float | None = None
    max_abs: float | None = None
    intervals: SplitIntervals | None = None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows that models were judged on."""

    label: str
    split: str
    rows: int
    sources: list[str]


@dataclass(frozen=True, kw_only=True)
class CompareResult(Rows):
    """Several models on the same rows.

    Attributes:
        ranked: the smallest RMSE first.
    """

    ranked: list[Agreement]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult(Agreement, Rows):
    """One model on a split."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """Timings of a part of the library and of what it replaces.

    Attributes:
        lines: the report for people.
    """

    what: str
    report: dict[str, object]
    lines: list[str]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A run: its held-out figures (folds of whole sources), null where undefined.

    Attributes:
        run_dir: the run's folder; give it as a model.
        rmse, max_abs: VMAF points.
        parity_max_abs: ONNX against JAX, VMAF points.
    """

    run_dir: str
    plcc: float | None = None
    srocc: float | None = None
    rmse: float | None = None
    max_abs: float | None = None
    rows: int
    sources: int
    parity_max_abs: float | None = None
    train_s: float


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """The files that were written.

    Attributes:
        lines: the outcome of the verification, for people.
    """

    files: list[str]
    lines: list[str]


class ResultSchema(GenerateJsonSchema):
    """Writes schemas in which docstrings describe dataclasses and their fields."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, object]:
        """Returns the schema of a dataclass."""
        document = super().dataclass_schema(schema)
        for kind in reversed(schema["cls"].__mro__[:-1]):
            summary, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")
            document["description"] = " ".join(summary.split())
            # An entry is indented by four spaces, and the lines that continue it by more.
            for entry in re.split(r"\n(?=    \S)", attributes):
                names, _, text = " ".join(entry.split()).partition(": ")
                for name in names.split(", "):
                    if name in document["properties"]:
                        document["properties"][name]["description"] = text[:1].upper() + text[1:]
        return document

    def field_is_required(self, field: object, total: bool) -> bool:
        """Returns True: an answer has every field, those of default value included."""
        return True
