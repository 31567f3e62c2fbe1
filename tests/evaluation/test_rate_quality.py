import bjontegaard
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.spatial

from vmaf_jax.evaluation.intervals import bootstrap_mean
from vmaf_jax.evaluation.rate_quality import METHODS, Curve, make_curve, rate_difference, upper_hull


def random_curve(rng, n):
    rate = np.sort(rng.uniform(100, 9000, n))
    return Curve(rate, np.sort(rng.uniform(20, 99, n)))


@pytest.mark.parametrize("seed", range(40))
def test_bd_rate_is_the_bjontegaard_packages(seed):
    rng = np.random.default_rng(seed)
    anchor, test = (random_curve(rng, int(rng.integers(3, 9))) for _ in range(2))
    difference = rate_difference(anchor, test)
    for method in METHODS:
        points = (anchor.rate, anchor.score, test.rate, test.score)
        theirs = bjontegaard.bd_rate(
            *points, method=method, require_matching_points=False, min_overlap=0
        )
        assert 100 * difference.bd_rate[method] == pytest.approx(theirs, abs=1e-6, rel=1e-6)


def test_a_codec_at_half_the_rate_saves_half():
    anchor = Curve(np.array([400.0, 900, 2000, 5000]), np.array([40.0, 62, 80, 93]))
    test = Curve(anchor.rate / 2, anchor.score)
    difference = rate_difference(anchor, test)
    assert difference.bd_rate == {m: pytest.approx(-0.5, abs=1e-12) for m in METHODS}
    assert (difference.low, difference.high, difference.overlap) == (40, 93, 1)
    assert difference.crossings == ()
    assert rate_difference(anchor, anchor).crossings == ()  # touching is no crossing


def test_a_crossing_is_where_the_rates_are_equal():
    score = np.array([20.0, 40, 60, 80])
    anchor = Curve(10 ** np.array([1.0, 2, 3, 4]), score)
    test = Curve(10 ** np.array([1.5, 2.25, 3, 3.75]), score)  # equal at 60, exactly
    (crossing, *more) = sorted({round(c, 1) for c in rate_difference(anchor, test).crossings})
    assert crossing == pytest.approx(60, abs=0.1)
    assert more == []


def test_nothing_is_extrapolated():
    anchor = Curve(np.array([100.0, 200, 400]), np.array([30.0, 50, 70]))
    assert np.isnan(anchor.log_rate("pchip")(np.array([29.9, 70.1]))).all()
    test = Curve(np.array([100.0, 200, 400]), np.array([75.0, 80, 90]))
    with pytest.raises(ValueError, match="no score in common"):
        rate_difference(anchor, test)


@pytest.mark.parametrize(
    ("rate", "score", "message"),
    [
        ([100, 200], [30, 50], "has 2 points; a curve needs 3"),
        ([0, 200, 300], [30, 50, 60], "not above 0"),
        ([100, 100, 300], [30, 50, 60], "two encodes at one rate"),
        ([100, 200, 300], [30, 50, 49], "does not rise: score 50 at 200 kbit/s, 49 at 300"),
    ],
)
def test_what_is_no_curve(rate, score, message):
    with pytest.raises(ValueError, match=message):
        make_curve(np.array(rate, float), np.array(score, float), hull=False)


points = st.lists(
    st.tuples(st.integers(1, 10_000), st.integers(0, 100)), min_size=1, max_size=40, unique=True
)


@hypothesis.given(points)
def test_no_mixture_beats_the_hull(encodes):
    rate, score = np.array(encodes, float).T
    hull = upper_hull(rate, score)
    assert (np.diff(rate[hull]) > 0).all()
    assert (np.diff(score[hull]) > 0).all()
    assert score[hull[-1]] == score.max()
    assert rate[hull[0]] == rate.min()
    slopes = np.diff(score[hull]) / np.diff(rate[hull])
    assert (np.diff(slopes) < 0).all()
    on_hull = np.interp(rate, rate[hull], score[hull])
    assert (score <= on_hull + 1e-9).all()


def test_the_hull_is_scipys():
    rng = np.random.default_rng(3)
    rate, score = rng.uniform(100, 5000, 60), rng.uniform(0, 100, 60)
    theirs = set(scipy.spatial.ConvexHull(np.stack([rate, score], 1)).vertices.tolist())
    ours = upper_hull(rate, score)
    assert set(ours.tolist()) <= theirs
    left, best = np.argmin(rate), np.argmax(score)
    line = np.interp(rate, rate[[left, best]], score[[left, best]])
    above = {k for k in theirs if rate[left] < rate[k] < rate[best] and score[k] > line[k]}
    assert set(ours.tolist()) == above | {left, best}


def test_the_interval_of_a_mean():
    values = np.random.default_rng(0).normal(-0.2, 0.05, 12)
    low, high = bootstrap_mean(values, 0.95)
    reach = scipy.stats.t.ppf(0.975, 11) * scipy.stats.sem(values)  # what it is for normal values
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * reach, rel=0.2)
    wider = bootstrap_mean(values, 0.99)
    assert wider[0] < low
    assert wider[1] > high
    assert bootstrap_mean(values[:4], 0.95) is None
    assert bootstrap_mean(np.full(6, 0.1), 0.95) == pytest.approx((0.1, 0.1))


def studentised_by_hand(values, level):
    """Efron and Tibshirani, 12.5: the upper tail of t* gives the lower end."""
    drawn = np.random.default_rng(1).choice(values, (20_000, len(values)))
    mean, error = np.mean(values), scipy.stats.sem(values)
    t = (drawn.mean(axis=1) - mean) / scipy.stats.sem(drawn, axis=1)
    tail = (1 - level) / 2
    return mean - np.quantile(t, 1 - tail) * error, mean - np.quantile(t, tail) * error


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_interval_of_a_skewed_mean_reaches_further_to_the_long_side(level):
    values = np.exp(np.random.default_rng(5).normal(0, 1, 15))
    low, high = bootstrap_mean(values, level)
    expected = studentised_by_hand(values, level)
    assert (low, high) == pytest.approx(expected, abs=0.05 * (expected[1] - expected[0]))
    assert high - values.mean() > 1.2 * (values.mean() - low)
