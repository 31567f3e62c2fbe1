from pathlib import Path

import numpy as np
import pytest

from tests.reporting.support import predictions
from vmaf_jax.evaluation.conformal import (
    LEVELS,
    MAX_CLIPS,
    coverage,
    held_out_intervals,
    pool_held_out,
)
from vmaf_jax.evaluation.cross_validation import read_held_out

TINY = Path("checkpoints/tiny")


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
