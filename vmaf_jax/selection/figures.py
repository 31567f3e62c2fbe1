"""From the grid's predictions to figures: candidates, paired comparisons, deployment, choice."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.stats

from vmaf_jax.evaluation.intervals import Moments, plcc_interval, rmse_difference, rmse_interval
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END, RANGES, all_metrics, range_rmse, rmse
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.sidecar import Identity
from vmaf_jax.models import deploy
from vmaf_jax.runs.problem import Problem
from vmaf_jax.selection.findings import (
    CandidateFigures,
    Choice,
    CorpusFacts,
    DeploymentFigures,
    PairedComparison,
)
from vmaf_jax.selection.grid import Candidate, Outcome

VISIBLE = 0.1  # VMAF points; a smaller difference in RMSE is not worth parameters
_CALLS = 300


def corpus_facts(problem: Problem) -> CorpusFacts:
    """Size of a corpus, and the spread of its labels."""
    return CorpusFacts(
        rows=len(problem.table),
        sources=len(problem.sources),
        kurtosis=float(scipy.stats.kurtosis(problem.label)),
        skewness=float(scipy.stats.skew(problem.label)),
        below_20=int((problem.label < 20).sum()),
    )


def candidate_figures(problem: Problem, outcome: Outcome) -> CandidateFigures:
    """Pooled metrics, intervals, and error by range."""
    moments = _moments(problem, [outcome])
    predicted = outcome.predicted.ravel()
    true = np.tile(problem.label, len(outcome.seeds))
    return CandidateFigures(
        **vars(all_metrics(predicted, true)),
        **dataclasses.asdict(outcome.candidate),
        label=outcome.candidate.label,
        seeds=list(outcome.seeds),
        rmse_interval=rmse_interval(moments),
        plcc_interval=plcc_interval(moments),
        ranges=[range_rmse(predicted, true, *ends) for ends in RANGES],
    )


def _moments(problem: Problem, outcomes: list[Outcome]) -> Moments:
    predicted = np.stack([outcome.predicted for outcome in outcomes])
    return Moments.of(predicted, problem.label, problem.source)


def comparisons(problem: Problem, outcomes: list[Outcome]) -> Iterator[PairedComparison]:
    """Paired differences in RMSE of outcomes on one corpus, where one setting differs."""
    by_candidate = {outcome.candidate: outcome for outcome in outcomes}
    for first in outcomes:
        for kind, partner in _partners(first.candidate):
            second = by_candidate.get(partner)
            if second is None or second.seeds != first.seeds:
                continue
            difference, interval = rmse_difference(_moments(problem, [first, second]))
            ends = (problem.label <= LOW_END[1]) | (problem.label >= HIGH_END[0])
            yield PairedComparison(
                kind=kind,
                corpus=first.candidate.corpus,
                first=first.candidate.label,
                second=partner.label,
                network=first.candidate.network,
                activation=first.candidate.activation,
                temperature=first.candidate.temperature,
                difference=difference,
                interval=interval,
                gain_ends=_gain(problem, first, second, ends),
                gain_middle=_gain(problem, first, second, ~ends),
            )


def _partners(candidate: Candidate) -> Iterator[tuple[str, Candidate]]:
    """What a candidate is compared with, by kind of question."""
    if candidate.loss == "kl":
        squared = dataclasses.replace(candidate, loss="squared_error", temperature=0.0)
        yield "kl against squared error", squared
    if candidate.regularised:
        plain = dataclasses.replace(candidate, regularised=False)
        yield "decay and dropout against none", plain
    if candidate.activation == "relu":
        yield "relu against silu", dataclasses.replace(candidate, activation="silu")
    if candidate.network != "nano":
        yield "network against nano", dataclasses.replace(candidate, network="nano")


def _gain(problem: Problem, first: Outcome, second: Outcome, rows: np.ndarray) -> float:
    """By how much of the second's RMSE the first is better on some rows."""
    label = problem.label[rows]
    ours, theirs = (rmse(outcome.predicted[:, rows], label) for outcome in (first, second))
    return 1 - ours / theirs if theirs else 0.0


def deployment(problem: Problem, outcomes: list[Outcome]) -> list[DeploymentFigures]:
    """Parameters, bytes and latency of one exported model per network and head."""
    examples: dict[tuple[str, str], Outcome] = {}
    for outcome in outcomes:
        examples.setdefault((outcome.candidate.network, outcome.student.head), outcome)
    with tempfile.TemporaryDirectory() as folder:
        return [
            _deployed(problem, outcome, Path(folder) / f"{network}_{head}.onnx")
            for (network, head), outcome in examples.items()
        ]


def _deployed(problem: Problem, outcome: Outcome, path: Path) -> DeploymentFigures:
    student = outcome.student
    training = {"config_sha256": "", "corpora": {}}
    identity = Identity(student.network, student, problem.table.feature_set, "", training)
    export_onnx(deploy(student, outcome.variables), path, identity)
    model = OnnxModel(path, threads=1)
    row = np.full((1, student.n_features), 0.5, np.float32)
    times = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        model(row)
        times.append(time.perf_counter() - started)
    size, latency_us = path.stat().st_size, 1e6 * statistics.median(times)
    return DeploymentFigures(student.network, student.head, student.n_params(), size, latency_us)


def choose(
    candidates: list[CandidateFigures], deployed: list[DeploymentFigures], corpus: str
) -> Choice:
    """The smallest candidate among those whose error nobody could tell from the best's."""
    size = {(entry.network, entry.head): entry.parameters for entry in deployed}

    def parameters(entry: CandidateFigures) -> int:
        return size[entry.network, "distribution" if entry.loss == "kl" else "scalar"]

    ranked = sorted((c for c in candidates if c.corpus == corpus), key=lambda c: c.rmse)
    best = ranked[0]
    near = [c for c in ranked if c.rmse - best.rmse < VISIBLE]
    chosen = min(near, key=lambda c: (parameters(c), c.rmse))
    rest = [c for c in ranked if c.strategy != chosen.strategy]
    runner_up = rest[0] if rest else ranked[min(1, len(ranked) - 1)]
    return Choice(
        candidate=chosen.label,
        rmse=chosen.rmse,
        rmse_interval=chosen.rmse_interval,
        parameters=parameters(chosen),
        most_accurate=best.label,
        most_accurate_rmse=best.rmse,
        runner_up=runner_up.label,
        margin=runner_up.rmse - chosen.rmse,
        reason=(
            f"among the candidates within {VISIBLE} points of the lowest held-out RMSE "
            f"({best.label}: {best.rmse:.4f}) it has the fewest parameters ({parameters(chosen)})"
        ),
    )
