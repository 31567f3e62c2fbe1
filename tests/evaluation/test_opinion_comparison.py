import math

import numpy as np
import pytest
import scipy.stats

from vmaf_jax.evaluation.metrics import plcc, rmse
from vmaf_jax.evaluation.opinion_comparison import (
    compare_against_opinions,
    outlier_p_value,
    paired_differences,
    plcc_p_value,
    rmse_p_value,
)
from vmaf_jax.evaluation.opinions import Opinions, mapped_metrics


def case(seed, sources=12, per_source=6, models=2):
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
    first, second, opinions = case(1)
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
        paired_differences(rmse_only, *case(seed))["rmse"].p_value < 0.05 for seed in range(trials)
    )
    # Two standard deviations of 400 trials at 0.05 are 0.022.
    assert 0.02 <= hits / trials <= 0.085


def test_it_sees_what_is_there():
    first, second, opinions = case(2)
    second = opinions.mos + 3 * (second - opinions.mos)
    entry = paired_differences(rmse_only, first, second, opinions)["rmse"]
    assert entry.difference < 0
    assert entry.p_value < 0.01


def test_the_same_twice_does_not_differ():
    first, _, opinions = case(3)
    entry = paired_differences(rmse_only, first, first, opinions)["rmse"]
    assert entry.p_value == 1.0
    assert entry.interval.low == entry.interval.high == 0.0


def test_two_sources_say_nothing():
    entry = paired_differences(rmse_only, *case(4, sources=2))["rmse"]
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
