"""The process of votes against dense linear algebra and a search over all choices."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.evaluation.title_process import (
    KNOTS,
    NO_RATINGS,
    ExperimentClips,
    Hyperparameters,
    Logistic,
    Ratings,
    VoteCurve,
    choose_clips,
    covariance,
    fit_codec,
    fit_curve,
    half_widths,
    hat_weights,
    posterior,
)

HYPER = Hyperparameters(
    shared=12.0,
    own=10.0,
    shared_length=0.5,
    own_length=1.5,
    noise=2.5,
    votes=3.5,
    scatter=40.0,
    freedom=4.0,
    widening=0.8,
)


def make_clips(n=12, titles=3, experiments=2, seed=0):
    random = np.random.default_rng(seed)
    title = np.arange(n) % titles
    return ExperimentClips(
        experiment=title % experiments,
        title=title,
        expected=random.uniform(10, 90, n),
        compared=random.normal(size=(n, 4)),
    )


def test_covariance_follows_its_formula():
    clips = make_clips()
    for i, j in ((0, 0), (0, 2), (0, 3), (0, 1)):
        r = np.sqrt(3) * np.linalg.norm(clips.compared[i] - clips.compared[j])
        expected = 12.0**2 * (1 + r / 0.5) * np.exp(-r / 0.5)
        if clips.title[i] == clips.title[j]:
            expected += 10.0**2 * (1 + r / 1.5) * np.exp(-r / 1.5)
        if clips.experiment[i] != clips.experiment[j]:
            expected = 0.0
        found = covariance(clips[np.array([i])], clips[np.array([j])], HYPER)
        assert found[0, 0] == pytest.approx(expected)


def test_posterior_is_the_conditional_of_a_joint_normal():
    clips = make_clips()
    ratings = Ratings(np.array([0, 4, 7]), np.array([30.0, 80.0, 55.0]), np.array([9.0, 4.0, 16.0]))
    everything = np.arange(len(clips))
    # Votes without end `t`, and means over viewers `y = t + e`, written as one normal vector.
    truth = covariance(clips, clips, HYPER) + 2.5**2 * np.eye(len(clips))
    observed = truth[np.ix_(ratings.row, ratings.row)] + np.diag(ratings.variance)
    gain = truth[:, ratings.row] @ np.linalg.inv(observed)
    said = posterior(clips, ratings, everything, HYPER)
    expected = clips.expected + gain @ (ratings.mos - clips.expected[ratings.row])
    np.testing.assert_allclose(said.mean, expected, rtol=1e-9)
    off, same = ratings.mos - clips.expected[ratings.row], clips.experiment[ratings.row] == 0
    factors = np.ones(len(clips))
    for k, rated in enumerate((same, ~same)):  # in this order the experiments 0 and 1
        misfit = off[rated] @ np.linalg.inv(observed[np.ix_(rated, rated)]) @ off[rated]
        factors[clips.experiment == k] = (40 + misfit) / (40 + rated.sum())
    left = (truth - gain @ truth[ratings.row]) * np.sqrt(np.outer(factors, factors))
    np.testing.assert_allclose(said.covariance, left, atol=1e-9)


def test_votes_that_scatter_widen_the_intervals_of_their_experiment_alone():
    clips = make_clips(n=60, titles=4, experiments=2)
    rated, left = np.arange(40), np.arange(40, 60)
    random = np.random.default_rng(3)
    everything = np.arange(len(clips))
    drawn = random.multivariate_normal(
        clips.expected, posterior(clips, NO_RATINGS, everything, HYPER).covariance
    )
    unlike = clips.expected + random.normal(0, 60, len(clips))
    mos = np.where(clips.experiment == 1, unlike, drawn)

    def deviations(votes):
        ratings = Ratings(rated, votes[rated], np.full(40, 4.0))
        return np.sqrt(posterior(clips, ratings, left, HYPER).covariance.diagonal())

    wider = deviations(mos) / deviations(drawn)
    np.testing.assert_array_equal(wider[clips.experiment[left] == 0], 1)
    assert wider[clips.experiment[left] == 1].min() > 1.5


def test_without_ratings_the_logistic_is_what_is_predicted():
    clips = make_clips()
    said = posterior(clips, NO_RATINGS, np.arange(3), HYPER)
    np.testing.assert_array_equal(said.mean, clips.expected[:3])
    np.testing.assert_allclose(said.covariance.diagonal(), 12.0**2 + 10.0**2 + 2.5**2)


@pytest.mark.parametrize("offset", [0.0, 20.0])
def test_clips_of_a_codec_share_an_offset_where_votes_show_it(offset):
    clips = make_clips(n=60, titles=5, experiments=1)
    far = dataclasses.replace(clips, compared=100 * clips.compared, codec=np.arange(60) // 5 % 4)
    random = np.random.default_rng(1)
    truth = far.expected + random.normal(0, 15, 60) + offset * np.array([-1, 1, 1, -1])[far.codec]
    rated, left = np.arange(40), np.arange(40, 60)
    ratings = Ratings(rated, truth[rated], np.full(40, 9.0))
    hyper = fit_codec(far, ratings, HYPER)
    assert (hyper.codec > 0) == (offset > 0)
    errors = [
        np.square(posterior(far, ratings, left, h).mean - truth[left]).mean()
        for h in (HYPER, hyper)
    ]
    assert errors[1] < 0.6 * errors[0] if offset else errors[1] == errors[0]
    unknown = dataclasses.replace(far, codec=np.full(60, -1))  # unknown codecs are not one codec
    assert fit_codec(unknown, ratings, HYPER).codec == 0


def test_votes_of_one_title_tell_something_of_another_of_the_test_and_nothing_beyond():
    clips = make_clips(n=9, titles=3, experiments=2)
    alike = dataclasses.replace(clips, compared=np.zeros((9, 4)))
    ratings = Ratings(np.array([0]), np.array([99.0]), np.array([1.0]))
    said = posterior(alike, ratings, np.arange(9), HYPER)
    moved = np.abs(said.mean - alike.expected)
    own, other, foreign = (moved[clips.title == k] for k in (0, 2, 1))
    assert own.min() > other.max() > 1
    np.testing.assert_array_equal(foreign, 0)


@given(st.integers(0, 1000))
def test_first_choice_leaves_least_variance(seed):
    clips = make_clips(n=7, titles=1, experiments=1, seed=seed)
    prior = posterior(clips, NO_RATINGS, np.arange(7), HYPER).covariance
    (best,) = choose_clips(prior, 1, HYPER)
    left = [
        np.trace(
            posterior(
                clips,
                Ratings(np.array([k]), clips.expected[[k]], np.array([HYPER.votes**2])),
                np.arange(7),
                HYPER,
            ).covariance
        )
        for k in range(7)
    ]
    assert left[best.place] == pytest.approx(min(left))


def test_choices_leave_out_rated_clips_and_mind_their_cost():
    clips = make_clips(n=8, titles=1, experiments=1)
    prior = posterior(clips, NO_RATINGS, np.arange(8), HYPER).covariance
    free = [clip.place for clip in choose_clips(prior, 8, HYPER)]
    assert sorted(free) == list(range(8))
    rest = [clip.place for clip in choose_clips(prior, 7, HYPER, rated=free[:1])]
    assert free[0] not in rest
    cost = np.ones(8)
    cost[free[0]] = 100
    assert choose_clips(prior, 8, HYPER, cost=cost)[-1].place == free[0]


def test_expected_error_is_what_draws_of_the_process_have():
    clips = make_clips(n=10, titles=1, experiments=1)
    rows = np.arange(10)
    prior = posterior(clips, NO_RATINGS, rows, HYPER).covariance
    chosen = choose_clips(prior, 3, HYPER)
    rated = np.array([clip.place for clip in chosen])
    left = np.setdiff1d(rows, rated)
    random = np.random.default_rng(1)
    truth = random.multivariate_normal(clips.expected, prior, 4000)
    means = truth + random.normal(0, HYPER.votes, truth.shape)
    errors = [
        posterior(clips, Ratings(rated, mos[rated], np.full(3, HYPER.votes**2)), left, HYPER).mean
        - mos[left]
        for mos in means
    ]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(chosen[-1].error, rel=0.02)


def test_intervals_are_of_student():
    wide = half_widths(np.array([2.0]), 0.9, HYPER)
    assert wide[0] == pytest.approx(2 * 0.8 * scipy.stats.t.ppf(0.95, 4))
    assert Logistic(70.0, 20.0)(np.array([70.0])) == pytest.approx(50)


LINE = KNOTS.copy()


def test_weights_give_the_mean_of_the_curve_over_frames():
    random = np.random.default_rng(0)
    curve = VoteCurve(np.sort(random.uniform(0, 100, len(KNOTS))))
    scores = random.uniform(0, 100, 50)
    assert np.isclose(hat_weights(scores) @ curve.votes, curve(scores).mean())


def test_a_curve_is_found_again_from_its_own_votes():
    random = np.random.default_rng(1)
    true = VoteCurve(np.array([2.0, 5.0, 20.0, 40.0, 60.0, 75.0, 85.0, 92.0]))
    weights = np.array([hat_weights(random.uniform(0, 100, 3)) for _ in range(200)])
    fitted = fit_curve(weights, weights @ true.votes, np.full(200, 0.1), LINE)
    np.testing.assert_allclose(fitted.votes, true.votes, atol=0.1)


def test_votes_that_fall_give_a_flat_curve_and_no_clips_the_logistic():
    weights = np.eye(len(KNOTS))
    fitted = fit_curve(weights, 100 - KNOTS, np.full(len(KNOTS), 1e-3), LINE)
    assert (np.diff(fitted.votes) >= 0).all()
    # Least squares among rising sequences is their mean here, by isotonic regression.
    isotonic = scipy.optimize.isotonic_regression(100 - KNOTS).x
    np.testing.assert_allclose(fitted.votes, isotonic, atol=0.1)
    none = fit_curve(np.zeros((0, len(KNOTS))), np.zeros(0), np.zeros(0), LINE)
    np.testing.assert_allclose(none.votes, LINE, atol=1e-6)
