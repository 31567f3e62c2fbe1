"""Whole files that are encoded and measured in a search, and the choice of settings by shot."""

import itertools

import numpy as np
import pytest

from vmaf_jax.scoring.encode_trials import allocate_settings, first_cell


@pytest.mark.parametrize(
    ("n_frames", "cell"),
    [(300, 6), (1199, 6), (1200, 12), (2399, 12), (2400, 24), (4800, 48), (172_800, 48)],
)
def test_a_long_file_is_looked_at_in_a_hundred_frames_or_one_of_48(n_frames, cell):
    assert first_cell(n_frames) == cell


def make_shots(seed, n, k):
    """Shots whose bytes and scores fall with the setting, each in its own way."""
    rng = np.random.default_rng(seed)
    steps = np.arange(k)
    size = rng.uniform(1e4, 1e6, (n, 1)) * np.exp(-rng.uniform(0.1, 0.4, (n, 1)) * steps)
    score = rng.uniform(88, 99, (n, 1)) - rng.uniform(0.5, 6, (n, 1)) * steps
    share = rng.dirichlet(np.ones(n))
    return size, score, share


@pytest.mark.parametrize("seed", range(8))
def test_choice_is_as_cheap_as_the_best_of_all_choices(seed):
    size, score, share = make_shots(seed, n=5, k=4)
    rows = np.arange(5)
    target = float(share @ score[:, 1])
    choice = allocate_settings(size, score, share, target)
    assert share @ score[rows, choice] >= target
    every = [np.array(c) for c in itertools.product(range(4), repeat=5)]
    cheapest = min(size[rows, c].sum() for c in every if share @ score[rows, c] >= target)
    assert size[rows, choice].sum() <= 1.05 * cheapest
    assert size[rows, choice].sum() <= size[:, 1].sum()


def test_many_shots_reach_the_target_closely():
    size, score, share = make_shots(0, n=300, k=5)
    target = float(share @ score[:, 2])
    choice = allocate_settings(size, score, share, target)
    reached = share @ score[np.arange(300), choice]
    assert 0 <= reached - target < 0.01
    assert size[np.arange(300), choice].sum() < 0.95 * size[:, 2].sum()


def test_a_target_above_all_settings_has_no_choice():
    size, score, share = make_shots(0, n=3, k=2)
    assert allocate_settings(size, score, share, 99.5) is None
