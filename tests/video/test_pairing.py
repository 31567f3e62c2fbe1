"""Where to begin, how many frames, and fields: what is measured is what was asked for."""

import subprocess

import numpy as np
import pytest

from vmaf_jax import extract_pair, score
from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.decode import DecodedPair
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

TEACHERS = {"teachers": ()}


def test_a_part_is_that_part_of_the_whole(encodes):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    whole = extract_pair(*pair, **TEACHERS)
    part = extract_pair(*pair, start=4 / 24, frames=5, **TEACHERS)
    # VIF and ADM see one frame; motion2 also its neighbours, which the first has not.
    np.testing.assert_array_equal(part.features[:, :5], whole.features[4:9, :5])
    np.testing.assert_array_equal(part.features[1:4, 5], whole.features[5:8, 5])
    comparison = part.provenance["comparison"]
    assert (comparison["start"], comparison["limit"], comparison["frames"]) == (4, 5, 5)
    assert comparison["decoded"] == [9, 9]


def frames(pair, n, **how):
    luma = DecodedPair(find_ffmpeg(), *pair, comparison=Comparison(**how))
    try:
        shape = (n, luma.height, luma.width)
        blocks = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        count = luma.read(*blocks)
        return [block[:count] for block in blocks], luma.finish()
    finally:
        luma.close()


def test_luma_of_a_part_is_that_part_of_the_whole(encodes):
    pair = Video(encodes / "ref.y4m"), Video(encodes / "dis.mp4")
    whole, _ = frames(pair, 20)
    part, comparison = frames(pair, 20, start="3f", frames=4)
    assert comparison["frames"] == 4
    for all_frames, some in zip(whole, part, strict=True):
        np.testing.assert_array_equal(some, all_frames[3:7])


def test_lengths_differ_only_where_they_matter(encodes):
    pair = encodes / "ref.y4m", encodes / "short.mp4"  # 12 and 9 frames
    assert len(extract_pair(*pair, frames=8, **TEACHERS)) == 8
    with pytest.raises(InputError, match="9 frames"):
        extract_pair(*pair, start="2f", frames=9, **TEACHERS)
    assert len(extract_pair(*pair, start="2f", frames=9, shortest=True, **TEACHERS)) == 7


def test_a_start_behind_the_end_says_so(encodes):
    with pytest.raises(InputError, match="nothing is left after --start"):
        extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", start="99f", **TEACHERS)
    for flags in ({"offset": 60}, {"start": "9", "fps": "match"}):
        with pytest.raises(InputError, match=r"left to .*lower --start or --offset"):
            extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", **flags, **TEACHERS)


@pytest.fixture(scope="module")
def fields(tmp_path_factory, ffmpeg):
    """An interlaced source of 8 frames, as Y4M, as H.264, and made progressive."""
    folder = tmp_path_factory.mktemp("fields")

    def make(*arguments):
        subprocess.run([ffmpeg, "-v", "error", "-y", *arguments], check=True, cwd=folder)

    weave = ("-vf", "tinterlace=interleave_top,setfield=tff", "-pix_fmt", "yuv420p")
    make("-f", "lavfi", "-i", "testsrc2=size=176x144:rate=50:duration=0.32", *weave, "ref.y4m")
    make("-i", "ref.y4m", "-c:v", "libx264", "-x264-params", "tff=1", "-crf", "30", "woven.mp4")
    make("-i", "ref.y4m", "-vf", "bwdif=mode=send_frame", "-c:v", "libx264", "whole.mp4")
    make("-i", "ref.y4m", "-f", "rawvideo", "ref.yuv")
    return folder


def test_fields_against_pictures_are_refused_or_brought_together(fields):
    pair = fields / "ref.y4m", fields / "whole.mp4"
    with pytest.raises(InputError, match=r"ref\.y4m: is interlaced, and whole\.mp4 is not"):
        extract_pair(*pair, **TEACHERS)
    forced = extract_pair(*pair, force=True, **TEACHERS)
    clean = extract_pair(*pair, deinterlace="auto", **TEACHERS)
    assert clean.provenance["comparison"]["deinterlaced"] == ["reference"]
    assert len(clean) == 8
    assert clean.features[:, 0].mean() > forced.features[:, 0].mean() + 0.02


def test_fields_against_fields_are_told(fields):
    pair = fields / "ref.y4m", fields / "woven.mp4"
    table = extract_pair(*pair, **TEACHERS)
    (warning,) = table.provenance["comparison"]["warnings"]
    assert (
        warning
        == "the reference and distorted are interlaced; fields are compared as interlaced frames"
    )
    streams = table.provenance["comparison"]
    assert streams["reference"]["scan"] == streams["distorted"]["scan"] == "interlaced"


def test_a_file_that_does_not_say_is_deinterlaced_by_order(fields):
    raw = Video(fields / "ref.yuv", 176, 144, "yuv420p")
    flagged = (Video(fields / "ref.y4m"),) * 2
    (by_flag, _), _ = frames(flagged, 8, deinterlace="auto")
    (by_order, _), description = frames((raw, raw), 8, deinterlace="tff")
    (wrong, _), _ = frames((raw, raw), 8, deinterlace="bff")
    np.testing.assert_array_equal(by_order, by_flag)
    assert (wrong != by_flag).any()
    assert description["deinterlaced"] == ["reference", "distorted"]
    _, description = frames((raw, raw), 8, deinterlace="auto")
    assert description["deinterlaced"] == []
    assert "nothing was deinterlaced" in description["warnings"][0]


def test_uneven_times_and_other_sites_of_chroma_are_told_where_they_matter(tmp_path, ffmpeg):
    line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=24"]
    line += ["-vf", "setpts=N+4*gt(N\\,6)", "-fps_mode", "passthrough", "-frames:v", "12"]
    line += ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "0", "-enc_time_base", "1/24"]
    pair = tmp_path / "left.mp4", tmp_path / "topleft.mp4"
    for path in pair:
        subprocess.run([*line, "-chroma_sample_location", path.stem, str(path)], check=True)
    for metrics in ((), ("ciede2000",)):
        comparison = score(*pair, "vmaf_v0.6.1", extra_metrics=metrics).to_dict()["comparison"]
        warnings = "; ".join(comparison["warnings"])
        assert "means are over frames, not over time" in warnings
        sites = "chroma is sampled at the topleft, the reference's at the left"
        assert (sites in warnings) == bool(metrics)
