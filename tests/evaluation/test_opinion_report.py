import csv
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from vmaf_jax import FEATURES, load_teacher
from vmaf_jax.evaluation.intervals import plcc_interval, rmse_interval, sum_by_source
from vmaf_jax.evaluation.krasula import analyse_pairs, pair_clips
from vmaf_jax.evaluation.opinion_comparison import compare_against_opinions
from vmaf_jax.evaluation.opinion_report import opinion_report
from vmaf_jax.evaluation.opinions import Opinions, calibrate_held_out, mapped_metrics, rmse_mapped

OPINIONS = Path("../shared/opinions")


def case(seed=0, sources=8, per_source=12, ci95=True):
    """Two models of clips by 8 sources in two tests; the second is much the worse."""
    rng = np.random.default_rng(seed)
    n = sources * per_source
    mos = rng.uniform(5, 95, n)
    source = np.repeat([f"s{k}" for k in range(sources)], per_source)
    opinions = Opinions.of(
        mos, source, np.tile(["x", "y"], n // 2), rng.uniform(3, 8, n) if ci95 else None
    )
    return mos + rng.normal(0, 5, n), mos + rng.normal(0, 20, n), opinions


def test_a_report_holds_every_experiment_and_map():
    first, _, opinions = case()
    report = opinion_report(first, opinions)
    assert list(report.experiments) == ["x", "y"]
    assert list(report.overall) == ["none", "linear", "cubic", "logistic"]
    rows = opinions.experiment == "y"
    assert report.experiments["y"]["cubic"] == mapped_metrics(
        first[rows], opinions.where(rows), "cubic"
    )
    assert report.sources == 8
    assert report.krasula == analyse_pairs(first, pair_clips(opinions))
    none, linear = report.overall["none"], report.overall["linear"]
    assert report.plcc_interval.low < none.plcc < report.plcc_interval.high
    assert report.rmse_interval.low < none.rmse < report.rmse_interval.high
    assert report.rmse_mapped_interval.low < linear.rmse < report.rmse_mapped_interval.high


def test_lines_are_fitted_anew_without_each_source():
    """The interval is the jackknife's, by a plain loop; 2.3646 is Student's with 7 of freedom."""
    first, _, opinions = case()
    logs = []
    for name in sorted(set(opinions.source)):
        rest = opinions.where(opinions.source != name)
        without = rmse_mapped(first[opinions.source != name], rest.mos, rest.experiment)
        logs.append(math.log(without.mapped))
    error = math.sqrt(7 / 6 * sum((log - sum(logs) / 8) ** 2 for log in logs))
    report = opinion_report(first, opinions)
    group = np.array([int(s[1:]) for s in opinions.source])
    moments = sum_by_source(first, opinions.mos, group, 8)
    assert vars(report.rmse_interval) == pytest.approx(vars(rmse_interval(moments)))
    assert vars(report.plcc_interval) == pytest.approx(vars(plcc_interval(moments)))
    high = report.overall["linear"].rmse * math.exp(2.3646 * error)
    assert report.rmse_mapped_interval.high == pytest.approx(high, rel=1e-4)


def test_without_intervals():
    first, _, opinions = case(ci95=False)
    assert opinion_report(first, opinions).krasula is None


@pytest.mark.parametrize("sources", [1, 2])
def test_few_sources_give_no_intervals(sources):
    first, _, opinions = case(sources=sources)
    report = opinion_report(first, opinions)
    assert math.isnan(report.rmse_interval.low)
    assert math.isnan(report.rmse_mapped_interval.high)


def test_a_perfect_model_and_a_constant_one():
    _, _, opinions = case()
    report = opinion_report(opinions.mos, opinions)
    assert report.overall["linear"].rmse == pytest.approx(0, abs=1e-9)
    assert report.krasula.correct == 1.0
    constant = opinion_report(np.full(96, 50.0), opinions)
    assert math.isnan(constant.overall["none"].plcc)
    assert constant.krasula.auc_better_worse == 0.5


def test_one_clip():
    report = opinion_report([60.0], Opinions.of([50.0], ["s"], ["x"], [4.0]))
    assert report.overall["linear"].rmse == 10.0
    assert math.isnan(report.overall["none"].rmse_star)


@pytest.fixture(scope="module")
def real():
    """The incumbents pooled over frames, calibrated by leaving each source out, and opinions.

    Of AVT-VQDB-UHD-1 alone, tests 1 to 4; the folder holds other tests too.
    """
    if not OPINIONS.is_dir():
        pytest.skip("needs the prepared copy of AVT-VQDB-UHD-1's opinions beside the project")
    with (OPINIONS / "clips.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["experiment"].startswith("test_")]
    columns = [np.array([r[n] for r in rows]) for n in ("mos", "source", "experiment", "mos_ci95")]
    mos, ci95 = (columns[0].astype(float) - 1) * 25, columns[3].astype(float) * 25
    opinions = Opinions.of(mos, columns[1], columns[2], ci95)
    table = pq.read_table(OPINIONS / "frames.parquet")
    table = table.filter(pc.is_in(table["clip"], pa.array([row["clip"] for row in rows])))
    features = np.stack([table[name].to_numpy() for name in FEATURES], axis=1)
    encoded = table["clip"].combine_chunks().dictionary_encode()
    clip = encoded.indices.to_numpy()
    assert encoded.dictionary.to_pylist() == [row["clip"] for row in rows]
    starts = np.flatnonzero(np.diff(clip, prepend=-1))
    pooled = []
    for name, pool in (("vmaf_v0.6.1", np.mean), ("vmaf_4k_v0.6.1", lambda v: np.quantile(v, 0.9))):
        parts = np.split(np.asarray(load_teacher(name)(features), np.float64), starts[1:])
        pooled.append(np.array([pool(part) for part in parts]))
    return [calibrate_held_out(p, opinions.mos, opinions.source) for p in pooled], opinions


@pytest.mark.parametrize(
    ("model", "expected"),
    [(0, (0.831, 0.844, 0.610, 0.578)), (1, (0.853, 0.862, 0.570, 0.555))],
    ids=["mean of vmaf_v0.6.1", "90th percentile of vmaf_4k_v0.6.1"],
)
def test_the_incumbents_on_real_opinions(real, model, expected):
    predicted, opinions = real[0][model], real[1]
    report = opinion_report(predicted, opinions)
    none, linear = report.overall["none"], report.overall["linear"]
    figures = (none.plcc, none.srocc, none.rmse / 25, linear.rmse / 25)
    assert figures == pytest.approx(expected, abs=6e-4)
    assert none.n == 660
    assert report.sources == 12
    assert list(report.experiments) == ["test_1", "test_2", "test_3", "test_4"]
    star = [np.maximum(np.abs(predicted - opinions.mos) - opinions.ci95, 0)]
    assert none.rmse_star == pytest.approx(math.sqrt(np.sum(np.square(star)) / 659))


def test_the_document_shows_the_incumbents_beside_each_other(real):
    comparison = compare_against_opinions(real[0][1], real[0][0], real[1])
    text = Path("docs/statistics.md").read_text()
    for name, row in (
        ("rmse", "RMSE"),
        ("rmse_mapped", "RMSE mapped"),
        ("plcc", "PLCC"),
        ("correct", "better clip right"),
    ):
        entry = comparison.differences[name]
        unit = 1 / 25 if name.startswith("rmse") else 1.0
        low, high = entry.interval.low * unit, entry.interval.high * unit
        figures = f"{entry.first * unit:.3f} | {entry.second * unit:.3f} | "
        figures += f"{entry.difference * unit:.3f} | {low:.3f} to {high:.3f} | {entry.p_value:.2f}"
        assert f"| {row} | {figures} |" in text, figures
    assert f"{comparison.clip_p_values['auc_better_worse']:.0e}" in text
