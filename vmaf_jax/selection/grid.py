"""Which network, which training: a declared grid, run in few programs, compared with intervals.

A candidate is a point of the grid, and trains as the points of any sweep do (`jobs.programs`): with
all folds, seeds and temperatures of its shape in one program, and a final fit on all rows for the
surfaces that need one model. All figures come from the saved predictions.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.models import ACTIVATIONS, NETWORKS, ROW_NETWORKS, Student, Variables
from vmaf_jax.plain_yaml import read_yaml
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.config import DataConfig, find_config, one_of, validate
from vmaf_jax.runs.fit import Point, fit_points
from vmaf_jax.runs.problem import Problem, load_problem
from vmaf_jax.runs.state import KeptState
from vmaf_jax.teacher import DEFAULT_TEACHER
from vmaf_jax.training import TrainingSettings

GAUSSIAN = "gaussian"  # what a network of Gaussian units has for an activation
_LOSSES = (("squared_error", False), ("squared_error", True), ("kl", False))  # and regularised


class RowsStage(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Training on the rows of a corpus."""

    steps: pydantic.PositiveInt = 500
    learning_rate: pydantic.PositiveFloat = 2e-2
    seeds: tuple[pydantic.NonNegativeInt, ...] = (0, 1)


class QueriesStage(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Teacher queries for the finalists: the best row-trained candidate of each network."""

    steps: pydantic.PositiveInt = 4000
    batch_size: pydantic.PositiveInt = 256
    learning_rate: pydantic.PositiveFloat = 1e-2
    weight_decay: pydantic.NonNegativeFloat = 0.03
    seeds: tuple[pydantic.NonNegativeInt, ...] = (0,)
    full_seeds: tuple[pydantic.NonNegativeInt, ...] = (0, 1, 2, 3, 4)


class LeastSquaresStage(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The same for a network of Gaussian units, which AdamW leaves far from its optimum."""

    steps: pydantic.PositiveInt = 120
    batch_size: pydantic.PositiveInt = 1024


class SelectionConfig(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The grid; the resolved copy is saved beside its result."""

    name: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    corpora: tuple[Literal["support_vectors", "demo"], ...] = ("support_vectors", "demo")
    teacher: str = DEFAULT_TEACHER
    networks: tuple[Annotated[str, one_of(ROW_NETWORKS)], ...] = ROW_NETWORKS
    activations: tuple[Annotated[str, one_of(ACTIVATIONS)], ...] = ("silu", "relu")
    temperatures: tuple[pydantic.PositiveFloat, ...] = (1.0, 2.0, 4.0, 8.0)
    rows: RowsStage = RowsStage()
    queries: QueriesStage = QueriesStage()
    least_squares: LeastSquaresStage = LeastSquaresStage()


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A point of the grid; `temperature` is 0 for squared error."""

    corpus: str
    network: str
    activation: str
    loss: str
    temperature: float
    regularised: bool
    strategy: str

    @property
    def label(self) -> str:
        """For people, without the corpus."""
        loss = "squared error" if self.loss == "squared_error" else f"KL T={self.temperature:g}"
        extra = ", decay and dropout" if self.regularised else ""
        queries = ", queries" if self.strategy == "teacher_queries" else ""
        return f"{self.network}, {self.activation}, {loss}{extra}{queries}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one candidate predicted.

    Attributes:
        seeds: of the cross-validations.
        predicted: held-out, clipped, VMAF points, `[seeds, n]`.
        student, variables: the final fit on all rows, first seed.
    """

    candidate: Candidate
    seeds: tuple[int, ...]
    predicted: npt.NDArray[np.float64]
    student: Student
    variables: Variables


def load_corpus(corpus: Literal["support_vectors", "demo"], teacher: str) -> Problem:
    """One corpus as clip means, so that its size is that of the small corpora in question."""
    return load_problem(DataConfig(corpus=corpus, teacher=teacher, mean_pool=True))


def run_candidates(
    candidates: Sequence[tuple[Candidate, TrainingSettings]],
    problems: Mapping[str, Problem],
    *,
    state: KeptState | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[Outcome]:
    """Trains candidates in as few programs as their shapes make; an outcome each."""
    points = [
        Point(
            problem=candidate.corpus,
            student=Student(
                network=candidate.network,
                head=settings.head,
                activation=candidate.activation,
                dropout=0.2 if candidate.regularised else 0.0,
                n_features=len(problems[candidate.corpus].table.feature_set),
            ),
            settings=settings,
        )
        for candidate, settings in candidates
    ]
    fits = fit_points(points, problems, state=state, progress=progress)
    return [
        Outcome(candidate, settings.seeds, fit.predicted[0], fit.student, fit.final)
        for (candidate, settings), fit in zip(candidates, fits, strict=True)
    ]


def run_grid(
    config: SelectionConfig,
    problems: dict[str, Problem],
    *,
    full: bool = False,
    state: KeptState | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[Outcome]:
    """All candidates trained on rows, then the finalists on teacher queries.

    Args:
        state: which programs are through already; None to keep none.
    """
    about: dict[str, Any] = {"state": state, "progress": progress}
    outcomes = run_candidates(list(_on_rows(config)), problems, **about)
    first = config.corpora[0]
    best = finalists(outcomes, problems[first], first)
    queried = [_on_queries(config, candidate, full=full) for candidate in best]
    return outcomes + run_candidates(queried, problems, **about)


def _on_rows(config: SelectionConfig) -> Iterator[tuple[Candidate, TrainingSettings]]:
    """The candidates trained on rows, and how."""
    for corpus, network in itertools.product(config.corpora, config.networks):
        for activation in _activations(config, network):
            for loss, regularised in _LOSSES:
                for temperature in config.temperatures if loss == "kl" else (0.0,):
                    settings = {
                        "steps": config.rows.steps,
                        "learning_rate": config.rows.learning_rate,
                        "seeds": config.rows.seeds,
                        "loss": loss,
                        "temperature": temperature or 1.0,
                        "weight_decay": 1e-3 if regularised else 0.0,
                    }
                    candidate = Candidate(
                        corpus, network, activation, loss, temperature, regularised, "rows"
                    )
                    yield candidate, TrainingSettings.model_validate(settings)


def _on_queries(
    config: SelectionConfig, best: Candidate, *, full: bool
) -> tuple[Candidate, TrainingSettings]:
    """A finalist trained on teacher queries, by the method that suits its network."""
    base = dataclasses.replace(best, strategy="teacher_queries", regularised=False)
    stage = config.queries.model_dump(exclude={"seeds", "full_seeds"})
    if NETWORKS[best.network].is_svr:
        base = dataclasses.replace(base, loss="squared_error", temperature=0.0)
        stage = {**config.least_squares.model_dump(), "optimiser": "levenberg_marquardt"}
    seeds = config.queries.full_seeds if full else config.queries.seeds
    settings = {
        **stage,
        "strategy": "teacher_queries",
        "loss": base.loss,
        "temperature": base.temperature or 1.0,
        "seeds": seeds,
    }
    return base, TrainingSettings.model_validate(settings)


def _activations(config: SelectionConfig, network: str) -> tuple[str, ...]:
    return config.activations if NETWORKS[network].activations else (GAUSSIAN,)


def finalists(outcomes: list[Outcome], problem: Problem, corpus: str) -> list[Candidate]:
    """The row-trained candidate of each network with the lowest held-out RMSE on `corpus`."""
    best: dict[str, Outcome] = {}
    for outcome in outcomes:
        candidate = outcome.candidate
        if candidate.corpus != corpus or candidate.strategy != "rows":
            continue
        rival = best.setdefault(candidate.network, outcome)
        if rmse(outcome.predicted, problem.label) < rmse(rival.predicted, problem.label):
            best[candidate.network] = outcome
    return [outcome.candidate for outcome in best.values()]


def load_selection(path: Path) -> SelectionConfig:
    """Reads and validates the grid.

    Raises:
        InputError: as for any configuration.
    """
    return validate(SelectionConfig, read_yaml(find_config(path)), path)
