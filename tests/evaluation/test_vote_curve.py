import numpy as np
import scipy.optimize

from vmaf_jax.evaluation.vote_curve import KNOTS, VoteCurve, fit_curve, hat_weights

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
