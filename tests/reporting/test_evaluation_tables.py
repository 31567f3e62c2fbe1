import numpy as np
import pytest

from vmaf_jax.evaluation import Opinions, compare_against_opinions
from vmaf_jax.evaluation.opinion_report import opinion_report
from vmaf_jax.reporting.evaluation_tables import show_comparison, show_opinions


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
