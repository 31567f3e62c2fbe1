"""`vmaf-jax report`: what the pages say, of whole runs, of parts of them and of hostile ones."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats

from tests.reporting.support import MARKUP, hostile, predictions, shipped
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import read_held_out
from vmaf_jax.evaluation.conformal import HeldOutPredictions, coverage
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.jobs.report_runs import report
from vmaf_jax.printable import format_points
from vmaf_jax.reporting.comparison_page import comparison_page
from vmaf_jax.reporting.error_plots import MAX_DOTS, N_LARGEST
from vmaf_jax.reporting.run_page import run_page
from vmaf_jax.runs.run_folder import read_run


def made(*arguments):
    result = run_command("report", *arguments)
    assert result.code == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def run(tmp_path):
    return shipped(tmp_path / "run")


def sets(page):
    return {
        name: json.loads(text)
        for name, text in re.findall(r'data-set="([\w-]+)">(.*?)</script>', page)
    }


def test_the_page_is_of_the_saved_predictions(run):
    assert made(run) == str(run / "report.html")
    page = (run / "report.html").read_text()
    assert page == run_page(read_run(run))
    rows = read_held_out(run / "folds.parquet")
    assert f'<p class="figure">{format_points(rmse(rows.predicted, rows.label))}</p>' in page
    assert "23 unseen sources" in page
    drawn = sets(page)
    np.testing.assert_allclose(drawn["held-out"]["t"], rows.label, atol=5e-5)
    np.testing.assert_allclose(drawn["held-out"]["e"], rows.predicted - rows.label, atol=1e-5)
    assert len(drawn["external-0"]["t"]) == 3456
    for part in ("by-source", "losses", "held-out-agreement", "held-out-residuals"):
        assert f'<figure id="{part}"' in page
    assert "Only 3 of the held-out rows score 0 to 20" in page
    assert "the same bits as JAX" in page


def tables(page):
    """The tables of a page, each as its headings and its rows."""
    for table in re.findall(r"<table>.*?</table>", page, re.S):
        yield (
            re.findall(r"<th scope[^>]*>(.*?)</th>", table),
            [cells(line) for line in re.findall(r"<tr>.*?</tr>", table, re.S) if "<td" in line],
        )


def test_figures_stand_under_their_headings(run):
    """On predictions whose rank correlation is far from the linear one."""
    rng = np.random.default_rng(0)
    rows = predictions(230)
    predicted = np.clip(100 * (rows.label / 100) ** 6 + rng.normal(0, 2, 230), 0, 100)
    HeldOut(rows.source, rows.clip, rows.index, rows.seed, rows.label, predicted).write(
        run / "folds.parquet"
    )
    made(run)
    headings, (line, *_) = next(tables((run / "report.html").read_text()))
    shown = dict(zip(headings, line, strict=True))
    truth = {
        "PLCC": scipy.stats.pearsonr(predicted, rows.label).statistic,
        "SROCC": scipy.stats.spearmanr(predicted, rows.label).statistic,
        "KROCC": scipy.stats.kendalltau(predicted, rows.label).statistic,
    }
    assert truth["SROCC"] - truth["PLCC"] > 0.05
    assert {name: shown[name] for name in truth} == {k: f"{v:.5f}" for k, v in truth.items()}
    error = predicted - rows.label
    ends = {"RMSE 0–20": rows.label <= 20, "RMSE 80–100": rows.label >= 80}
    expected = {"RMSE": np.sqrt(np.mean(error**2)), "MAE": np.abs(error).mean()}
    expected["largest"] = np.abs(error).max()
    assert shown["n"] == "230"
    assert {name: shown[name] for name in expected} == {
        k: format_points(v) for k, v in expected.items()
    }
    for name, chosen in ends.items():
        value = format_points(np.sqrt(np.mean(error[chosen] ** 2)))
        assert shown[name] == f"{value} (n = {chosen.sum()})"


def intervals(page):
    return re.search(r'<section id="intervals">.*?</section>', page, re.S).group()


def cells(text):
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", text)]


def coverage_of(folder):
    """Of the clips held out and of those of the demo, whose frames are pooled by their mean."""
    rows, demo = (read_held_out(folder / f"{name}.parquet") for name in ("folds", "external_demo"))
    clips = dict.fromkeys(zip(demo.source, demo.clip, strict=True))
    of_clip = [(demo.source == source) & (demo.clip == clip) for source, clip in clips]
    names = np.concatenate([rows.source, [f"demo {source}" for source, _ in clips]])
    _, source = np.unique(names.astype(str), return_inverse=True)
    predicted, label = (
        np.concatenate([getattr(rows, field), [getattr(demo, field)[k].mean() for k in of_clip]])
        for field in ("predicted", "label")
    )
    return coverage(HeldOutPredictions(source, predicted, np.clip(label, 0, 100)), 0.9)


def test_intervals_are_told_with_what_they_held(run):
    made(run)
    shown = intervals((run / "report.html").read_text())
    truth = coverage_of(run)
    expected = [
        *("90%", f"{truth.covered:.1%}", format_points(truth.width)),
        *(f"{truth.naive_covered:.1%}", format_points(truth.naive_width)),
    ]
    assert cells(shown)[8:14] == [*expected, "283 of 32 sources"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (predictions(40, sources=2), "Fewer than 3 sources"),
        (predictions(4000, clips=20), "Held out were frames"),
        (predictions(2100, clips=100), "More than 2,000 clips"),
    ],
    ids=["two sources", "frames", "many"],
)
def test_where_there_are_no_intervals_the_page_says_why(run, rows, words):
    (run / "external_demo.parquet").unlink()
    (run / "model.json").unlink()  # which says how frames are pooled
    rows.write(run / "folds.parquet")
    made(run)
    assert words in intervals((run / "report.html").read_text())


def test_dots_stand_where_their_scores_are(run):
    made(run)
    page = (run / "report.html").read_text()
    figure = re.search(r'<figure id="held-out-agreement".*?</figure>', page, re.S).group()
    frame = [float(v) for v in re.search(r'data-frame="([^"]+)"', figure).group(1).split()]
    x0, x1, y0, y1, width, height, left, right, top, bottom = frame
    path = re.search(r'class="dots" d="([^"]+)"', figure).group(1)
    drawn = np.array([pair.split() for pair in path.strip("M").replace("h0", "").split("M")], float)
    rows = read_held_out(run / "folds.parquet")
    across = x0 + (drawn[:, 0] - left) / (width - left - right) * (x1 - x0)
    up = y0 + (height - bottom - drawn[:, 1]) / (height - top - bottom) * (y1 - y0)
    np.testing.assert_allclose(across, rows.label, atol=0.02)
    np.testing.assert_allclose(up, rows.predicted, atol=0.03)


def test_made_twice_it_is_the_same_and_figures_follow_the_predictions(run):
    made(run)
    page = (run / "report.html").read_text()
    made(run)
    assert (run / "report.html").read_text() == page
    rows = read_held_out(run / "folds.parquet")
    worse = rows.predicted.copy()
    worse[5] = 0.0
    HeldOut(rows.source, rows.clip, rows.index, rows.seed, rows.label, worse).write(
        run / "folds.parquet"
    )
    made(run)
    changed = (run / "report.html").read_text()
    assert f'<p class="figure">{format_points(rmse(worse, rows.label))}</p>' in changed
    assert f"1. {rows.source[5]}" in changed


@pytest.mark.parametrize(
    "name", ["config.yaml", "metrics.json", "parity.json", "log.jsonl", "external_demo.parquet"]
)
@pytest.mark.parametrize(
    "content", [None, b"\xff{]", b"[1, 2]\n", b'{"loso": "old", "step": {}}\n']
)
def test_parts_that_are_missing_damaged_or_older_are_named(run, name, content):
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    made(run)
    page = (run / "report.html").read_text()
    assert "How good?" in page
    if name == "external_demo.parquet":
        assert ("Another corpus" in page) is False
        assert content is None or "Not shown:" in page
    elif content is None or name == "log.jsonl":
        assert f"{name} is {'missing' if content is None else 'damaged'}" in page


def test_without_predictions_it_says_so_and_leaves_the_old_page(run):
    (run / "report.html").write_text("before")
    (run / "folds.parquet").unlink()
    result = run_command("report", run)
    assert result.code == 2
    assert "folds.parquet: missing" in result.stderr
    assert (run / "report.html").read_text() == "before"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.yaml", None, r"not a run folder \(no config.yaml\)"),
        ("config.yaml", "name: a\nname: b\n", "config.yaml: .*the key name occurs twice"),
        ("model.json", "{", "model.json: .*; export the model again"),
        ("metrics.json", None, r"folds.parquet: missing.* \(metrics.json is missing too\)"),
    ],
)
def test_without_predictions_it_says_what_else_is_wrong(run, name, content, told):
    (run / "folds.parquet").unlink()
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    result = run_command("report", run)
    assert result.code == 2
    assert re.search(told, result.stderr), result.stderr


def test_a_shipped_model_without_predictions_has_its_card():
    result = run_command("report", "opinions")
    assert result.code == 2
    assert "opinions: shipped without held-out predictions" in result.stderr
    assert "opinions/card.md has its figures" in result.stderr


def test_a_score_that_is_no_number_is_refused(run):
    rows = predictions(50)
    rows.predicted[7] = math.nan
    rows.write(run / "folds.parquet")
    result = run_command("report", run)
    assert result.code == 2
    assert "predicted of row 7 is not a number" in result.stderr


@pytest.mark.parametrize("column", ["source", "clip"])
def test_a_column_of_other_values_is_named(run, column):
    table = pq.read_table(run / "folds.parquet")
    lists = pa.array([["a", "b"]] * len(table))
    table = table.set_column(table.column_names.index(column), column, lists)
    pq.write_table(table, run / "folds.parquet")
    result = run_command("report", run)
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert "folds.parquet" in result.stderr


def test_numbers_that_no_float_holds_are_dashes(run):
    parity = json.loads((run / "parity.json").read_text())
    parity["max_abs"] = parity["octaves"][0]["max_ulp"] = 10**400
    (run / "parity.json").write_text(json.dumps(parity))
    log = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text(log.replace('"step": 2,', f'"step": {10**400},'))
    made(run)
    assert "log.jsonl is damaged" in (run / "report.html").read_text()


def test_a_loss_that_is_no_number_leaves_a_gap(run):
    lines = (run / "log.jsonl").read_text().splitlines()
    entry = json.loads(lines[3])
    entry["loss"]["all"] = float("inf")
    lines[3] = json.dumps(entry)
    (run / "log.jsonl").write_text("\n".join(lines))
    made(run)
    assert '<figure id="losses"' in (run / "report.html").read_text()


def test_names_that_are_markup_stay_text(tmp_path):
    run = hostile(tmp_path / "run")
    made(run)
    page = (run / "report.html").read_text()
    script = re.findall(r"<script[^>]*>", page)
    assert len(script) == 3  # two sets of points and the page's own
    assert MARKUP not in page
    assert "<img" not in page
    assert not re.search("[\u2028\u202e\x00]", page)


def test_many_rows_are_counted_and_the_worst_drawn(run):
    n = 60_000
    rows = predictions(n)
    rows.predicted[123] = 100.0 - rows.label[123]
    rows.write(run / "folds.parquet")
    made(run)
    page = (run / "report.html").read_text()
    drawn = sets(page)["held-out"]
    assert n > MAX_DOTS
    assert len(drawn["t"]) == N_LARGEST
    assert f"{n:,} rows, more than {MAX_DOTS:,}" in page
    error = np.sort(np.abs(rows.predicted - rows.label))[::-1][:N_LARGEST]
    np.testing.assert_allclose(np.sort(np.abs(drawn["e"]))[::-1], error, atol=1e-5)
    assert 'class="cell c6"' in page
    assert len(page) < 3_000_000


def test_several_runs_are_compared(tmp_path):
    out = tmp_path / "c.html"
    assert made("tiny", "nano", "rbf", "--out", out) == str(out)
    page = out.read_text()
    assert "Over 23 sources, nano, rbf err more than tiny." in page
    for part in ("rmse-difference", "rmse-by-source", "rmse"):
        assert f'<figure id="{part}"' in page
    assert "<td>training.optimiser</td>" in page
    shown = cells(intervals(page))
    for k, name in enumerate(("tiny", "nano", "rbf")):
        truth = coverage_of(Path("checkpoints") / name)
        row = [name, "90%", f"{truth.covered:.1%}", format_points(truth.width)]
        assert shown[21 * k + 7 : 21 * k + 11] == row
        assert shown[21 * k + 13] == "283 of 32 sources"


def test_a_run_without_intervals_is_compared_and_says_why(tmp_path, run):
    rows = read_held_out(run / "folds.parquet")
    few = np.isin(rows.source.astype(str), sorted(set(rows.source))[:2])
    rows.where(few).write(run / "folds.parquet")
    (run / "external_demo.parquet").unlink()
    out = tmp_path / "c.html"
    made("nano", run, "--out", out)
    shown = intervals(out.read_text())
    assert "<p>tiny: Fewer than 3 sources" in shown
    assert cells(shown)[0] == "nano"


def test_runs_of_one_name_go_by_their_folders(tmp_path, run):
    other = shutil.copytree(run, tmp_path / "again")
    out = tmp_path / "c.html"
    made(run, other, "--out", out)
    assert f"no difference is shown between {run} and {other}" in out.read_text()
    result = run_command("report", run, run, "--out", out)
    assert result.code == 2
    assert "named twice" in result.stderr


def test_runs_of_other_rows_are_not_compared(tmp_path, run):
    predictions(100).write(run / "folds.parquet")
    runs = {name: read_run(path) for name, path in (("a", Path("checkpoints/tiny")), ("b", run))}
    with pytest.raises(InputError, match="no held-out row in common"):
        comparison_page(runs)
    with pytest.raises(InputError, match="no held-out row in common"):
        report(["tiny", run], tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()


def test_a_picture_for_a_readme(run, tmp_path):
    made(run, "--png", tmp_path / "r.png", "--out", tmp_path / "r.html")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    result = run_command("report", run, "tiny", "--png", tmp_path / "r.png")
    assert result.code == 2
    assert "name one" in result.stderr


@pytest.mark.parametrize("name", ["nowhere", "configs"])
def test_what_is_no_run_is_named(name):
    result = run_command("report", name)
    assert result.code == 2
    assert name in result.stderr
