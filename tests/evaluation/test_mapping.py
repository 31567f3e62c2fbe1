import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.opinions import MAP_KINDS, calibrate_held_out, fit_map, map_by_experiment


def case(seed=0, n=80, noise=4.0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(20, 100, n)
    return x, 15 + 70 / (1 + np.exp(-(x - 65) / 9)) + rng.normal(0, noise, n)


def squares(fit, x, y):
    return float(np.sum((fit(x) - y) ** 2))


def test_a_line_is_least_squares():
    x, y = case()
    slope, offset = np.polyfit(x, y, 1)
    np.testing.assert_allclose(fit_map("linear", x, y)(x), offset + slope * x, rtol=1e-10)


def test_a_cubic_that_never_falls_is_least_squares():
    x, _ = case()
    y = 0.001 * (x - 50) ** 3 + 0.4 * x + np.random.default_rng(1).normal(0, 2, len(x))
    free = np.polynomial.Polynomial.fit(x, y, 3)
    assert free.deriv()(np.linspace(x.min(), x.max(), 500)).min() > 0
    np.testing.assert_allclose(fit_map("cubic", x, y)(x), free(x), atol=1e-6)


def test_a_cubic_held_to_rise_is_the_best_of_them():
    """SciPy's SLSQP, its derivative held at 400 points, gets no lower."""
    x, y = case(noise=1.0)
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
    x, y = case()
    peer, _ = scipy.optimize.curve_fit(
        lambda x, low, rise, centre, width: low + rise / (1 + np.exp(-(x - centre) / width)),
        *(x, y, [10, 70, 60, 10]),
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
    x, y = case(noise=0.0)
    np.testing.assert_allclose(fit_map(kind, -x, y)(-x), y.mean(), rtol=1e-6)


@pytest.mark.parametrize("kind", MAP_KINDS)
@pytest.mark.parametrize("x", [[70.0], [70.0, 70.0, 70.0]], ids=["a clip", "a constant"])
def test_constant_predictions_become_the_mean(kind, x):
    y = np.array([20.0, 40.0, 90.0])[: len(x)]
    assert fit_map(kind, x, y)([0.0, 70.0, 100.0]) == pytest.approx([y.mean()] * 3)


def test_each_experiment_has_a_map_of_its_own():
    x, _ = case(n=20)
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
    x, y = case()
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
