"""The selection: the grid's outcomes to figures, paired comparisons and reports."""

import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.stats

from vmaf_jax.evaluation.bootstrap import Moments, interval, plcc_of, rmse_of
from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.evaluation.metrics import RANGES, all_metrics, range_rmse
from vmaf_jax.export.onnx_file import OnnxModel, export_onnx
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import atomic_path, check_result_folder, write_text
from vmaf_jax.models import deploy
from vmaf_jax.reporting.selection import write_html, write_markdown
from vmaf_jax.selection.grid import (
    Outcome,
    Problem,
    SelectionConfig,
    load_problem,
    run_grid,
)
from vmaf_jax.selection.surfaces import compare_surfaces
from vmaf_jax.selection.verdicts import choose, judge_claims


def select(
    config: SelectionConfig,
    out: Path,
    *,
    full: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Runs the grid and writes `selection.json`, `report.md`, `report.html` and predictions.

    Raises:
        InputError: a corpus cannot be made, or `out` cannot be written.
    """
    started = time.perf_counter()
    check_result_folder(out, "selection.json")
    out = out.absolute()
    problems: dict[str, Problem] = {
        corpus: load_problem(corpus, config.teacher) for corpus in config.corpora
    }
    outcomes = run_grid(config, problems, full=full, say=say)
    candidates = [
        entry
        for corpus, problem in problems.items()
        for entry in _figures(
            config, problem, [o for o in outcomes if o.candidate.corpus == corpus]
        )
    ]
    say("deployment and surfaces")
    first = config.corpora[0]
    here = _on(first, outcomes)
    findings = {
        "corpora": {name: _corpus(problem) for name, problem in problems.items()},
        "candidates": candidates,
        "comparisons": _comparisons(config, problems, outcomes),
        "deployment": _deployment(here),
        "surfaces": compare_surfaces(here, problems[first]),
        "total_s": time.perf_counter() - started,
        "full": full,
    }
    findings["claims"] = judge_claims(findings)
    findings["choice"] = choose(findings, first)
    with atomic_path(out) as folder:
        folder.mkdir()
        write_text(folder / "config.json", config.model_dump_json(indent=2) + "\n")
        write_text(folder / "selection.json", to_json(findings))
        _write_predictions(folder / "predictions.parquet", problems, outcomes)
        write_markdown(folder / "report.md", findings)
        write_html(folder / "report.html", findings)
    return findings


def _on(corpus: str, outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.candidate.corpus == corpus]


def _identity(outcome: Outcome) -> dict[str, Any]:
    return {**dataclasses.asdict(outcome.candidate), "label": outcome.candidate.label}


def _moments(problem: Problem, outcomes: list[Outcome]) -> Moments:
    predicted = np.stack([o.predicted for o in outcomes])
    return Moments.of(predicted, problem.label, problem.fold)


def _figures(
    config: SelectionConfig, problem: Problem, outcomes: list[Outcome]
) -> list[dict[str, Any]]:
    """Per candidate: pooled metrics, intervals, and error by range."""
    entries = []
    for outcome in outcomes:
        drawn = _moments(problem, [outcome]).resampled(config.draws)
        predicted = outcome.predicted.ravel()
        true = np.tile(problem.label, len(outcome.seeds))
        entries.append(
            {
                **_identity(outcome),
                "seeds": list(outcome.seeds),
                **all_metrics(predicted, true),
                "rmse_interval": interval(rmse_of(drawn)[0]),
                "plcc_interval": interval(plcc_of(drawn)[0]),
                "ranges": [
                    {"from": low, "to": high, **range_rmse(predicted, true, low, high)}
                    for low, high in RANGES
                ],
            }
        )
    return entries


def _corpus(problem: Problem) -> dict[str, Any]:
    return {
        "rows": len(problem.table),
        "sources": len(problem.masks),
        "kurtosis": float(scipy.stats.kurtosis(problem.label)),
        "skewness": float(scipy.stats.skew(problem.label)),
        "below_20": int((problem.label < 20).sum()),
    }


def _comparisons(
    config: SelectionConfig, problems: dict[str, Problem], outcomes: list[Outcome]
) -> list[dict[str, Any]]:
    """Paired differences in RMSE, `one` minus `other`, where one setting differs."""
    found = []
    for corpus, problem in problems.items():
        here = _on(corpus, outcomes)
        by_candidate = {o.candidate: o for o in here}
        for one in here:
            for kind, other_candidate in _partners(one):
                other = by_candidate.get(other_candidate)
                if other is None or other.seeds != one.seeds:
                    continue
                both = _moments(problem, [one, other])
                drawn = rmse_of(both.resampled(config.draws))
                total = rmse_of(both.total())[:, 0]
                low, high = interval(drawn[0] - drawn[1])
                found.append(
                    {
                        "kind": kind,
                        "corpus": corpus,
                        "one": one.candidate.label,
                        "other": other.candidate.label,
                        "network": one.candidate.network,
                        "activation": one.candidate.activation,
                        "temperature": one.candidate.temperature,
                        "difference": float(total[0] - total[1]),
                        "interval": [low, high],
                        "better": high < 0,
                        "worse": low > 0,
                        "gain_ends": _gain(problem, one, other, ends=True),
                        "gain_middle": _gain(problem, one, other, ends=False),
                    }
                )
    return found


def _partners(one: Outcome) -> list[tuple[str, Any]]:
    """What a candidate is compared with, by kind of question."""
    c = one.candidate
    partners = []
    if c.loss == "kl":
        squared = dataclasses.replace(c, loss="squared_error", temperature=0.0)
        partners.append(("kl against squared error", squared))
    if c.regularised:
        partners.append(
            ("decay and dropout against none", dataclasses.replace(c, regularised=False))
        )
    if c.activation == "relu":
        partners.append(("relu against silu", dataclasses.replace(c, activation="silu")))
    if c.network != "nano":
        partners.append(("network against nano", dataclasses.replace(c, network="nano")))
    return partners


def _gain(problem: Problem, one: Outcome, other: Outcome, *, ends: bool) -> float:
    """By how much of the other's RMSE `one` is better, at the ends or between them."""
    outer = (problem.label <= 20) | (problem.label >= 80)
    rows = outer if ends else ~outer
    ours, theirs = (
        math.sqrt(np.mean(np.square((o.predicted - problem.label)[:, rows]))) for o in (one, other)
    )
    return 1 - ours / theirs if theirs else 0.0


def _deployment(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Parameters, bytes and latency of one exported model per network and head."""
    seen: dict[tuple[str, str], Outcome] = {}
    for outcome in outcomes:
        seen.setdefault((outcome.candidate.network, outcome.student.head), outcome)
    entries = []
    with tempfile.TemporaryDirectory() as folder:
        for (network, head), outcome in seen.items():
            path = Path(folder) / f"{network}_{head}.onnx"
            deployed = deploy(outcome.student, outcome.variables)
            export_onnx(deployed, path, name=network, feature_set=FEATURES, digest="")
            model = OnnxModel(path, threads=1)
            row = np.full((1, outcome.student.n_features), 0.5, np.float32)
            times = []
            for _ in range(300):
                started = time.perf_counter()
                model(row)
                times.append(time.perf_counter() - started)
            entries.append(
                {
                    "network": network,
                    "head": head,
                    "parameters": outcome.student.n_params(),
                    "onnx_bytes": path.stat().st_size,
                    "latency_us": 1e6 * statistics.median(times),
                }
            )
    return entries


def _write_predictions(path: Path, problems: dict[str, Problem], outcomes: list[Outcome]) -> None:
    """One row per candidate, seed and clip."""
    parts = []
    for outcome in outcomes:
        problem = problems[outcome.candidate.corpus]
        for seed, predicted in zip(outcome.seeds, outcome.predicted, strict=True):
            n = len(predicted)
            columns = {
                "corpus": [outcome.candidate.corpus] * n,
                "candidate": [outcome.candidate.label] * n,
                "seed": np.full(n, seed, np.int32),
                "source": problem.table.source.tolist(),
                "clip": problem.table.clip.tolist(),
                "label": problem.label,
                "predicted": predicted,
            }
            parts.append(pa.table(columns))
    with atomic_path(path) as temporary:
        pq.write_table(pa.concat_tables(parts), temporary, compression="zstd")
