"""Frames that a run of ffmpeg tells of, and what a header says there will be."""

from vmaf_jax import extract_pair
from vmaf_jax.extraction.extract import extract_each
from vmaf_jax.extraction.request import Request
from vmaf_jax.video.ffmpeg import estimate_frames, find_ffmpeg, report_frames
from vmaf_jax.video.inputs import Video


def test_all_frames_are_told_in_the_end(encodes, tmp_path):
    counts: list[int] = []
    request = Request((), cache=tmp_path, on_frames=counts.append)
    pair = Video(encodes / "ref.y4m"), Video(encodes / "dis.mp4")
    (table,) = extract_each([pair], request)
    assert sum(counts) == 12
    assert (table.features == extract_pair(*pair, teachers=()).features).all()


def test_nobody_is_told():
    with report_frames(None) as arguments:
        assert arguments == []


def test_headers_say_how_many(encodes):
    ffmpeg = find_ffmpeg()
    for name in ("ref.y4m", "dis.mp4", "deep.mkv"):
        assert estimate_frames(ffmpeg, Video(encodes / name)) == 12
    assert estimate_frames(ffmpeg, Video(encodes / "ref.yuv", 352, 288, "yuv420p")) == 12
