import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.opinions import (
    MAP_KINDS,
    Opinions,
    all_maps,
    calibrate_held_out,
    fit_map,
    map_by_experiment,
    mapped_metrics,
    opinion_metrics,
    outlier_ratio,
    recover_quality,
    rmse_mapped,
    rmse_star,
    separate_groups,
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


def noisy_scores(seed=0, n=80, noise=4.0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(20, 100, n)
    return x, 15 + 70 / (1 + np.exp(-(x - 65) / 9)) + rng.normal(0, noise, n)


def squares(fit, x, y):
    return float(np.sum((fit(x) - y) ** 2))


def test_a_line_is_least_squares():
    x, y = noisy_scores()
    slope, offset = np.polyfit(x, y, 1)
    np.testing.assert_allclose(fit_map("linear", x, y)(x), offset + slope * x, rtol=1e-10)


def test_a_cubic_that_never_falls_is_least_squares():
    x, _ = noisy_scores()
    y = 0.001 * (x - 50) ** 3 + 0.4 * x + np.random.default_rng(1).normal(0, 2, len(x))
    free = np.polynomial.Polynomial.fit(x, y, 3)
    assert free.deriv()(np.linspace(x.min(), x.max(), 500)).min() > 0
    np.testing.assert_allclose(fit_map("cubic", x, y)(x), free(x), atol=1e-6)


def test_a_cubic_held_to_rise_is_the_best_of_them():
    """SciPy's SLSQP, its derivative held at 400 points, gets no lower."""
    x, y = noisy_scores(noise=1.0)
    free = np.polynomial.Polynomial.fit(x, y, 3)
    assert free.deriv()(np.linspace(x.min(), x.max(), 500)).min() < 0  # the case asks for it
    t = (2 * x - x.min() - x.max()) / np.ptp(x)
    columns, s = np.vander(t, 4, increasing=True), np.linspace(-1, 1, 400)
    slopes = np.stack([0 * s, 1 + 0 * s, 2 * s, 3 * s**2], axis=1)
    peer = scipy.optimize.minimize(
        lambda c: np.mean((columns @ c - y) ** 2),
        [50, 20, 0, 0],
        constraints={"type": "ineq", "fun": lambda c: slopes @ c, "jac": lambda c: slopes},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert squares(fit_map("cubic", x, y), x, y) / len(x) <= peer.fun * (1 + 1e-4)


def test_a_logistic_is_that_of_scipys_curve_fit():
    x, y = noisy_scores()
    peer, _ = scipy.optimize.curve_fit(
        lambda x, low, rise, centre, width: low + rise / (1 + np.exp(-(x - centre) / width)),
        x,
        y,
        [10, 70, 60, 10],
    )
    expected = peer[0] + peer[1] / (1 + np.exp(-(x - peer[2]) / peer[3]))
    np.testing.assert_allclose(fit_map("logistic", x, y)(x), expected, atol=1e-3)


@pytest.mark.parametrize("first", [0, 1000, 2000])
def test_a_logistic_of_few_clips_is_the_best_of_all(first):
    """A grid of 400 centres by 100 widths, `low` and `rise` those of a line: none gets lower."""
    centres, widths = np.linspace(-8, 8, 400), np.geomspace(0.02, 20, 100)
    for seed in range(first, first + 25):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 100, rng.integers(5, 16))
        noise = rng.choice([3.0, 10.0, 25.0])
        y = 50 + rng.uniform(-1, 1) * (x - 50) + rng.normal(0, noise, len(x))
        t = (x - x.mean()) / x.std()
        z = (t - centres[:, None, None]) / widths[:, None]
        curve = scipy.special.expit(z) - scipy.special.expit(z).mean(axis=-1, keepdims=True)
        square, product = (curve**2).sum(axis=-1), curve @ (y - y.mean())
        # Curves that are a constant over the clips but for rounding are none.
        rises = (square > 1e-9 * len(y)) & (product > 0)
        total = np.sum((y - y.mean()) ** 2)
        lowest = total - np.max(product[rises] ** 2 / square[rises], initial=0.0)
        assert squares(fit_map("logistic", x, y), x, y) <= lowest + 1e-3 * total


@pytest.mark.parametrize("kind", MAP_KINDS)
@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(-1, 1))
def test_no_map_falls_or_is_worse_than_the_mean(kind, seed, n, gain):
    rng = np.random.default_rng(seed)
    x = np.round(rng.uniform(0, 100, n))
    y = 50 + gain * (x - 50) + rng.normal(0, 10, n)
    fit = fit_map(kind, x, y)
    values = fit(np.linspace(-50, 150, 400))
    assert np.isfinite(values).all()
    assert np.diff(values).min() >= -1e-9
    assert squares(fit, x, y) <= np.sum((y - y.mean()) ** 2) * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_a_model_that_ranks_backwards_gains_nothing(kind):
    x, y = noisy_scores(noise=0.0)
    np.testing.assert_allclose(fit_map(kind, -x, y)(-x), y.mean(), rtol=1e-6)


@pytest.mark.parametrize("kind", MAP_KINDS)
@pytest.mark.parametrize("x", [[70.0], [70.0, 70.0, 70.0]], ids=["a clip", "a constant"])
def test_constant_predictions_become_the_mean(kind, x):
    y = np.array([20.0, 40.0, 90.0])[: len(x)]
    assert fit_map(kind, x, y)([0.0, 70.0, 100.0]) == pytest.approx([y.mean()] * 3)


def test_each_experiment_has_a_map_of_its_own():
    x, _ = noisy_scores(n=20)
    y = np.concatenate([0.5 * x[:10] + 10, 0.9 * x[10:] - 5])
    mapped, done = map_by_experiment("linear", x, y, ["a"] * 10 + ["b"] * 10)
    assert done.all()
    np.testing.assert_allclose(mapped, y)


def test_an_experiment_too_small_for_a_map_stays_as_it_is():
    x, y = np.array([10.0, 50, 90, 20, 30]), np.array([15.0, 45, 95, 70, 80])
    mapped, done = map_by_experiment("linear", x, y, ["a"] * 3 + ["b"] * 2)
    assert done.tolist() == [True] * 3 + [False] * 2
    assert mapped[3:].tolist() == [20.0, 30.0]


def test_a_held_out_source_does_not_reach_its_map():
    x, y = noisy_scores()
    source = np.repeat(["a", "b", "c", "d"], 20)
    before = calibrate_held_out(x, y, source)
    changed = np.where(source == "b", 100 - y, y)
    after = calibrate_held_out(x, changed, source)
    np.testing.assert_array_equal(before[source == "b"], after[source == "b"])
    assert np.abs(before - after)[source != "b"].min() > 0.01
    rest = source != "b"
    np.testing.assert_array_equal(
        before[source == "b"], fit_map("logistic", x[rest], y[rest])(x[source == "b"])
    )


def test_bad_input():
    with pytest.raises(InputError, match="numbers"):
        fit_map("linear", [1.0, np.nan], [1.0, 2.0])
    with pytest.raises(InputError, match="numbers"):
        fit_map("linear", np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match="another"):
        calibrate_held_out([1.0, 2.0], [1.0, 2.0], ["a", "a"])
    with pytest.raises(ValueError, match="predictions for"):
        fit_map("linear", [1.0, 2.0], [1.0])


def votes(n_clips, n_subjects, seed, share=1.0, step=0.01, noise=(0.5, 1.2)):
    """Clip, subject and score of votes that the model's own equation makes, and its truth."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(1.5, 4.5, n_clips)
    bias = rng.normal(0, 0.4, n_subjects)
    bias -= bias.mean()
    inconsistency = rng.uniform(noise[0], noise[1], n_subjects)
    clip, subject = (x.ravel() for x in np.mgrid[:n_clips, :n_subjects])
    chosen = rng.uniform(size=clip.size) < share
    clip, subject = clip[chosen], subject[chosen]
    random = inconsistency[subject] * rng.normal(size=clip.size)
    score = quality[clip] + bias[subject] + random
    return clip, subject, np.round(score / step) * step, (quality, bias, inconsistency)


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_it_is_the_maximum_of_the_likelihood(share):
    """SciPy climbs the log-likelihood as it is written down, from another start.

    It is bounded away from a subject without noise, where the likelihood grows without end.
    """
    n, m = 40, 24
    clip, subject, score, _ = votes(n, m, seed=3, share=share)

    def loss(x):
        quality, bias, deviation = x[:n], x[n : n + m], np.exp(x[n + m :])
        location = quality[clip] + bias[subject]
        return -scipy.stats.norm.logpdf(score, location, deviation[subject]).sum()

    start = np.concatenate([np.full(n, 3.0), np.zeros(2 * m)])
    bounds = [(None, None)] * (n + m) + [(np.log(0.15), None)] * m
    options = {"ftol": 1e-15, "maxfun": 10**6}
    best = scipy.optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds, options=options)
    model = recover_quality(clip, subject, score)
    assert not model.equal
    assert model.inconsistency.min() > 0.2  # inside the bounds, so it is the same problem
    shift = best.x[n : n + m].mean()
    # 1e-3: where L-BFGS stops on finite differences; the projections rest at 1e-10 of the range.
    np.testing.assert_allclose(model.quality, best.x[:n] + shift, atol=1e-3)
    np.testing.assert_allclose(model.bias, best.x[n : n + m] - shift, atol=1e-3)
    np.testing.assert_allclose(model.inconsistency, np.exp(best.x[n + m :]), atol=1e-3)
    ours = loss(np.concatenate([model.quality, model.bias, np.log(model.inconsistency)]))
    assert ours <= best.fun + 1e-6


def test_it_finds_what_made_the_votes():
    clip, subject, score, (quality, bias, inconsistency) = votes(120, 24, seed=1, noise=(0.5, 2.5))
    model = recover_quality(clip, subject, score)
    assert model.bias.mean() == pytest.approx(0, abs=1e-12)
    # Four standard errors of 120 votes each.
    assert (np.abs(model.bias - bias) <= 4 * inconsistency / np.sqrt(120)).all()
    np.testing.assert_allclose(model.inconsistency, inconsistency, rtol=4 / np.sqrt(240))
    error = model.quality - quality
    plain = np.bincount(clip, score) / 24 - quality
    assert np.sqrt(np.mean(error**2)) < 0.9 * np.sqrt(np.mean(plain**2))
    # The intervals hold the truth about as often as they say: 114 of 120 are expected, and fewer
    # than 105 come with a chance below 1e-4.
    assert np.sum(np.abs(error) <= model.half_width) >= 105


def test_intervals_are_those_of_the_clips_own_votes():
    """Annex E's, with SciPy's standard error (n - 1) and Student's t."""
    clip, subject, score, _ = votes(20, 12, seed=4, share=0.8)
    model = recover_quality(clip, subject, score)
    residual = score - model.quality[clip] - model.bias[subject]
    for j in range(20):
        own = residual[clip == j]
        low, high = scipy.stats.t.interval(0.95, len(own) - 1, scale=scipy.stats.sem(own))
        assert 2 * model.half_width[j] == pytest.approx(high - low, rel=1e-9)


def test_one_vote_has_the_inconsistency_of_its_subject():
    clip, subject, score, _ = votes(20, 12, seed=4)
    alone = (clip != 3) | (subject == 5)
    model = recover_quality(clip[alone], subject[alone], score[alone])
    assert model.half_width[3] == pytest.approx(1.959964 * model.inconsistency[5], rel=1e-6)


@pytest.mark.parametrize("n_subjects", [4, 6, 8, 12, 20, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(n_subjects):
    """Normal votes: intervals from the subjects' inconsistency held 0.94 down to 0.91 of them."""
    held = []
    for seed in range(40):
        clip, subject, score, (quality, *_) = votes(60, n_subjects, seed, noise=(0.4, 1.2))
        model = recover_quality(clip, subject, score)
        held.append(np.abs(model.quality - quality) <= model.half_width)
    # 2,400 clips: a standard error of 0.0045; clips of one test share their subjects' biases.
    assert 0.935 <= np.mean(held) <= 0.98


def test_a_repeated_vote_counts_twice():
    clip, subject, score, _ = votes(20, 12, seed=5)
    twice = recover_quality(*(np.tile(x, 2) for x in (clip, subject, score)))
    once = recover_quality(clip, subject, score)
    np.testing.assert_allclose(twice.quality, once.quality)
    ratio = scipy.stats.t.ppf(0.975, 23) / scipy.stats.t.ppf(0.975, 11) * np.sqrt(11 / 23)
    np.testing.assert_allclose(twice.half_width, ratio * once.half_width)


@pytest.mark.parametrize(("n", "m", "step"), [(7, 3, 1.0), (30, 8, 0.01)])
def test_no_subject_becomes_the_truth(n, m, step):
    """One of few would take all the weight; then it is least squares with biases."""
    clip, subject, score, _ = votes(n, m, seed=3, step=step)
    model = recover_quality(clip, subject, score)
    assert model.equal
    design = np.zeros((len(score), n + m))
    design[np.arange(len(score)), clip] = 1
    design[np.arange(len(score)), n + subject] = 1
    plain, *_ = np.linalg.lstsq(design, score, rcond=None)
    shift = plain[n:].mean()
    np.testing.assert_allclose(model.quality, plain[:n] + shift, atol=1e-7)
    np.testing.assert_allclose(model.bias, plain[n:] - shift, atol=1e-7)
    squares = np.sum((score - design @ plain) ** 2) / (len(score) - n - m + 1)
    np.testing.assert_allclose(model.inconsistency, np.sqrt(squares), rtol=1e-6)


@pytest.mark.parametrize(("n_subjects", "broken"), [(24, 0), (15, 0), (5, 12)])
def test_votes_of_five_points_by_many_and_by_few(n_subjects, broken):
    """Twenty tests of 60 clips, as a laboratory makes them: whole votes from 1 to 5.

    The published estimate holds with 15 subjects; with 5 it breaks down in most.
    """
    equal, ours, plain, covered = 0, [], [], []
    for seed in range(20):
        clip, subject, score, (quality, *_) = votes(60, n_subjects, seed, step=1, noise=(0.4, 1.0))
        score = score.clip(1, 5)
        model = recover_quality(clip, subject, score)
        equal += model.equal
        ours.append(model.quality - quality)
        plain.append(np.bincount(clip, score) / n_subjects - quality)
        covered.append(np.abs(ours[-1]) <= model.half_width)
    assert equal >= broken if broken else equal == 0
    if not broken:
        assert np.sqrt(np.mean(np.square(ours))) < np.sqrt(np.mean(np.square(plain)))
        assert 0.93 < np.mean(covered) < 0.98


def test_what_cannot_be_told_is_refused():
    clip, subject = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    assert separate_groups(clip, subject) == 2
    with pytest.raises(ValueError, match="share no clip"):
        recover_quality(clip, subject, np.array([1.0, 2, 3, 4]))
    with pytest.raises(ValueError, match="no more votes than clips and subjects"):
        recover_quality(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1.0, 2, 3]))
    with pytest.raises(ValueError, match="all votes are the same"):
        recover_quality(clip, subject, np.ones(4))


@pytest.mark.parametrize("n_alike", [2, 3])
def test_subjects_who_voted_alike_do_not_become_the_truth(n_alike):
    """A viewer who is listed twice: the two would share all of the weight, half of it each."""
    rng = np.random.default_rng(0)
    quality = np.linspace(1.3, 4.7, 20)
    panel = np.clip(np.round(quality + 0.6 * rng.normal(size=(10, 20))), 1, 5)
    panel[1:n_alike] = panel[0]
    subject, clip = (axis.ravel() for axis in np.indices(panel.shape))
    model = recover_quality(clip, subject, panel.ravel())
    plain = panel.mean(axis=0)
    assert model.equal
    np.testing.assert_allclose(model.quality, plain, atol=1e-6)  # no vote is missing
