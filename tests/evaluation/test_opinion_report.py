import csv
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import scipy.stats

from vmaf_jax import FEATURES, load_teacher
from vmaf_jax.evaluation.intervals import plcc_interval, rmse_interval, sum_by_source
from vmaf_jax.evaluation.metrics import plcc, rmse
from vmaf_jax.evaluation.opinion_report import (
    Experiments,
    ExperimentVerdict,
    Pairs,
    _delong,
    _delong_mirrored,
    agree_by_experiment,
    analyse_pairs,
    auc,
    best_models,
    compare_against_opinions,
    compare_on_pairs,
    judge_by_experiment,
    mean_bias,
    opinion_report,
    outlier_p_value,
    pair_clips,
    paired_differences,
    plcc_p_value,
    rmse_p_value,
)
from vmaf_jax.evaluation.opinions import Opinions, calibrate_held_out, mapped_metrics, rmse_mapped
from vmaf_jax.reporting.card import experiment_lines, verdict_lines

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


def alike_models(seed, sources=12, per_source=6, models=2):
    """Errors of a source share a part, and no model is better."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(sources), per_source)
    mos = rng.uniform(0, 100, len(group))
    error = rng.normal(0, 5, (models, sources))[:, group] + rng.normal(0, 5, (models, len(group)))
    return *(mos + error), Opinions.of(mos, [f"s{g}" for g in group])


def rmse_only(predicted, opinions):
    return {"rmse": rmse(predicted, opinions.mos)}


def test_fishers_z_by_hand():
    # atanh 0.90 = 1.47222, atanh 0.80 = 1.09861; over sqrt(2 / 100) the difference is 2.6420
    assert plcc_p_value(0.90, 0.80, 103) == pytest.approx(0.00824, abs=1e-5)
    assert plcc_p_value(0.80, 0.90, 103) == plcc_p_value(0.90, 0.80, 103)
    assert plcc_p_value(0.5, 0.5, 103) == 1.0
    assert plcc_p_value(1.0, 0.5, 103) == 0.0
    assert math.isnan(plcc_p_value(math.nan, 0.5, 103))
    assert math.isnan(plcc_p_value(0.9, 0.5, 3))


def test_the_f_test_by_its_table():
    # F(10, 10) has its one-sided 5 % point at 2.978, its 2.5 % point at 3.717.
    assert rmse_p_value(math.sqrt(2.978), 1.0, (10, 10)) == pytest.approx(0.10, abs=1e-4)
    assert rmse_p_value(1.0, math.sqrt(3.717), (10, 10)) == pytest.approx(0.05, abs=1e-4)
    # F(4, 20): 2.866, and turned round F(20, 4): 5.803; the greater one's freedom comes first
    assert rmse_p_value(math.sqrt(2.866), 1.0, (4, 20)) == pytest.approx(0.10, abs=1e-4)
    assert rmse_p_value(1.0, math.sqrt(5.803), (4, 20)) == pytest.approx(0.10, abs=1e-4)
    assert rmse_p_value(2.0, 2.0, (10, 10)) == 1.0
    assert rmse_p_value(0.0, 2.0, (10, 10)) == 0.0
    assert math.isnan(rmse_p_value(1.0, 2.0, (0, 10)))
    assert math.isnan(rmse_p_value(math.nan, 2.0, (10, 10)))


def test_outlier_ratios_by_hand():
    # (0.4 - 0.25) / sqrt((0.24 + 0.1875) / 100) = 2.2942
    assert outlier_p_value(0.4, 0.25, 100) == pytest.approx(0.02178, abs=1e-5)
    assert outlier_p_value(0.3, 0.3, 100) == 1.0
    assert outlier_p_value(1.0, 0.0, 100) == 0.0


def test_the_p_value_is_students():
    first, second, opinions = alike_models(1)
    entry = paired_differences(rmse_only, first, second, opinions)["rmse"]
    names = sorted(set(opinions.source))
    gaps = []
    for name in names:
        rows = opinions.source != name
        gaps.append(rmse(first[rows], opinions.mos[rows]) - rmse(second[rows], opinions.mos[rows]))
    error = math.sqrt(11 / 10 * sum((gap - sum(gaps) / 12) ** 2 for gap in gaps))
    expected = 2 * scipy.stats.t.sf(abs(entry.difference) / error, 11)
    assert entry.p_value == pytest.approx(expected)
    assert (entry.p_value < 0.05) == (entry.interval.low > 0 or entry.interval.high < 0)


def test_it_errs_about_as_often_as_it_says():
    trials = 400
    hits = sum(
        paired_differences(rmse_only, *alike_models(seed))["rmse"].p_value < 0.05
        for seed in range(trials)
    )
    # Two standard deviations of 400 trials at 0.05 are 0.022.
    assert 0.02 <= hits / trials <= 0.085


def test_it_sees_what_is_there():
    first, second, opinions = alike_models(2)
    second = opinions.mos + 3 * (second - opinions.mos)
    entry = paired_differences(rmse_only, first, second, opinions)["rmse"]
    assert entry.difference < 0
    assert entry.p_value < 0.01


def test_the_same_twice_does_not_differ():
    first, _, opinions = alike_models(3)
    entry = paired_differences(rmse_only, first, first, opinions)["rmse"]
    assert entry.p_value == 1.0
    assert entry.interval.low == entry.interval.high == 0.0


def test_two_sources_say_nothing():
    entry = paired_differences(rmse_only, *alike_models(4, sources=2))["rmse"]
    assert math.isnan(entry.p_value)
    assert math.isnan(entry.interval.low)


def good_and_bad(ci95=True, sources=8):
    """Two models of clips of two experiments; the second is much the worse."""
    rng = np.random.default_rng(0)
    n = sources * 12
    mos = rng.uniform(5, 95, n)
    source = np.repeat([f"s{k}" for k in range(sources)], 12)
    half_width = rng.uniform(3, 8, n) if ci95 else None
    opinions = Opinions.of(mos, source, np.tile(["x", "y"], n // 2), half_width)
    return mos + rng.normal(0, 5, n), mos + rng.normal(0, 20, n), opinions


def test_a_comparison_tells_the_better_model():
    first, second, opinions = good_and_bad()
    comparison = compare_against_opinions(first, second, opinions)
    assert (comparison.n_clips, comparison.n_sources) == (96, 8)
    for name, entry in comparison.differences.items():
        lower_is_better = name.startswith("rmse") or name == "outlier_ratio"
        assert (entry.difference < 0) == lower_is_better, name
        assert entry.p_value < 0.01, name
    stars = mapped_metrics(first, opinions, "linear"), mapped_metrics(second, opinions, "linear")
    assert comparison.differences["rmse_star"].second == stars[1].rmse_star
    p_values = comparison.clip_p_values
    assert p_values["rmse_star"] == rmse_p_value(
        stars[0].rmse_star, stars[1].rmse_star, (96 - 4, 96 - 4)
    )
    assert p_values["plcc"] == plcc_p_value(
        plcc(first, opinions.mos), plcc(second, opinions.mos), 96
    )
    assert p_values["outlier_ratio"] < 0.01
    assert p_values["correct"] < 0.01


def test_a_model_does_not_differ_from_itself():
    first, _, opinions = good_and_bad()
    comparison = compare_against_opinions(first, first, opinions)
    assert all(entry.p_value == 1.0 for entry in comparison.differences.values())
    assert len(comparison.clip_p_values) == 6
    assert set(comparison.clip_p_values.values()) == {1.0}


def test_opinions_without_intervals_give_fewer_figures():
    comparison = compare_against_opinions(*good_and_bad(ci95=False))
    assert list(comparison.clip_p_values) == ["plcc"]
    assert list(comparison.differences) == ["plcc", "srocc", "krocc", "rmse", "rmse_mapped"]


@pytest.mark.parametrize("sources", [1, 2])
def test_a_comparison_over_two_sources_has_no_p_value(sources):
    comparison = compare_against_opinions(*good_and_bad(sources=sources))
    assert math.isnan(comparison.differences["rmse"].p_value)


def two_tests():
    rng = np.random.default_rng(0)
    n = 160
    mos = rng.uniform(10, 90, n)
    opinions = Opinions.of(mos, np.repeat([f"s{k}" for k in range(8)], 20), np.tile(["x", "y"], 80))
    offset = np.where(opinions.experiment == "x", 10.0, -4.0)
    models = {
        "good": mos + offset + rng.normal(0, 3, n),
        "bad": 20 + 0.5 * mos + rng.normal(0, 12, n),
        "worst": rng.uniform(0, 100, n),
    }
    return models, opinions


def test_figures_of_each_test():
    models, opinions = two_tests()
    entries = agree_by_experiment(models, opinions)
    assert [(e.experiment, e.model) for e in entries][:2] == [("x", "good"), ("x", "bad")]
    rows = opinions.experiment == "x"
    error = models["good"][rows] - opinions.mos[rows]
    assert entries[0].bias == pytest.approx(error.mean())
    assert entries[0].rmse == pytest.approx(np.sqrt(np.mean(error**2)))
    line = np.polyfit(models["good"][rows], opinions.mos[rows], 1)
    left = np.polyval(line, models["good"][rows]) - opinions.mos[rows]
    assert entries[0].rmse_mapped == pytest.approx(np.sqrt(np.mean(left**2)))
    assert mean_bias(entries, "good") == pytest.approx(7, abs=1)
    assert best_models(models, opinions, 2) == ["good", "bad"]


def test_verdicts_are_over_sources_and_after_lines():
    models, opinions = two_tests()
    rivals = {name: models[name] for name in ("bad", "worst")}
    for verdict in judge_by_experiment(models["good"], rivals, opinions):
        assert (verdict.word, verdict.rival) == ("better", "bad")
        assert verdict.p_value < 0.05
    worse = judge_by_experiment(models["bad"], {"good": models["good"]}, opinions)
    assert {verdict.word for verdict in worse} == {"worse"}
    same = judge_by_experiment(models["good"], {"good": models["good"] + 5}, opinions)
    assert {verdict.word for verdict in same} == {"as good"}


def test_verdicts_of_many_tests_are_adjusted_for_their_number():
    """Of forty tests of two models that are alike, two would differ at 5 % each."""
    rng = np.random.default_rng(0)
    n_tests, n = 40, 24
    mos = rng.uniform(10, 90, n_tests * n)
    source, test = np.tile(np.repeat(np.arange(6), 4), n_tests), np.repeat(np.arange(n_tests), n)
    opinions = Opinions.of(mos, source.astype(str), test.astype(str))
    one, other = (mos + rng.normal(0, 10, len(mos)) for _ in range(2))
    alone = [
        judge_by_experiment(one[rows], {"other": other[rows]}, opinions.where(rows))[0]
        for rows in (test == k for k in range(n_tests))
    ]
    assert sum(verdict.word != "as good" for verdict in alone) >= 1
    together = judge_by_experiment(one, {"other": other}, opinions)
    assert {verdict.word for verdict in together} == {"as good"}
    order = sorted(range(n_tests), key=lambda k: alone[k].p_value)
    by_name = {verdict.experiment: verdict.p_value for verdict in together}
    least = alone[order[0]].p_value
    assert by_name[str(order[0])] == pytest.approx(min(1.0, n_tests * least))


def test_a_card_counts_the_tests_that_have_a_p_value():
    verdicts = [
        ExperimentVerdict(name, "rival", -1.0, p, "as good")
        for name, p in (("a", 0.5), ("b", math.nan), ("c", 0.9))
    ]
    first, second, _ = verdict_lines(Experiments("model", [], verdicts), 0.04)
    assert first.endswith("p 0.5 over sources (Holm, 2 tests).")
    assert second.endswith("beside rival, without a p value: it has fewer than three sources.")


def test_a_card_shows_every_test_in_votes():
    models, opinions = two_tests()
    rivals = {"bad": models["bad"]}
    experiments = Experiments(
        "good",
        agree_by_experiment({"good": models["good"]} | rivals, opinions),
        judge_by_experiment(models["good"], rivals, opinions),
    )
    text = "\n".join(experiment_lines(experiments, (1.0, 5.0)))
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    shown = {tuple(row[:2]): dict(zip(lines[0], row, strict=True)) for row in lines[2:]}
    for entry in experiments.agreement:  # one vote is 25 points
        row = shown[entry.experiment, entry.model]
        figures = {"PLCC": entry.plcc, "SROCC": entry.srocc, "bias": entry.bias / 25}
        figures |= {"RMSE": entry.rmse / 25, "mapped": entry.rmse_mapped / 25, "n": 80}
        for heading, value in figures.items():
            assert float(row[heading]) == pytest.approx(
                value, abs=6e-3 if heading == "bias" else 6e-4
            )
    assert shown["x", "bad"]["PLCC"] != shown["x", "bad"]["SROCC"]
    assert "is 0.2" in text  # 7 points
    assert "- y: good is better after lines" in text
    assert experiment_lines(None, (1.0, 5.0)) == []


def published():
    """The example of libvmaf's tests: raw scores of 4 clips by 10 viewers, |z| > 2 is different,
    all ordered pairs, those of a clip with itself too."""
    raw = np.random.RandomState(1).normal(0, 1.0, [4, 10]) + np.arange(1, 5)[:, None]
    mean, error = raw.mean(axis=1), raw.var(axis=1, ddof=1) / 10
    first, second = (index.ravel() for index in np.indices((4, 4)))
    z = (mean[first] - mean[second]) / np.sqrt(error[first] + error[second])
    return Pairs(first, second, np.where(np.abs(z) > 2, np.sign(z), 0).astype(np.int64))


MODELS = np.array([1.0, 2, 3, 4]), np.array([3.0, 1, 2, 4])


@pytest.mark.parametrize(
    ("model", "expected"), [(0, (0.9375, 1.0, 1.0)), (1, (0.625, 0.8125, 0.75))]
)
def test_the_published_example(model, expected):
    result = analyse_pairs(MODELS[model], published())
    figures = (result.auc_different_similar, result.auc_better_worse, result.correct)
    assert figures == pytest.approx(expected, abs=1e-6)


def test_the_published_p_values():
    pairs = published()
    assert compare_on_pairs(*MODELS, pairs)["auc_different_similar"] == pytest.approx(
        0.02746864, abs=1e-6
    )
    better = [(pairs.differences(m) * pairs.outcome)[pairs.outcome != 0] for m in MODELS]
    as_published = _delong((better[0], -better[0]), (better[1], -better[1]))
    assert as_published == pytest.approx(0.06136883, abs=1e-6)
    # Its variance is half the true one: a pair's two ways round are taken as independent.
    m = len(better[0])
    z = scipy.stats.norm.isf(as_published / 2) / math.sqrt(2)
    ours = _delong_mirrored(*better)
    assert ours == pytest.approx(2 * scipy.stats.norm.sf(z), rel=1e-6)
    assert m == 8


def test_the_better_worse_test_errs_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials, corrected, uncorrected = 400, 0, 0
    for _ in range(trials):
        a, b = rng.normal(0.7, 1, (2, 80))  # two models of the same skill
        corrected += _delong_mirrored(a, b) < 0.05
        uncorrected += _delong((a, -a), (b, -b)) < 0.05
    # Two standard deviations of 400 trials at 0.05 are 0.022.
    assert 0.025 <= corrected / trials <= 0.08
    assert uncorrected / trials > 0.1


def test_pairs_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    n = 24
    mos, half = rng.uniform(20, 80, n), rng.uniform(3, 12, n)
    experiment = rng.choice(["x", "y"], n)
    pairs = pair_clips(Opinions.of(mos, ["s"] * n, experiment, half))
    expected = {}
    for i in range(n):
        for j in range(i + 1, n):
            if experiment[i] == experiment[j]:
                error = math.sqrt((half[i] / 1.96) ** 2 + (half[j] / 1.96) ** 2)
                z = (mos[i] - mos[j]) / error
                expected[i, j] = 1 if z > 1.96 else -1 if z < -1.96 else 0
    rows = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    assert dict(zip(rows, pairs.outcome.tolist(), strict=True)) == expected
    assert set(expected.values()) == {-1, 0, 1}


def test_auc_counts_ties_half_and_is_mann_whitneys():
    rng = np.random.default_rng(4)
    a, b = np.round(rng.normal(1, 1, 30)), np.round(rng.normal(0, 1, 20))
    loop = np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b])
    assert auc(a, b) == pytest.approx(loop)
    assert auc(a, b) == pytest.approx(scipy.stats.mannwhitneyu(a, b).statistic / 600)


def test_a_perfect_and_a_backward_model():
    mos = np.linspace(0, 100, 12)
    pairs = pair_clips(Opinions.of(mos, ["s"] * 12, None, np.full(12, 10.0)))
    perfect, backward = analyse_pairs(mos, pairs), analyse_pairs(-mos, pairs)
    assert (perfect.auc_better_worse, perfect.correct) == (1.0, 1.0)
    assert perfect.auc_different_similar == 1.0
    assert (backward.auc_better_worse, backward.correct) == (0.0, 0.0)
    test = compare_on_pairs(mos, -mos, pairs)
    assert test["auc_better_worse"] == 0.0
    assert test["auc_different_similar"] == 1.0
    assert test["correct"] < 1e-6


def test_a_model_that_says_the_same_of_every_clip_is_right_in_no_pair():
    mos = np.linspace(0, 100, 12)
    pairs = pair_clips(Opinions.of(mos, ["s"] * 12, None, np.full(12, 10.0)))
    constant = analyse_pairs(np.full(12, 50.0), pairs)
    assert constant.different > 0
    assert constant.correct == 0.0
    assert (constant.auc_better_worse, constant.auc_different_similar) == (0.5, 0.5)
    # Beside one that is right in all: Fisher's exact test of the two shares.
    n = constant.different
    expected = scipy.stats.fisher_exact([[0, n], [n, 0]]).pvalue
    test = compare_on_pairs(np.full(12, 50.0), mos, pairs)
    assert test["correct"] == pytest.approx(expected, rel=1e-9, abs=0)


def test_without_a_kind_of_pair_figures_are_undefined():
    pairs = pair_clips(Opinions.of([50.0, 50.5, 51.0], ["s"] * 3, None, [9.0] * 3))
    result = analyse_pairs(np.array([1.0, 2.0, 3.0]), pairs)
    assert (result.different, result.similar) == (0, 3)
    assert math.isnan(result.auc_better_worse)
    assert math.isnan(result.correct)
    alone = pair_clips(Opinions.of([50.0], ["s"], None, [9.0]))
    assert analyse_pairs(np.array([1.0]), alone).similar == 0


def test_pairs_need_intervals():
    with pytest.raises(ValueError, match="intervals"):
        pair_clips(Opinions.of([1.0, 2.0], ["s", "s"]))
