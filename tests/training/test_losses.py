import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.models.sizes import BINS
from vmaf_jax.training.losses import kl_loss, soft_labels, squared_error
from vmaf_jax.training.settings import TrainingSettings

SIGMA = TrainingSettings().sigma


def kl(logits, scores, temperature):
    bins = jnp.asarray(BINS, logits.dtype)
    labels = soft_labels(scores, bins, sigma=SIGMA, temperature=temperature)
    return kl_loss(logits, labels, temperature)


def test_default_bins_meet_the_design():
    spacing = np.diff(BINS)
    assert len(BINS) == 91
    assert spacing.max() <= 1.4 * SIGMA
    assert BINS[0] <= -25 - 4 * SIGMA
    assert BINS[-1] >= 125 + 4 * SIGMA


def test_expected_value_is_unbiased_at_both_ends_and_between():
    with jax.enable_x64(True):
        scores = jnp.concatenate([jnp.array([0.0, 100.0]), jnp.linspace(-25.0, 125.0, 3001)])
        p = soft_labels(scores, jnp.asarray(BINS, jnp.float64), sigma=SIGMA).probability
        expected = np.asarray(p @ BINS)
        bias = np.abs(expected - np.asarray(scores))
    assert bias.max() <= 1e-3


@given(st.floats(-25, 125), st.floats(-25, 125), st.floats(0.5, 8), st.floats(0.0, 30.0))
def test_kl_matches_its_definition(score, other, temperature, noise):
    rng = np.random.default_rng(0)
    z = -np.square(BINS - other) / (2 * SIGMA**2) + noise * rng.normal(size=len(BINS))
    target = -np.square(BINS.astype(float) - score) / (2 * SIGMA**2)

    log_p = scipy.special.log_softmax(target / temperature)
    log_q = scipy.special.log_softmax(z / temperature)
    divergence = np.sum(np.exp(log_p) * (log_p - log_q))
    with jax.enable_x64(True):
        value = kl(jnp.asarray(z)[None], jnp.array([score]), temperature)
    assert float(value[0]) == pytest.approx(temperature**2 * divergence, rel=1e-6, abs=1e-9)
    assert float(value[0]) >= -1e-9


def test_kl_of_two_gaussians_has_the_closed_form():
    # Two discretised Gaussians of one width, far from the ends: (a - b)^2 / (2 sigma^2); the
    # temperature widens both to sigma sqrt(T), and T^2 of a T-th is T times as much.
    a, b = 40.3, 47.9
    logits = -jnp.square(jnp.asarray(BINS) - b) / (2 * SIGMA**2)
    for temperature in (1.0, 2.0, 4.0):
        value = kl(logits[None], jnp.array([a]), temperature)[0]
        closed = temperature * (a - b) ** 2 / (2 * SIGMA**2)
        assert float(value) == pytest.approx(closed, rel=1e-4)


def test_kl_gradient_matches_finite_differences():
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        z = jnp.asarray(rng.normal(size=(2, len(BINS))))
        scores = jnp.array([0.0, 100.0])

        def total(z):
            return jnp.sum(kl(z, scores, 3.0))

        gradient = jax.grad(total)(z)
        for k in (10, 20, 45, 70):
            step = 1e-6
            slope = (total(z.at[0, k].add(step)) - total(z.at[0, k].add(-step))) / (2 * step)
            assert float(gradient[0, k]) == pytest.approx(float(slope), rel=1e-4, abs=1e-8)


def test_targets_beyond_the_range_are_limited():
    logits = jnp.zeros((1, len(BINS)))
    near = kl(logits, jnp.array([125.0]), 1.0)
    far = kl(logits, jnp.array([400.0]), 1.0)
    assert near == far


def test_squared_error_unit():
    assert float(squared_error(jnp.array([75.0]), jnp.array([50.0]))[0]) == 1.0
