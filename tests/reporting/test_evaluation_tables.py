import math

import numpy as np
import pytest
import scipy.stats

from tests.reporting.support import predictions
from vmaf_jax.evaluation import Opinions, compare_against_opinions
from vmaf_jax.evaluation.cross_validation import loso_metrics
from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import Distance, all_metrics
from vmaf_jax.evaluation.opinion_report import opinion_report
from vmaf_jax.evaluation.run_metrics import Rival, RunMetrics, Standing, Timing
from vmaf_jax.reporting.evaluation_tables import (
    show_comparison,
    show_evaluation,
    show_opinions,
    show_run,
    show_standing,
)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def case(ci95=True, experiments=("x", "y")):
    rng = np.random.default_rng(0)
    mos = rng.uniform(5, 95, 48)
    source = np.repeat(["a", "b", "c", "d"], 12)
    experiment = np.tile(experiments, 48 // len(experiments))
    opinions = Opinions.of(mos, source, experiment, np.full(48, 5.0) if ci95 else None)
    return mos + rng.normal(0, 5, 48), mos + rng.normal(0, 20, 48), opinions


def row(text, *starts):
    """The cells of the one row that opens with these."""
    cells = ([cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines())
    (line,) = [c for c in cells if c[: len(starts)] == list(starts)]
    return line


def test_a_report(capsys):
    first, _, opinions = case()
    report = opinion_report(first, opinions)
    show_opinions("[red]model", report, scale=(1.0, 5.0))
    text = capsys.readouterr().out
    assert "[red]model" in text
    none = report.overall["none"]
    assert none.rmse_star is not None
    assert row(text, "all", "unmapped")[2:] == [
        *("48", f"{none.plcc:.4f}", f"{none.srocc:.4f}", f"{none.krocc:.4f}"),
        *(f"{none.rmse / 25:.4f}", f"{none.rmse_star / 25:.4f}", f"{none.outlier_ratio:.3f}"),
    ]
    assert row(text, "x", "unmapped")[2] == row(text, "y", "unmapped")[2] == "24"
    low, high = report.rmse_mapped_interval.low / 25, report.rmse_mapped_interval.high / 25
    assert f"95 % over 4 sources: PLCC {report.plcc_interval.low:.4f} to" in text
    assert f"mapped by lines {low:.4f} to {high:.4f}" in text
    assert "RMSE of this table is on the scale 1 to 5" in text
    assert f"{report.krasula.different} different" in text


def test_one_experiment_is_shown_once_and_what_is_undefined_is_a_dash(capsys):
    first, _, opinions = case(ci95=False, experiments=("x",))
    show_opinions("model", opinion_report(first, opinions))
    text = capsys.readouterr().out
    assert text.count("unmapped") == 1
    assert row(text, "all", "unmapped")[-2:] == ["–", "–"]
    assert "pairs:" not in text
    assert "on the scale" not in text


def test_a_comparison(capsys):
    first, second, opinions = case()
    comparison = compare_against_opinions(first, second, opinions)
    show_comparison("ours", "theirs", comparison, scale=(1.0, 5.0))
    text = capsys.readouterr().out
    entry = comparison.differences["rmse"]
    assert row(text, "RMSE")[1:4] == [
        f"{value / 25:.4f}" for value in (entry.first, entry.second, entry.difference)
    ]
    assert row(text, "RMSE")[-1] == ""
    assert row(text, "PLCC")[1] == f"{comparison.differences['plcc'].first:.4f}"
    assert row(text, "RMSE* mapped")[-1] == "< 0.001"
    assert "which they are not" in text.replace("\n", " ")


def test_labels_of_frames_are_told_as_rows(capsys):
    rng = np.random.default_rng(0)
    label = rng.uniform(0, 100, 24)
    opinions = Opinions.of(label, np.repeat(np.array(["a", "b", "c"], object), 8))
    comparison = compare_against_opinions(label + 1, label - 2, opinions)
    show_comparison("ours", "theirs", comparison, unit="row")
    shown = capsys.readouterr().out
    assert "24 rows of 3 sources" in shown
    assert "p, rows" in shown
    assert "clip" not in shown


def test_a_comparison_without_intervals(capsys):
    first, second, opinions = case(ci95=False)
    show_comparison("ours", "theirs", compare_against_opinions(first, second, opinions))
    text = capsys.readouterr().out
    assert "RMSE*" not in text
    assert "AUC" not in text


def table(text):
    """The rows of the one table that was shown, each by the headings of its cells."""
    lines = [line for line in text.splitlines() if "│" in line or "┃" in line]
    heading, *rows = [
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]] for line in lines
    ]
    return [dict(zip(heading, row, strict=True)) for row in rows]


def bent(n=230):
    """Predictions whose order is right and whose line is not: PLCC and SROCC differ."""
    rows = predictions(n, sources=5)
    predicted = 100 * (rows.label / 100) ** 5
    plcc = scipy.stats.pearsonr(predicted, rows.label).statistic
    assert plcc < 0.95
    return rows.label, predicted, {"PLCC": plcc, "SROCC": 1.0, "KROCC": 1.0}


def test_correlations_stand_under_their_headings(capsys):
    label, predicted, expected = bent()
    metrics = all_metrics(predicted, label)
    error = predicted - label
    expected |= {"RMSE": np.sqrt(np.mean(error**2)), "max": np.abs(error).max()}
    show_evaluation("model", metrics, {})
    (line,) = table(capsys.readouterr().out)
    expected["MAE"] = np.abs(error).mean()
    for name, value in expected.items():
        assert float(line[name]) == pytest.approx(value, abs=1e-4), name

    source = np.repeat(np.array(["a", "b"], object), len(label) // 2)
    show_opinions("model", opinion_report(predicted, Opinions.of(label, source)))
    line = next(row for row in table(capsys.readouterr().out) if row["mapped by"] == "unmapped")
    for name in ("PLCC", "SROCC", "KROCC", "RMSE"):
        assert float(line[name]) == pytest.approx(expected[name], abs=1e-4), name


def test_a_run_and_its_rivals_stand_under_their_headings(capsys):
    rows = predictions(230, sources=5)
    predicted = 100 * (rows.label / 100) ** 5
    rows = type(rows)(rows.source, rows.clip, rows.index, rows.seed, rows.label, predicted)
    loso, folds = loso_metrics(rows)
    timing, parity = Timing(1.0, 2.0, 3.0), Distance(4, 0, 1e-5, 3)
    external = {"demo": all_metrics(predicted[:50], rows.label[:50])}
    show_run(RunMetrics(loso, folds, None, external, parity, timing, {}, None))
    shown = {line["held-out source"]: line for line in table(capsys.readouterr().out)}
    parts = {"all held out": slice(None), "external: demo": slice(50)}
    parts |= {name: rows.source == name for name in set(rows.source.tolist())}
    assert set(shown) == set(parts)
    for name, part in parts.items():
        pair = predicted[part], rows.label[part]
        own = {
            "PLCC": scipy.stats.pearsonr(*pair).statistic,
            "SROCC": scipy.stats.spearmanr(*pair).statistic,
            "RMSE": math.sqrt(np.mean((pair[0] - pair[1]) ** 2)),
            "max": np.abs(pair[0] - pair[1]).max(),
        }
        for heading, value in own.items():
            assert float(shown[name][heading]) == pytest.approx(value, abs=1e-4), (name, heading)

    rival = Rival("VMAF", 0.8, 0.7, 12.0, -2.0, Interval(-3.0, -1.0), 0.01)
    show_standing(Standing(0.9, 0.6, 10.0, (rival,), "It is better."))
    ours, theirs = table(capsys.readouterr().out)
    names = ("PLCC", "SROCC", "RMSE")
    assert [float(ours[name]) for name in names] == [0.9, 0.6, 10.0]
    assert [float(theirs[name]) for name in (*names, "this less it", "p")] == [
        *(0.8, 0.7, 12.0),
        *(-2.0, 0.01),
    ]
