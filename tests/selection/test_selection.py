import dataclasses
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from vmaf_jax.corpora import demo
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.selection.grid import (
    SelectionConfig,
    finalists,
    load_corpus,
    load_selection,
    run_grid,
)
from vmaf_jax.selection.select import select

SMALL = SelectionConfig.model_validate(
    {
        "name": "small",
        "corpora": ["support_vectors"],
        "networks": ["nano"],
        "activations": ["silu"],
        "temperatures": [1.0, 4.0],
        "rows": {"steps": 30},
        "queries": {"steps": 30, "batch_size": 64},
    }
)


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A small selection, its surfaces of one clip of each of the demo corpus's sources."""
    out = tmp_path_factory.mktemp("selection") / "small"
    some = demo.load_clips()[::8]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "load_clips", lambda: some)
        return out, select(SMALL, out)


def test_the_grid_is_whole(selected):
    out, findings = selected
    assert {path.name for path in out.iterdir()} == {
        "config.json", "selection.json", "predictions.parquet", "report.md", "report.html",
    }  # fmt: skip
    labels = [c.label for c in findings.candidates]
    assert len(labels) == len(set(labels)) == 5
    assert sum("queries" in label for label in labels) == 1
    kinds = {c.kind for c in findings.comparisons}
    assert kinds == {"kl against squared error", "decay and dropout against none"}
    assert findings.corpora["support_vectors"].below_20 == 3


def test_figures_are_those_of_the_saved_predictions(selected):
    out, findings = selected
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    candidate = np.array(table["candidate"])
    for entry in findings.candidates:
        rows = candidate == entry.label
        metrics = all_metrics(np.array(table["predicted"])[rows], np.array(table["label"])[rows])
        assert (metrics.rmse, metrics.plcc) == (entry.rmse, entry.plcc)
        assert entry.rmse_interval.low < entry.rmse < entry.rmse_interval.high


def test_reports_state_choice_claims_and_answers(selected):
    out, findings = selected
    text = (out / "report.md").read_text()
    assert findings.choice.candidate in text
    assert "Distil, or fit labels from scratch?" in text
    assert len(text.splitlines()) < 80
    assert "data:image/png" in (out / "report.html").read_text()
    assert json.loads((out / "selection.json").read_text())["choice"]["reason"]


def test_the_experiment_on_claims_reads_the_findings(selected):
    out, _ = selected
    line = [sys.executable, "docs/experiments/claims.py", str(out / "selection.json")]
    printed = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert (
        "| KL at T of 2-4 beats squared error, most at the endpoints | support_vectors" in printed
    )


@pytest.fixture(scope="module")
def small_grid():
    """The problems of a small grid, and all that came of it."""
    problems = {"support_vectors": load_corpus("support_vectors", "vmaf_v0.6.1")}
    return problems, run_grid(SMALL, problems)


def test_one_program_trains_what_lone_programs_do(small_grid):
    problems, outcomes = small_grid
    together = {o.candidate: o for o in outcomes}
    alone = SMALL.model_copy(update={"temperatures": (4.0,)})
    for outcome in run_grid(alone, problems):
        if outcome.candidate.strategy == "rows":
            np.testing.assert_allclose(
                outcome.predicted, together[outcome.candidate].predicted, atol=1e-3
            )


def test_finalists_are_the_best_of_each_network(small_grid):
    problems, outcomes = small_grid
    problem = problems["support_vectors"]
    (best,) = finalists(outcomes, problem, "support_vectors")
    errors = {
        o.candidate: np.mean((o.predicted - problem.label) ** 2)
        for o in outcomes
        if o.candidate.strategy == "rows"
    }
    assert min(errors, key=errors.get) == best
    assert dataclasses.asdict(best)["strategy"] == "rows"


def test_bad_grids_name_the_key(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nnetwork: [nano]\n")
    with pytest.raises(InputError, match="unknown key 'network'; did you mean 'networks'"):
        load_selection(path)
    path.write_text("name: s\nnetworks: [huge]\n")
    with pytest.raises(InputError, match="networks"):
        load_selection(path)
