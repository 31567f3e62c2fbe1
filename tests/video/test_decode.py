"""Pictures of frames, and where shots start."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video.decode import colour_matrix, picture_size, take_pictures
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.shots import read_shot_log, shot_starts
from vmaf_jax.video.streams import probe


@pytest.fixture(scope="module")
def stream(encodes):
    return probe(find_ffmpeg(), Video(encodes / "dis.mp4"))[1]


def test_a_picture_is_shown_in_its_own_shape(stream):
    assert picture_size(stream, 176, stream.size) == (176, 144)
    assert picture_size(stream, 10_000, stream.size) == (352, 288)
    assert picture_size(stream, 10_000, (64, 32)) == (64, 32)
    anamorphic = dataclasses.replace(stream, sar=Fraction(2))
    assert picture_size(anamorphic, 352, stream.size) == (352, 144)


def test_a_matrix_that_is_not_told_goes_by_the_size(stream):
    assert colour_matrix(dataclasses.replace(stream, matrix="unknown")) == "bt601"
    assert colour_matrix(dataclasses.replace(stream, matrix="unknown", height=720)) == "bt709"
    assert colour_matrix(dataclasses.replace(stream, matrix="bt2020nc", height=720)) == "bt2020"


def test_pictures_are_of_the_frames_that_were_asked_for(encodes):
    video = Video(encodes / "dis.mp4")
    pictures, cuts = take_pictures(
        find_ffmpeg(), video, "null", [2, 5], (32, 24), matrix="bt601", shots_of=12
    )
    assert list(pictures) == [2, 5]
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures.values())
    assert all(0 < cut < 12 for cut in cuts)
    with pytest.raises(InputError, match=r"dis.mp4: no pictures of it"):
        take_pictures(find_ffmpeg(), video, "null", [2, 99], (32, 24), matrix="bt601")


def test_a_log_of_shots_is_whole(tmp_path):
    assert shot_starts(np.array([9.0, 0.1, 5.0, 4.9, 80.0])) == [2, 4]
    with pytest.raises(InputError, match="no log of shots"):
        read_shot_log(tmp_path)
    (tmp_path / "shots.log").write_text("lavfi.scd.mafd=1.5\nlavfi.scd.score=0.2\n")
    assert [values.tolist() for values in read_shot_log(tmp_path)] == [[1.5], [0.2]]
    (tmp_path / "shots.log").write_text("lavfi.scd.mafd=1.5\n")
    with pytest.raises(InputError, match="log of shots is damaged"):
        read_shot_log(tmp_path)
