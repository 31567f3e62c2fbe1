"""Which network, which training: a declared grid, run in few programs, compared with intervals.

A candidate is a point of the grid. Every program trains all folds, seeds and temperatures of one
(corpus, network, activation, loss, regularisation, strategy) at once, with a final fit on all rows
per temperature for the surfaces that need one model. All figures come from the saved predictions.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.jobs.config import DataConfig, known, read_yaml, validate
from vmaf_jax.jobs.fit import fit_folds
from vmaf_jax.jobs.problem import Problem, load_problem
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.models import ACTIVATIONS, NETWORKS, ROW_NETWORKS, Student, Variables
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
    networks: tuple[Annotated[str, known(ROW_NETWORKS)], ...] = ROW_NETWORKS
    activations: tuple[Annotated[str, known(ACTIVATIONS)], ...] = ("silu", "relu")
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


def run_program(
    problem: Problem, base: Candidate, settings: TrainingSettings, temperatures: tuple[float, ...]
) -> list[Outcome]:
    """Trains all folds, seeds and temperatures of `base` at once; one outcome a temperature."""
    student = Student(
        network=base.network,
        head=settings.head,
        activation=base.activation,
        dropout=0.2 if base.regularised else 0.0,
        n_features=len(problem.table.feature_set),
    )
    fit = fit_folds(problem, student, settings, temperatures=[t or 1.0 for t in temperatures])
    return [
        Outcome(
            candidate=dataclasses.replace(base, temperature=temperature),
            seeds=settings.seeds,
            predicted=fit.predicted[k],
            student=student,
            variables=fit.finals[k],
        )
        for k, temperature in enumerate(temperatures)
    ]


def run_grid(
    config: SelectionConfig,
    problems: dict[str, Problem],
    *,
    full: bool = False,
    report: Report = silent,
) -> list[Outcome]:
    """All candidates trained on rows, then the finalists on teacher queries."""
    outcomes: list[Outcome] = []
    programs = list(_row_programs(config))
    on_step = report.steps("programs trained on rows", lambda: len(programs)) or (lambda done: None)
    for base, temperatures in programs:
        started = time.perf_counter()
        settings = TrainingSettings.model_validate(
            {
                "steps": config.rows.steps,
                "learning_rate": config.rows.learning_rate,
                "seeds": config.rows.seeds,
                "loss": base.loss,
                "weight_decay": 1e-3 if base.regularised else 0.0,
            }
        )
        outcomes += run_program(problems[base.corpus], base, settings, temperatures)
        on_step(1)
        report.say(f"{base.corpus}: {base.label} ({time.perf_counter() - started:.0f} s)")
    first = config.corpora[0]
    for best in finalists(outcomes, problems[first], first):
        started = time.perf_counter()
        base, settings = _query_program(config, best, full=full)
        outcomes += run_program(problems[first], base, settings, (base.temperature,))
        report.say(f"{first}: {base.label} ({time.perf_counter() - started:.0f} s)")
    return outcomes


def _row_programs(config: SelectionConfig) -> Iterator[tuple[Candidate, tuple[float, ...]]]:
    """The programs trained on rows: a candidate, and the temperatures that share its program."""
    for corpus, network in itertools.product(config.corpora, config.networks):
        for activation in _activations(config, network):
            for loss, regularised in _LOSSES:
                temperatures = config.temperatures if loss == "kl" else (0.0,)
                base = Candidate(
                    corpus, network, activation, loss, temperatures[0], regularised, "rows"
                )
                yield base, temperatures


def _query_program(
    config: SelectionConfig, best: Candidate, *, full: bool
) -> tuple[Candidate, TrainingSettings]:
    """A finalist trained on teacher queries, by the method that suits its network."""
    base = dataclasses.replace(best, strategy="teacher_queries", regularised=False)
    stage = config.queries.model_dump(exclude={"seeds", "full_seeds"})
    if NETWORKS[best.network].is_svr:
        base = dataclasses.replace(base, loss="squared_error", temperature=0.0)
        stage = {**config.least_squares.model_dump(), "optimiser": "levenberg_marquardt"}
    seeds = config.queries.full_seeds if full else config.queries.seeds
    settings = {**stage, "strategy": "teacher_queries", "loss": base.loss, "seeds": seeds}
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
    return validate(SelectionConfig, read_yaml(path), path)
