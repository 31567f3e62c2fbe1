"""Limits as people write them, and which drops are noise."""

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.gate import Drop, Limit, paired_drop, parse_limits


def test_limits_are_of_the_score_or_of_poolings():
    assert parse_limits("90", "--fail-below") == (Limit(None, 90.0),)
    assert parse_limits("p5=75, worst-second=60", "--fail-below") == (
        Limit("p5", 75.0),
        Limit("worst-second", 60.0),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no limit"),
        ("x", "'x' is no limit"),
        ("nan", "no limit"),
        ("101", "no limit"),
        ("-1", "no limit"),
        ("p5=", "'p5=' is no limit"),
        ("p7=3", "--fail-below p7: no such pooling"),
        ("90,80", "two limits of one pooling"),
    ],
)
def test_what_is_no_limit(text, message):
    with pytest.raises(InputError, match=message):
        parse_limits(text, "--fail-below")


@pytest.fixture
def before():
    rng = np.random.default_rng(1)
    return np.clip(85 + np.cumsum(rng.normal(0, 1, 500)) % 10, 0, 100)


@pytest.mark.parametrize("pool", ["mean", "harmonic", "p5", "median"])
def test_an_even_drop_is_certain(before, pool):
    drop = paired_drop(before, before - 0.7, pool, 25.0)
    assert drop.points == pytest.approx(0.7, abs=0.02)
    assert drop.low <= drop.points <= drop.high
    assert drop.is_beyond(0.5)
    assert not drop.is_beyond(0.8)


def test_a_drop_that_other_seconds_take_back_is_noise(before):
    rng = np.random.default_rng(2)
    later = before + np.repeat(rng.normal(-0.6, 8, 20), 25)
    drop = paired_drop(before, later, "mean", 25.0)
    assert drop.points > 0.5
    assert drop.low < 0 < drop.high
    assert not drop.is_beyond(0.5)


def test_equal_scores_do_not_drop(before):
    assert paired_drop(before, before, "mean", None) == Drop(0, 0, 0)
    assert not Drop.exactly(5e-4).is_beyond(0.0)  # as builds of libvmaf differ
    assert Drop.exactly(1.0).widen(2.0) == Drop(1, -1, 3)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_short_clips_have_a_drop(n):
    scores = np.linspace(80, 90, n)
    assert paired_drop(scores, scores - 2, "mean", 60.0).points == pytest.approx(2)


def test_intervals_hold_the_drop_of_content_about_as_often_as_they_say():
    """Of clips that are drawn from one process, whose mean drop is known to be 1."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(60):
        seconds = rng.normal(1, 2, 40)
        noise = rng.normal(0, 0.5, 400)
        drop = paired_drop(np.full(400, 90.0), 90 - np.repeat(seconds, 10) - noise, "mean", 10.0)
        held += drop.low <= 1 <= drop.high
    assert held >= 52  # of 57 expected; three standard deviations
