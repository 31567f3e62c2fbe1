"""Scores of segments, corrected by an outline."""

import numpy as np
import pytest

from vmaf_jax.evaluation.sampling import estimate_statistic
from vmaf_jax.evaluation.target_search import from_t, to_t
from vmaf_jax.scoring.encode_probes import _correct


def means_of(score):
    return lambda chosen: float(from_t(np.mean(to_t(score[list(chosen)]))))


def test_an_outline_takes_the_choice_of_segments_out_of_the_score():
    rng = np.random.default_rng(0)
    small = rng.uniform(70, 97, 60)
    full = from_t(to_t(small) + 0.3 + rng.normal(0, 0.02, 60))
    drawn = np.argsort(small)[:6]  # the hardest: a sample as bad as can be
    alone = means_of(full[drawn])
    whole, outline = means_of(full)(range(60)), means_of(small)(range(60))
    corrected = _correct(alone, means_of(small[drawn]), outline, 100.0)
    score, error = estimate_statistic(corrected, 6, 0.1)
    assert alone(range(6)) < whole - 5
    assert score == pytest.approx(whole, abs=0.2)
    assert error < 0.2
