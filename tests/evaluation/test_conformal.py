from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from tests.reporting.support import predictions
from vmaf_jax.evaluation.conformal import (
    GRID,
    LEVELS,
    MAX_CLIPS,
    N_SHARES,
    ConformalProfile,
    HeldOutPredictions,
    TrainingRegion,
    coverage,
    fit_region,
    held_out_intervals,
    pool_held_out,
    weighted_quantiles,
)
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.features.feature_set import FEATURES

SHIPPED = ("nano", "rbf", "tiny")
TINY = Path("checkpoints/tiny")


def simulated(n_sources, seed):
    """Errors with a part that a source's clips share, larger for low predictions."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(n_sources), rng.integers(3, 30, n_sources))
    predicted = rng.uniform(5, 95, len(source))
    size = 1 + 6 * (100 - predicted) / 100
    error = size * (rng.normal(0, 1, n_sources)[source] + rng.normal(0, 1, len(source)))
    return HeldOutPredictions(source, predicted, np.clip(predicted + error, 0, 100))


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_new_sources_are_covered(level):
    """Many worlds: calibrate on 30 sources, judge by clips of a thirty-first."""
    held = []
    for seed in range(300):
        world = simulated(31, seed)
        rows = world.source == 30
        low, high = world.without(30).profile.bounds(world.predicted[rows], level)
        held.append(np.mean((low <= world.label[rows]) & (world.label[rows] <= high)))
    assert np.mean(held) == pytest.approx(level, abs=0.03)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("model", SHIPPED)
def test_the_shipped_models_are_covered(model, level):
    folder = Path("checkpoints") / model
    external = {"demo": read_held_out(folder / "external_demo.parquet")}
    residuals = pool_held_out(read_held_out(folder / "folds.parquet"), external, "mean")
    covering = coverage(residuals, level)
    assert covering.covered == pytest.approx(level, abs=0.03)
    if model == "tiny" and level < 0.95:  # there the naive interval holds too few, 0.926
        assert covering.width < covering.naive_width


def test_every_source_weighs_the_same():
    """A source of a thousand clips moves the quantile no more than one of ten."""
    rng = np.random.default_rng(0)
    few, many = (
        HeldOutPredictions(
            np.repeat(np.arange(11), [10] * 10 + [n]),
            np.full(100 + n, 50.0),
            np.concatenate([50 + rng.normal(0, 1, 100), 50 + rng.normal(0, 30, n)]),
        )
        for n in (10, 1000)
    )
    assert many.profile.interval(50.0, 0.8).high == pytest.approx(
        few.profile.interval(50.0, 0.8).high, abs=1.5
    )
    plain = np.quantile(np.abs(many.label - 50), 0.8)
    assert many.profile.interval(50.0, 0.8).high - 50 < plain / 3


def test_intervals_are_wider_where_errors_are_larger_and_stay_on_the_scale():
    residuals = simulated(30, 1)
    low, middle, high = (residuals.profile.interval(float(p), 0.9) for p in (20, 50, 80))
    assert low.high - low.low > middle.high - middle.low > high.high - high.low
    assert residuals.profile.interval(0.5, 0.99).low == 0
    assert residuals.profile.interval(99.5, 0.99).high == 100
    wide, narrow = residuals.profile.interval(50.0, 0.95), residuals.profile.interval(50.0, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_sources_own_errors_do_not_forgive_them():
    """The difficulty that a residual is divided by comes from the other sources."""
    residuals = simulated(8, 2)
    alone = residuals.source == 3
    larger = HeldOutPredictions(
        residuals.source,
        residuals.predicted,
        np.where(alone, residuals.predicted + 5, residuals.label),
    )
    largest = HeldOutPredictions(
        residuals.source,
        residuals.predicted,
        np.where(alone, residuals.predicted + 10, residuals.label),
    )
    np.testing.assert_allclose(
        largest.scaled_residuals()[alone], 2 * larger.scaled_residuals()[alone], rtol=1e-12
    )


def test_weighted_quantile_on_a_known_case():
    values, weight = np.array([3.0, 1, 2]), np.array([1.0, 1, 2])
    shares = np.array([0.25, 0.26, 0.75, 0.76, 1.0])
    assert weighted_quantiles(values, weight, shares).tolist() == [1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("level", "n_clips"),
    [
        ("9/10", 99),
        ("9/10", 40),
        ("1/2", 3),
        ("4/5", 4),
        ("3/4", 300),
        ("99/100", 99),
        ("19/20", 7),
    ],
)
def test_the_quantile_is_that_of_the_level_and_of_one_clip_more(level, n_clips):
    """The least share of the profile, of 1/500 to 1, that is `level (n + 1) / n` or more."""
    profile = ConformalProfile(n_clips, 9, np.arange(1.0, N_SHARES + 1), np.ones(len(GRID)))
    wanted = Fraction(level) * Fraction(n_clips + 1, n_clips)
    rank = next((k for k in range(1, 501) if Fraction(k, 500) >= wanted), 500)
    half = profile.half_width(np.array([50.0]), float(Fraction(level)))
    assert half.tolist() == [rank]


def test_coverage_is_that_of_a_plain_loop():
    """Each source by the intervals of the others, beside -+ z times their RMSE."""
    residuals, level = simulated(6, 4), 0.8
    inside, naive, widths, naive_widths = [], [], [], []
    for source in range(6):
        own = residuals.source == source
        left = np.unique(residuals.source[~own], return_inverse=True)[1]
        others = HeldOutPredictions(left, residuals.predicted[~own], residuals.label[~own])
        z = scipy.stats.norm.ppf(0.9) * rmse(others.predicted, others.label)
        for p, y in zip(residuals.predicted[own], residuals.label[own], strict=True):
            interval = others.profile.interval(float(p), level)
            inside.append((source, interval.low <= y <= interval.high))
            widths.append(interval.high - interval.low)
            naive.append(abs(y - p) <= z)
            naive_widths.append(min(p + z, 100) - max(p - z, 0))
    found = coverage(residuals, level)
    by_source = [np.mean([held for s, held in inside if s == source]) for source in range(6)]
    held = [held for _, held in inside]
    assert np.mean(held) != pytest.approx(np.mean(by_source), abs=1e-3)
    assert found.covered == pytest.approx(np.mean(held))
    assert found.covered_by_source == pytest.approx(np.mean(by_source))
    assert found.width == pytest.approx(np.mean(widths))
    assert found.naive_covered == pytest.approx(np.mean(naive))
    assert found.naive_width == pytest.approx(np.mean(naive_widths))


def held_out(source, label, predicted):
    n = len(label)
    names = np.array([source] * n, object), np.array([f"c{k}" for k in range(n)], object)
    zeros = np.zeros(n, np.int32)
    return HeldOut(*names, zeros, zeros, np.array(label), np.array(predicted))


def test_labels_beyond_the_scale_are_judged_at_its_ends():
    """A model's scores end at 0 and 100, and so do the scores that they are to hit."""
    rows = held_out("s", [-12.0, 40.0, 109.0], [0.0, 41.0, 100.0])
    residuals = pool_held_out(rows, {}, "mean")
    assert residuals.label.tolist() == [0.0, 40.0, 100.0]


def test_sources_of_one_name_in_two_corpora_are_two_sources():
    rows = held_out("park", [40.0, 60.0], [41.0, 60.0])
    external = {name: held_out("park", [50.0] * 3, [52.0] * 3) for name in ("demo", "other")}
    residuals = pool_held_out(rows, external, "mean")
    assert residuals.source.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert residuals.weight.tolist() == [1 / 2] * 2 + [1 / 3] * 6


def test_coverage_needs_three_sources():
    with pytest.raises(ValueError, match="three sources"):
        coverage(simulated(2, 0), 0.9)


def test_they_are_of_all_clips_that_the_model_is_calibrated_on():
    rows = read_held_out(TINY / "folds.parquet")
    external = {"demo": read_held_out(TINY / "external_demo.parquet")}
    intervals = held_out_intervals(rows, external, "mean")
    residuals = pool_held_out(rows, external, "mean")
    assert (intervals.profile.n_clips, intervals.profile.n_sources) == (211 + 72, 23 + 9)
    assert intervals.coverages == tuple(coverage(residuals, level) for level in LEVELS)
    alone = held_out_intervals(rows, {}, "mean")
    assert alone.profile.n_clips == 211
    assert alone.coverages != intervals.coverages


def test_half_widths_are_those_of_the_intervals():
    rows = read_held_out(TINY / "folds.parquet")
    profile = held_out_intervals(rows, {}, "mean").profile
    for level in LEVELS:
        half = profile.half_width(np.array([20.0, 99.99]), level)
        interval = profile.interval(20.0, level)
        assert half[0] == pytest.approx((interval.high - interval.low) / 2)
        assert half[1] > 100 - 99.99  # it does not end where the scale does


@pytest.mark.parametrize(
    ("rows", "pooling", "words"),
    [
        (predictions(40, sources=1), "mean", "Fewer than 3 sources"),
        (predictions(40, sources=2), "mean", "Fewer than 3 sources"),
        (predictions(4000, clips=20), "attention", "Held out were frames"),
        (predictions(MAX_CLIPS + 50, clips=100), "mean", "More than 2,000 clips"),
    ],
    ids=["one source", "two", "frames", "many"],
)
def test_where_there_are_none_a_sentence_says_why(rows, pooling, words):
    reason = held_out_intervals(rows, {}, pooling)
    assert isinstance(reason, str)
    assert words in reason


def test_frames_are_pooled_to_clips():
    rows = predictions(200, sources=5, clips=4)
    intervals = held_out_intervals(rows, {}, "mean")
    assert intervals.profile.n_clips == 20
    assert held_out_intervals(rows, {}, "percentile 50").coverages != intervals.coverages


def test_distance_is_mahalanobis():
    region = TrainingRegion(np.array([1.0, 2.0]), np.array([[4.0, 0], [0, 9]]), 2.0)
    np.testing.assert_allclose(region.distance(np.array([[3.0, 2], [1, 8], [1, 2]])), [1, 2, 0])
    assert region.contains(np.array([1.0, 8]))
    assert not region.contains(np.array([1.0, 8.1]))


def test_clips_of_new_sources_are_inside_and_strange_ones_are_not(support_vectors, demo_table):
    _, group = np.unique(support_vectors.source.astype(str), return_inverse=True)
    region = fit_region(support_vectors.features, group)
    assert np.mean(region.distance(support_vectors.features) <= region.limit) >= 0.97
    clips = demo_table.mean_pool()
    inside = region.distance(clips.features) <= region.limit
    assert inside.mean() >= 0.85
    assert set(clips.clip[~inside]) <= {"x264_crf40_176w"}  # ruined: a third of the width
    for strange in ([0] * 6, [0.5, 0.9, 0.1, 0.1, 0.1, 5], [0.2, 0.9, 0.9, 0.9, 0.9, 3]):
        assert len(strange) == len(FEATURES)
        assert not region.contains(np.array(strange, float))


def test_a_feature_that_never_varies_is_no_division_by_zero():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(0, 1, 40), np.full(40, 0.5)])
    region = fit_region(features, np.arange(40) % 4)
    assert region.contains(np.array([0.1, 0.5]))
    assert not region.contains(np.array([0.1, 0.9]))
