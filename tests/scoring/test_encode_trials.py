"""Whole files that are encoded and measured in a search."""

import pytest

from vmaf_jax.scoring.encode_trials import first_cell


@pytest.mark.parametrize(
    ("n_frames", "cell"),
    [(300, 6), (1199, 6), (1200, 12), (2399, 12), (2400, 24), (4800, 48), (172_800, 48)],
)
def test_a_long_file_is_looked_at_in_a_hundred_frames_or_one_of_48(n_frames, cell):
    assert first_cell(n_frames) == cell
