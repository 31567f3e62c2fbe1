"""Offsets that are found are right, and where none stands out none is taken."""

import subprocess

import numpy as np
import pytest

from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.video.sync import best_offset


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (n, 60)).astype(np.float32)


@pytest.mark.parametrize("offset", [-5, -1, 0, 3, 8])
def test_the_offset_is_that_of_the_same_pictures(offset):
    whole = pictures(40)
    reference, distorted = whole[max(0, offset) :], whole[max(0, -offset) :]
    assert best_offset(reference, distorted[:30]) == offset


def test_an_offset_may_leave_only_the_shorter_clip():
    whole = pictures(12)
    assert best_offset(whole, whole[5:]) == -5
    assert best_offset(whole[5:], whole) == 5


@pytest.mark.parametrize("offset", [61, 70, 100])
def test_an_offset_beyond_reach_is_no_offset(offset):
    """Neither where pictures differ at random nor where they drift."""
    for whole in (pictures(200), np.linspace(0, 200, 200 * 60, dtype=np.float32).reshape(200, 60)):
        assert best_offset(whole, whole[offset:]) is None
        assert best_offset(whole[offset:], whole) is None


def test_pictures_that_repeat_fit_at_several_offsets_and_give_none():
    """A loop of four pictures fits at 0, 4 and -4 alike."""
    loop = np.tile(pictures(4), (8, 1))
    assert best_offset(loop, loop) is None
    assert (
        best_offset(np.full((20, 60), 7.0, np.float32), np.full((20, 60), 7.0, np.float32)) is None
    )


def test_a_still_clip_is_not_aligned_by_chance(ffmpeg, tmp_path):
    line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "color=gray:size=176x144:rate=25"]
    subprocess.run([*line, "-frames:v", "16", tmp_path / "still.y4m"], check=True)
    pair = tmp_path / "still.y4m", tmp_path / "still.y4m"
    with pytest.raises(InputError, match=r"still\.y4m: no offset of up to .* fits clearly"):
        extract_pair(*pair, teachers=(), sync="auto")
