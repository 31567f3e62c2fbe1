"""Encoders, with the SVT-AV1 of the ffmpeg at hand."""

import dataclasses

import pytest

from vmaf_jax.video import encoders
from vmaf_jax.video.encoders import EncodeRecipe, encode_video, find_encoder, stream_bytes
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import probe


@pytest.fixture
def svt():
    ffmpeg = find_ffmpeg()
    encoder = find_encoder(ffmpeg, "libsvtav1")
    if encoder.settings.step == 1:
        pytest.skip("this SVT-AV1 takes no fractions")
    return ffmpeg, encoder


def test_a_fraction_of_a_setting_is_encoded_between_its_neighbours(svt, encodes, tmp_path):
    ffmpeg, encoder = svt
    source = Video(encodes / "ref.y4m")

    def size(setting, *arguments):
        out = tmp_path / "out.mkv"
        recipe = EncodeRecipe(encoder, "12", "yuv420p", arguments=arguments)
        encode_video(ffmpeg, source, recipe, setting, out)
        return stream_bytes(ffmpeg, out)

    assert size(30.0) > size(30.5) > size(31.0)
    assert size(63.0) > size(70.0)  # beyond what ffmpeg's -crf takes
    # A user's own parameters are kept, and the setting with them.
    assert size(50.0, "-svtav1-params", "keyint=2") > size(50.0)
    assert size(50.0, "-svtav1-params", "keyint=2") < size(30.0, "-svtav1-params", "keyint=2")


def test_an_encoder_that_warns_of_a_fraction_keeps_whole_settings(monkeypatch):
    ffmpeg = find_ffmpeg()
    monkeypatch.setattr(encoders, "_FINE_AV1", dataclasses.replace(encoders._FINE_AV1, worst=90.0))
    encoders._takes_fractions.cache_clear()
    try:
        assert find_encoder(ffmpeg, "libsvtav1").settings.step == 1
    finally:
        encoders._takes_fractions.cache_clear()


@pytest.mark.parametrize(
    ("name", "preset", "named", "taken"),
    [
        ("libsvtav1", "12", "yuv444p", "yuv420p"),
        ("libx264", "ultrafast", "yuv420p12le", "yuv420p10le"),
    ],
)
def test_ffmpeg_takes_the_nearest_format(encodes, tmp_path, name, preset, named, taken):
    """Which is why a format that an encoder has not is refused."""
    ffmpeg, out = find_ffmpeg(), Video(tmp_path / "out.mkv")
    encoder = find_encoder(ffmpeg, name)
    assert taken in encoder.pix_fmts
    assert named not in encoder.pix_fmts
    encode_video(
        ffmpeg, Video(encodes / "ref.y4m"), EncodeRecipe(encoder, preset, named), 40, out.path
    )
    assert probe(ffmpeg, out)[1].pix_fmt == taken
