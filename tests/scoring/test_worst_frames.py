"""The worst frames are the lowest scores, and their pictures show those very frames."""

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.reporting.plots import plot_frame
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.worst_frames import lowest_frames, worst_frames
from vmaf_jax.video.decode import DecodedPair, frame_at
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video


def test_lowest_on_a_known_case():
    scores = np.array([5.0, 1.0, 2.0, 9.0, 1.0, 3.0])
    assert lowest_frames(scores, np.arange(6), 3, 1) == [1, 4, 2]
    assert lowest_frames(scores, np.arange(6), 3, 3) == [1, 4]
    assert lowest_frames(scores, np.arange(6), 9, 2) == [1, 4]
    assert lowest_frames(scores, np.arange(6), 2, 1) == [1, 4]
    assert lowest_frames(scores, np.array([0, 1, 9, 10, 11, 12]), 3, 3) == [1, 4]
    assert lowest_frames(scores, np.array([0, 1, 5, 10, 11, 12]), 3, 3) == [1, 4, 2]


@pytest.mark.parametrize("name", ["dis.mp4", "deep.mkv"])
def test_pictures_are_of_the_frames_that_they_name(encodes, name):
    pair = Video(encodes / "ref.y4m"), Video(encodes / name)
    scores, worst = worst_frames(*pair, "nano", count=2, apart=2)
    assert [entry.score for entry in worst] == sorted(entry.score for entry in worst)
    for entry in worst:
        luma = DecodedPair(find_ffmpeg(), *pair)
        try:
            frames = frame_at(luma, entry.frame)
        finally:
            luma.close()
        expected = plot_frame(*frames, f"frame {entry.frame}: nano {entry.score:.2f}")
        assert entry.picture == expected
        assert entry.score == scores.per_frame[entry.frame]


def test_a_vmaf_model_goes_by_its_name(encodes):
    pair = Video(encodes / "ref.y4m"), Video(encodes / "dis.mp4")
    scores, worst = worst_frames(*pair, "vmaf_v0.6.1", count=1, pictures=False)
    teacher = load_model("vmaf_v0.6.1")
    assert (scores.model, scores.kind) == ("vmaf_v0.6.1", "libvmaf")
    # Sums in float64 go in another order in another batch: 3e-13 measured.
    np.testing.assert_allclose(scores.per_frame, teacher(scores.table.features), atol=1e-10)
    assert load_model(teacher) is teacher
    assert worst[0].picture is None
    with pytest.raises(InputError, match="at least 1"):
        worst_frames(*pair, "nano", count=0)
