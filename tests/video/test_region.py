"""A region: the score of a part is that of files which hold this part alone."""

import contextlib
import subprocess

import numpy as np
import pytest

from vmaf_jax import extract_pair, score
from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.decode import DecodedPair
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

REGION, CROP = "101,52,160,120", "crop=160:120:101:52:exact=1"


@pytest.fixture(scope="module")
def parts(encodes, tmp_path_factory, ffmpeg):
    """The region of a reference and of two encodes, cut out by ffmpeg and kept without loss."""
    folder = tmp_path_factory.mktemp("parts")
    for name, size in (("ref.y4m", ""), ("dis.mp4", ""), ("small.mp4", "scale=352:288,")):
        output = ["-vf", f"{size}{CROP}", "-c:v", "ffv1", str(folder / f"{name}.mkv")]
        subprocess.run(
            [ffmpeg, "-v", "error", "-i", str(encodes / name), *output, "-y"], check=True
        )
    return folder


@pytest.mark.parametrize("distorted", ["dis.mp4", "small.mp4"])
def test_a_region_is_measured_as_a_file_of_it_alone(encodes, parts, distorted):
    whole = extract_pair(encodes / "ref.y4m", encodes / distorted, region=REGION, teachers=())
    alone = extract_pair(parts / "ref.y4m.mkv", parts / f"{distorted}.mkv", teachers=())
    np.testing.assert_array_equal(whole.features, alone.features)
    assert whole.provenance["comparison"]["region"] == [101, 52, 160, 120]


@pytest.mark.parametrize("distorted", ["dis.mp4", "small.mp4"])
def test_decoded_luma_of_a_region_is_that_part_of_the_whole(encodes, distorted):
    def read(region):
        pair = Video(encodes / "ref.y4m"), Video(encodes / distorted)
        decoder = DecodedPair(find_ffmpeg(), *pair, comparison=Comparison(region=region))
        with contextlib.closing(decoder):
            frames = np.zeros((2, 3, decoder.height, decoder.width), np.uint8)
            assert decoder.read(*frames) == 3
        return frames

    np.testing.assert_array_equal(read(REGION), read(None)[:, :, 52:172, 101:261])


def test_a_result_names_its_region(encodes):
    scores = score(encodes / "ref.y4m", encodes / "dis.mp4", region=REGION, model="nano")
    assert "only the region 101,52,160,120" in scores.summary_lines()[0]
    whole = score(encodes / "ref.y4m", encodes / "dis.mp4", model="nano")
    assert whole.to_dict()["comparison"]["region"] is None
    assert not any("region" in line for line in whole.summary_lines())


@pytest.mark.parametrize(
    ("region", "how", "message"),
    [
        ("300,0,64,64", {}, "reaches out of the picture of 352x288"),
        ("0,280,64,64", {}, "reaches out of the picture of 352x288"),
        ("0,0,16,64", {}, "16x64 are too small"),
        ("0,0,0,0", {}, "0x0 are too small"),
        ("0,0,64,64", {"model": "v1"}, "too small"),
        ("0,0,64,64", {"model": "v1", "backend": "jax"}, "too small"),
    ],
)
def test_what_cannot_be_measured_is_refused(encodes, region, how, message):
    with pytest.raises(InputError, match=message):
        score(encodes / "ref.y4m", encodes / "dis.mp4", region=region, **how)


@pytest.mark.parametrize(
    ("region", "is_judged"), [("100,60,160,120", True), ("100,60,63,60", False)]
)
def test_a_part_too_small_to_judge_is_not_accused_of_being_out_of_step(
    encodes, tmp_path, ffmpeg, region, is_judged
):
    late = tmp_path / "late.mkv"
    line = [ffmpeg, "-v", "error", "-i", encodes / "ref.y4m"]
    shift = ["-vf", "select=gte(n\\,1),setpts=N/24/TB", "-c:v", "ffv1", late]
    subprocess.run([*line, *shift], check=True)
    pair = encodes / "ref.y4m", late
    if is_judged:
        with pytest.raises(InputError, match="is out of step"):
            score(*pair, region=region, shortest=True)
    else:
        assert len(score(*pair, region=region, shortest=True).per_frame) == 11
