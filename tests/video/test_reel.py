"""The reel has the frames of the source's segments, bit by bit."""

import subprocess

import pytest

from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.reel import segment_starts, write_reel
from vmaf_jax.video.streams import probe


def frame_digests(ffmpeg, path, pix_fmt):
    line = [ffmpeg, "-v", "error", "-i", path, "-pix_fmt", pix_fmt, "-f", "framemd5", "-"]
    log = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return [row.rsplit(",", 1)[1] for row in log.splitlines() if row.startswith("0,")]


@pytest.mark.parametrize(
    ("pix_fmt", "size", "codec"),
    [
        ("yuv420p", "160x120", "ffvhuff"),
        ("yuv420p10le", "162x122", "ffvhuff"),
        ("yuv420p", "161x121", "ffv1"),
        ("yuv444p12le", "160x120", "ffv1"),
        ("gbrp", "160x120", "ffv1"),
        ("gray10le", "160x120", "ffv1"),
    ],
)
def test_reel_has_the_frames_of_its_segments(ffmpeg, tmp_path, pix_fmt, size, codec):
    source, reel = tmp_path / "source.mkv", tmp_path / "reel.mkv"
    pictures = ["-f", "lavfi", "-i", f"testsrc2=rate=24:duration=1,scale={size.replace('x', ':')}"]
    form = ["-c:v", "ffv1", "-pix_fmt", pix_fmt]
    subprocess.run([ffmpeg, "-v", "error", *pictures, *form, source], check=True)
    segments = ((2, 5), (10, 6))
    program = find_ffmpeg()
    video, stream = probe(program, Video(source))
    write_reel(program, video, stream, segments, 24.0, reel)
    every = frame_digests(ffmpeg, source, pix_fmt)
    assert frame_digests(ffmpeg, reel, pix_fmt) == every[2:7] + every[10:16]
    report = subprocess.run([ffmpeg, "-i", reel], capture_output=True, text=True).stderr
    assert f"Video: {codec}" in report
    assert segment_starts(segments, 24.0) == [4.5 / 24]
