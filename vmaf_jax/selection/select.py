"""`vmaf-jax select`: a grid of networks and trainings to figures, reports and a choice."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.files import atomic_path, check_result_folder, to_json, write_text
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.problem import Problem
from vmaf_jax.runs.state import kept_state
from vmaf_jax.selection.figures import (
    candidate_figures,
    choose,
    comparisons,
    corpus_facts,
    deployment,
)
from vmaf_jax.selection.findings import Findings
from vmaf_jax.selection.grid import Outcome, SelectionConfig, load_corpus, run_grid
from vmaf_jax.selection.report import to_html, to_markdown
from vmaf_jax.selection.surfaces import compare_surfaces


def select(
    config: SelectionConfig,
    out: Path,
    *,
    full: bool = False,
    overwrite: bool = False,
    save_every_s: float | None = None,
    progress: Progress = NO_PROGRESS,
) -> Findings:
    """Runs the grid; writes `selection.json`, `report.md`, `report.html` and predictions to `out`.

    Args:
        full: more seeds for the finalists.
        overwrite: whether an earlier selection in `out` is replaced.
        save_every_s: how often the state of the program that trains is saved, beside `out`; those
            that are through are kept there in any case, and a selection goes on with the next.

    Raises:
        InputError: a corpus cannot be made, or `out` cannot be written.
    """
    started = time.perf_counter()
    check_result_folder(out, "selection.json", overwrite=overwrite)
    problems: dict[str, Problem] = {}
    for corpus in config.corpora:
        problems[corpus] = load_corpus(corpus, config.teacher)
    with kept_state(out, save_every_s, progress, several=True) as state:
        outcomes = run_grid(config, problems, full=full, state=state, progress=progress)
        findings = _findings(
            config, problems, outcomes, full=full, started=started, progress=progress
        )
        with atomic_path(out.absolute()) as folder:
            folder.mkdir()
            write_text(folder / "config.json", config.model_dump_json(indent=2) + "\n")
            write_text(folder / "selection.json", to_json(findings))
            _write_predictions(folder / "predictions.parquet", problems, outcomes)
            write_text(folder / "report.md", to_markdown(findings))
            write_text(folder / "report.html", to_html(findings))
        if state is not None:
            state.remove()
    return findings


def take_part(
    config: SelectionConfig, *, full: bool = False, save_every_s: float | None = None
) -> None:
    """Trains the grid with the other processes, of which the first writes what it found."""
    problems: dict[str, Problem] = {}
    for corpus in config.corpora:
        problems[corpus] = load_corpus(corpus, config.teacher)
    with kept_state(None, save_every_s, several=True) as state:
        run_grid(config, problems, full=full, state=state)


def _findings(
    config: SelectionConfig,
    problems: dict[str, Problem],
    outcomes: list[Outcome],
    *,
    full: bool,
    started: float,
    progress: Progress,
) -> Findings:
    """What the outcomes say."""
    by_corpus = {
        name: [outcome for outcome in outcomes if outcome.candidate.corpus == name]
        for name in problems
    }
    candidates = [
        candidate_figures(problems[name], outcome)
        for name, of_corpus in by_corpus.items()
        for outcome in of_corpus
    ]
    progress.say("deployment and surfaces")
    first = config.corpora[0]
    deployed = deployment(problems[first], by_corpus[first])
    return Findings(
        corpora={name: corpus_facts(problem) for name, problem in problems.items()},
        candidates=candidates,
        comparisons=[
            comparison
            for name, of_corpus in by_corpus.items()
            for comparison in comparisons(problems[name], of_corpus)
        ],
        deployment=deployed,
        surfaces=compare_surfaces(by_corpus[first], problems[first]),
        choice=choose(candidates, deployed, first),
        full=full,
        total_s=time.perf_counter() - started,
    )


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
