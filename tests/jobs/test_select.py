import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.jobs.select import choose, load_selection
from vmaf_jax.runs.sweep import combinations, ranked

SMALL = """
name: small
data: {mean_pool: true}
candidates:
  rows:
    student: {network: nano, dropout: 0}
    training: {steps: 30, folds: 4, seeds: [0, 1]}
    sweep: {training.weight_decay: [0, 0.001]}
  queries:
    student: {network: nano, dropout: 0}
    training: {steps: 30, folds: 4, strategy: teacher_queries, batch_size: 64, loss: kl}
"""


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A small selection's folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("selection")
    (folder / "small.yaml").write_text(SMALL)
    out = folder / "out"
    result = run_command("select", "--config", folder / "small.yaml", "--out", out)
    assert result.code == 0, result.stderr
    return out, result.stdout


def test_the_folder_is_whole(selected):
    out, _ = selected
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "selection.json", "predictions.parquet", "report.md", "report.html",
    }  # fmt: skip
    assert {path.name for path in out.parent.iterdir()} == {"small.yaml", "out"}
    findings = json.loads((out / "selection.json").read_text())
    assert [point["rank"] for point in findings["points"]] == [1, 2, 3]
    assert sorted(point["settings"]["candidates"] for point in findings["points"]) == [
        "queries", "rows", "rows",
    ]  # fmt: skip
    assert findings["same_rows"]
    assert load_selection(out / "config.yaml") == load_selection(out.parent / "small.yaml")


def test_figures_are_those_of_the_saved_predictions(selected):
    out, _ = selected
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    for point in json.loads((out / "selection.json").read_text())["points"]:
        rows = np.array(table["point"]) == point["point"]
        metrics = all_metrics(np.array(table["predicted"])[rows], np.array(table["label"])[rows])
        shown = point["metrics"]
        assert (metrics.rmse, metrics.plcc) == (shown["rmse"], shown["plcc"])
        assert point["rmse_interval"]["low"] < shown["rmse"] < point["rmse_interval"]["high"]


def test_reports_state_the_choice_and_every_candidate(selected):
    out, printed = selected
    markdown, page = ((out / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert printed.startswith(("rows, weight_decay", "queries: held-out RMSE"))
    for text in (markdown, page):
        assert printed.strip() in text
        assert "rows, weight_decay 0.001" in text
    assert len(markdown.splitlines()) < 20
    assert '<section id="candidates">' in page


def table_of(errors, sizes, rows=60):
    """A ranking of candidates whose predictions are so far from the labels."""
    label = np.linspace(10, 90, rows)
    texts = np.array([f"s{k % 6}" for k in range(rows)], object)
    index, seed = np.arange(rows, dtype=np.int32), np.zeros(rows, np.int32)
    wave = np.where(np.arange(rows) % 2, 1.0, -1.0) * np.linspace(0.9, 1.1, rows)
    held_out = [HeldOut(texts, texts, index, seed, label, label + e * wave) for e in errors]
    settings = [{"candidates": f"c{k}"} for k in range(len(errors))]
    return ranked(settings, sizes, held_out, same_rows=True)


@pytest.mark.parametrize(
    ("errors", "sizes", "chosen"),
    [
        ([0.02, 0.05, 0.3], [9000, 300, 10], "c1"),  # the third is visibly worse
        ([0.02, 0.05, 0.06], [9000, 300, 300], "c1"),  # the better of one size
        ([0.5, 0.05], [10, 300], "c1"),
    ],
)
def test_the_smallest_of_the_equally_good_is_chosen(errors, sizes, chosen):
    selection = choose(table_of(errors, sizes))
    assert selection.chosen.settings["candidates"] == chosen
    assert str(selection).startswith(f"{chosen}: held-out RMSE")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: s\ncandidates: {a: {}}\ncandidate: {}\n",
            "unknown key 'candidate'; did you mean 'candidates'",
        ),
        ("name: s\n", "candidates"),
        ("name: s\ncandidates: {}\n", "candidates"),
        ("name: s\ncandidates: {a: {student: {network: huge}}}\n", "candidates.a.student.network"),
        (
            "name: s\ncandidates: {a: {training: {strategy: teacher_queries}}}\n",
            "teacher_queries needs a batch_size",
        ),
        ("name: s\ncandidates: {a: {sweep: {name: [a, b]}}}\n", "'name' cannot be tried"),
        ("name: s\ncandidates: {a: {sweep: {student.dropout: []}}}\n", "sweep"),
    ],
)
def test_bad_selections_name_the_key(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_selection(path)


def test_networks_that_learn_votes_from_scratch_are_warned_of(tmp_path):
    """Those of every group and of every point of a sweep, each once."""
    text = """
name: votes
data: {label: mos, features: none.parquet}
candidates:
  tuned: {student: {network: rbf}, training: {start: rbf_4k}}
  fresh: {student: {network: nano}, sweep: {student.dropout: [0, 0.1]}}
  either: {student: {network: rbf}, sweep: {training.start: [null, rbf_4k]}}
  frames: {student: {network: attention}}
"""
    path = tmp_path / "votes.yaml"
    path.write_text(text)
    result = run_command("select", "--config", path, "--out", tmp_path / "out")
    assert result.code == 2
    assert "none.parquet" in result.stderr  # and before any work
    for network, count in (("nano", 1), ("rbf", 1), ("attention", 0)):
        said = f"warning: {network} learns opinion scores from scratch"
        assert " ".join(result.stderr.split()).count(said) == count, result.stderr


def test_the_shipped_selection_is_sound():
    sweeps = load_selection(Path("selection")).sweeps()
    assert sum(len(combinations(sweep)) for sweep in sweeps) == 29
