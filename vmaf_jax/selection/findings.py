"""What a selection found: the content of `selection.json`."""

import dataclasses

from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import Metrics, RangeRmse


@dataclasses.dataclass(frozen=True)
class CorpusFacts:
    """A corpus of clip means: its size, and how the teacher's scores are spread."""

    rows: int
    sources: int
    kurtosis: float
    skewness: float
    below_20: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateFigures(Metrics):
    """A candidate and its held-out figures, over all seeds and rows; RMSE in VMAF points.

    Attributes:
        label: for people, without the corpus.
        temperature: 0 for squared error.
        ranges: RMSE by range of the true score, one entry for each of `RANGES`.
    """

    label: str
    corpus: str
    network: str
    activation: str
    loss: str
    temperature: float
    regularised: bool
    strategy: str
    seeds: list[int]
    rmse_interval: Interval
    plcc_interval: Interval
    ranges: list[RangeRmse]


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """Two candidates that differ in one setting, on the same rows.

    Attributes:
        kind: what differs.
        difference: RMSE of `first` less that of `second`, VMAF points, with its interval.
        gain_ends, gain_middle: by how much of its RMSE the second is bettered, at labels in
            [0, 20] or [80, 100], and between them.
    """

    kind: str
    corpus: str
    first: str
    second: str
    network: str
    activation: str
    temperature: float
    difference: float
    interval: Interval
    gain_ends: float
    gain_middle: float

    @property
    def better(self) -> bool:
        """Whether the first is better beyond doubt."""
        return self.interval.high < 0

    @property
    def worse(self) -> bool:
        """Whether the first is worse beyond doubt."""
        return self.interval.low > 0


@dataclasses.dataclass(frozen=True)
class DeploymentFigures:
    """One exported model of a network and head: its size, and a call of one row in microseconds."""

    network: str
    head: str
    parameters: int
    onnx_bytes: int
    latency_us: float


@dataclasses.dataclass(frozen=True)
class Surfaces:
    """Evaluation surfaces: what each candidate scores on it, and whether it orders them alike.

    Attributes:
        values: by surface, one a candidate.
        spearman_with_held_out: by surface, over candidates.
        teacher_cross_backend_rmse: by how much the teacher itself moves between backends.
    """

    candidates: list[str]
    held_out_rmse: list[float]
    values: dict[str, list[float]]
    spearman_with_held_out: dict[str, float]
    teacher_cross_backend_rmse: float


@dataclasses.dataclass(frozen=True)
class Choice:
    """The candidate to ship, and why; RMSE in VMAF points."""

    candidate: str
    rmse: float
    rmse_interval: Interval
    parameters: int
    most_accurate: str
    most_accurate_rmse: float
    runner_up: str
    margin: float
    reason: str

    def __str__(self) -> str:
        return f"{self.candidate}: held-out RMSE {self.rmse:.4f}; {self.reason}"


@dataclasses.dataclass(frozen=True)
class Findings:
    """Everything that a selection found."""

    corpora: dict[str, CorpusFacts]
    candidates: list[CandidateFigures]
    comparisons: list[PairedComparison]
    deployment: list[DeploymentFigures]
    surfaces: Surfaces
    choice: Choice
    full: bool
    total_s: float
