import math

import numpy as np
import pytest
import scipy.stats

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.opinions import (
    Opinions,
    all_maps,
    mapped_metrics,
    opinion_metrics,
    outlier_ratio,
    rmse_mapped,
    rmse_star,
)


def case(seed=0, experiments=2, per_experiment=15):
    rng = np.random.default_rng(seed)
    n = experiments * per_experiment
    mos = rng.uniform(0, 100, n)
    experiment = np.repeat([f"test {k}" for k in range(experiments)], per_experiment)
    source = np.tile(["a", "b", "c", "d", "e"], n // 5)
    predicted = 0.8 * mos + 10 + rng.normal(0, 8, n)
    return predicted, Opinions.of(mos, source, experiment, rng.uniform(2, 9, n))


def test_the_figures_are_scipys_and_a_loops():
    p, opinions = case()
    m, mos, ci95 = opinion_metrics(p, opinions), opinions.mos, opinions.ci95
    assert m.plcc == pytest.approx(scipy.stats.pearsonr(p, mos).statistic)
    assert m.srocc == pytest.approx(scipy.stats.spearmanr(p, mos).statistic)
    assert m.krocc == pytest.approx(scipy.stats.kendalltau(p, mos).statistic)
    total = beyond = outliers = 0.0
    for predicted, score, half in zip(p, mos, ci95, strict=True):
        error = abs(predicted - score)
        total += error**2
        beyond += max(0.0, error - half) ** 2
        outliers += error > half
    assert m.rmse == pytest.approx(math.sqrt(total / 30))
    assert m.rmse_star == pytest.approx(math.sqrt(beyond / 29))  # d = 1 without a map
    assert m.outlier_ratio == pytest.approx(outliers / 30)


def test_an_error_within_the_interval_is_none():
    truth, half = np.array([50.0, 50.0, 50.0, 50.0]), np.array([5.0, 5.0, 5.0, 0.0])
    p = np.array([55.0, 46.0, 62.0, 51.0])  # 0, 0, 7 and 1 past the interval
    assert rmse_star(p, truth, half) == pytest.approx(math.sqrt((49 + 1) / 3))
    assert outlier_ratio(p, truth, half) == 0.5  # 5 points with a half-width of 5 are none


@pytest.mark.parametrize(("kind", "freedom"), [("linear", 4), ("cubic", 8), ("logistic", 8)])
def test_freedom_is_that_of_the_map_in_every_experiment(kind, freedom):
    p, opinions = case()
    m = mapped_metrics(p, opinions, kind)
    assert m.freedom == freedom
    assert m.rmse < opinion_metrics(p, opinions).rmse


def test_rmse_mapped_by_a_line_of_each_experiment():
    p, opinions = case()
    residuals = []
    for test in ("test 0", "test 1"):
        rows = opinions.experiment == test
        fit = np.polyfit(p[rows], opinions.mos[rows], 1)
        residuals.append(np.polyval(fit, p[rows]) - opinions.mos[rows])
    both = rmse_mapped(p, opinions.mos, opinions.experiment)
    assert both.as_it_comes == pytest.approx(np.sqrt(np.mean((p - opinions.mos) ** 2)))
    assert both.mapped == pytest.approx(np.sqrt(np.mean(np.concatenate(residuals) ** 2)))
    assert both.unmapped == 0


def test_a_constant_model_is_as_good_as_the_means():
    _, opinions = case()
    both = rmse_mapped(np.full(30, 70.0), opinions.mos, opinions.experiment)
    means = [opinions.mos[opinions.experiment == t] for t in ("test 0", "test 1")]
    assert both.mapped == pytest.approx(np.sqrt(np.mean([np.var(part) for part in means])))
    metrics = all_maps(np.full(30, 70.0), opinions)
    assert all(math.isnan(getattr(metrics["none"], n)) for n in ("plcc", "srocc", "krocc"))


def test_single_clips_are_not_flattered():
    mos, p = np.array([20.0, 50.0, 80.0]), np.array([30.0, 40.0, 90.0])
    both = rmse_mapped(p, mos, ["a", "b", "c"])
    assert both.mapped == both.as_it_comes == pytest.approx(10.0)
    assert both.unmapped == 3


def test_without_intervals_what_needs_them_is_none():
    p, opinions = case()
    m = opinion_metrics(p, Opinions.of(opinions.mos, opinions.source))
    assert m.rmse_star is m.outlier_ratio is None
    assert math.isfinite(m.rmse)


def test_as_many_clips_as_parameters_leave_rmse_star_undefined():
    assert math.isnan(rmse_star(np.zeros(2), np.ones(2), np.zeros(2), 2))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mos": [1.0, np.nan]}, "mos: clip 1 is not a number"),
        ({"ci95": [1.0, -1.0]}, "mos_ci95: clip 1 is below 0"),
        ({"ci95": [np.inf, 1.0]}, "mos_ci95: clip 0 is not a number"),
        ({"mos": [], "source": [], "ci95": []}, "no clips"),
    ],
)
def test_bad_opinions(change, text):
    columns = {"mos": [1.0, 2.0], "source": ["a", "b"], "ci95": [1.0, 1.0]} | change
    with pytest.raises(InputError, match=text):
        Opinions.of(**columns)


def test_experiments_may_be_numbers():
    opinions = Opinions.of([1.0, 2.0, 3.0], ["a", "b", "c"], [10, 9, None])
    assert opinions.experiment.tolist() == ["10", "9", "None"]


def test_bad_predictions():
    _, opinions = case()
    with pytest.raises(InputError, match="predictions: clip 3 is not a number"):
        opinion_metrics(np.where(np.arange(30) == 3, np.nan, 1.0), opinions)
    with pytest.raises(ValueError, match="predictions for"):
        opinion_metrics(np.ones(29), opinions)
