"""Which network, which training: a declared grid, run in few programs, compared with intervals.

A candidate is a point of the grid. Every program trains all folds, seeds and temperatures of one
(corpus, network, activation, loss, regularisation, strategy) at once, with a final fit on all rows
per temperature for the surfaces that need one model. All figures come from the saved predictions.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pydantic

from vmaf_jax.config import DataConfig, known, read_yaml, validate
from vmaf_jax.data import labels_and_targets, load_data, queried_teacher
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.models import ACTIVATIONS, MODELS, Student
from vmaf_jax.training import Rows, TrainingSettings, loso_masks, loso_members, train_members

GAUSSIAN = "gaussian"  # what an rbf network has for an activation


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
    teacher: str = "vmaf_v0.6.1"
    networks: tuple[Annotated[str, known(MODELS)], ...] = (
        "nano",
        "tiny",
        "attention",
        "rbf",
    )
    activations: tuple[Annotated[str, known(ACTIVATIONS)], ...] = ("silu", "relu")
    temperatures: tuple[pydantic.PositiveFloat, ...] = (1.0, 2.0, 4.0, 8.0)
    rows: RowsStage = RowsStage()
    queries: QueriesStage = QueriesStage()
    least_squares: LeastSquaresStage = LeastSquaresStage()
    draws: pydantic.PositiveInt = 2000


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
        asked = ", queries" if self.strategy == "teacher_queries" else ""
        return f"{self.network}, {self.activation}, {loss}{extra}{asked}"


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
    predicted: np.ndarray
    student: Student
    variables: Any


@dataclasses.dataclass(frozen=True)
class Problem:
    """A corpus ready to train on: clip means, labels `[n]`, sources and their folds."""

    table: FeatureTable
    label: np.ndarray
    target: np.ndarray
    fold: np.ndarray
    masks: np.ndarray
    data: DataConfig


def load_problem(corpus: Literal["support_vectors", "demo"], teacher: str) -> Problem:
    """One corpus as clip means, so that its size is that of the small corpora in question."""
    data = DataConfig(corpus=corpus, teacher=teacher, mean_pool=True)
    table = load_data(data)
    label, target = labels_and_targets(table, data)
    sources, masks = loso_masks(table.source)
    fold = np.array([sources.index(source) for source in table.source])
    return Problem(table, label, target, fold, masks, data)


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
    seeds, heats = list(settings.seeds), [t or 1.0 for t in temperatures]
    members = loso_members(problem.masks, seeds, heats)
    rows = Rows(problem.table.features, problem.target)
    asked = None
    if settings.strategy == "teacher_queries":
        asked = queried_teacher(problem.table, problem.data).params()
    trained = train_members(rows, members, asked, student=student, settings=settings)
    every = jax.jit(jax.vmap(student.predict, in_axes=(0, None)))
    features = jnp.asarray(problem.table.features, jnp.float32)
    predicted = np.asarray(every(trained.variables, features), dtype=np.float64)
    n_folds, n = len(problem.masks), len(problem.table)
    grid = predicted[: len(seeds) * len(heats) * n_folds]
    grid = grid.reshape(len(seeds), len(heats), n_folds, n)[:, :, problem.fold, np.arange(n)]
    return [
        Outcome(
            candidate=dataclasses.replace(base, temperature=temperature),
            seeds=settings.seeds,
            predicted=grid[:, k],
            student=student,
            variables=trained.member(len(seeds) * len(heats) * n_folds + k),
        )
        for k, temperature in enumerate(temperatures)
    ]


def run_grid(
    config: SelectionConfig,
    problems: dict[str, Problem],
    *,
    full: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[Outcome]:
    """All candidates trained on rows, then the finalists on teacher queries."""
    outcomes: list[Outcome] = []
    plain = {"steps": config.rows.steps, "learning_rate": config.rows.learning_rate}
    grid = itertools.product(config.corpora, config.networks)
    for corpus, network, activation in (
        (*point, each) for point in grid for each in _activations(config, point[1])
    ):
        for loss, regularised in (("squared_error", False), ("squared_error", True), ("kl", False)):
            started = time.perf_counter()
            base = Candidate(corpus, network, activation, loss, 0.0, regularised, "rows")
            settings = TrainingSettings.model_validate(
                {
                    **plain,
                    "seeds": config.rows.seeds,
                    "loss": loss,
                    "weight_decay": 1e-3 if regularised else 0.0,
                }
            )
            temperatures = config.temperatures if loss == "kl" else (0.0,)
            outcomes += run_program(problems[corpus], base, settings, temperatures)
            say(f"{corpus}: {base.label if loss != 'kl' else f'{network}, {activation}, KL'} "
                f"({time.perf_counter() - started:.0f} s)")  # fmt: skip
    seeds = config.queries.full_seeds if full else config.queries.seeds
    first = config.corpora[0]
    for best in finalists(outcomes, problems[first], first):
        started = time.perf_counter()
        base = dataclasses.replace(best, strategy="teacher_queries", regularised=False)
        stage = config.queries.model_dump(exclude={"seeds", "full_seeds"})
        if best.activation == GAUSSIAN:
            base = dataclasses.replace(base, loss="squared_error", temperature=0.0)
            stage = {**config.least_squares.model_dump(), "optimiser": "levenberg_marquardt"}
        settings = TrainingSettings.model_validate(
            {**stage, "strategy": "teacher_queries", "loss": base.loss, "seeds": seeds}
        )
        outcomes += run_program(problems[first], base, settings, (base.temperature,))
        say(f"{first}: {base.label} ({time.perf_counter() - started:.0f} s)")
    return outcomes


def _activations(config: SelectionConfig, network: str) -> tuple[str, ...]:
    return (GAUSSIAN,) if network == "rbf" else config.activations


def finalists(outcomes: list[Outcome], problem: Problem, corpus: str) -> list[Candidate]:
    """The row-trained candidate of each network with the lowest held-out RMSE on `corpus`."""

    def rmse(outcome: Outcome) -> float:
        return float(np.sqrt(np.mean(np.square(outcome.predicted - problem.label))))

    best: dict[str, Outcome] = {}
    for outcome in outcomes:
        candidate = outcome.candidate
        if candidate.corpus != corpus or candidate.strategy != "rows":
            continue
        if candidate.network not in best or rmse(outcome) < rmse(best[candidate.network]):
            best[candidate.network] = outcome
    return [outcome.candidate for outcome in best.values()]


def load_selection(path: Path) -> SelectionConfig:
    """Reads and validates the grid.

    Raises:
        InputError: as for any configuration.
    """
    return validate(SelectionConfig, read_yaml(path), path)
