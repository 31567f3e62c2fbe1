"""Sources that are refused before they are decoded, and reels of a source's segments."""

import os
import subprocess
import time

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video import survey as surveys
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import probe
from vmaf_jax.video.survey import find_reel, segment_starts, survey_source


def test_a_raw_file_has_no_rate(tmp_path):
    path = tmp_path / "raw.yuv"
    path.write_bytes(bytes(64 * 64 * 3 // 2))
    with pytest.raises(InputError, match=r"a raw file has no rate; wrap it as \.y4m"):
        survey_source(find_ffmpeg(), Video(path, 64, 64, "yuv420p"), lambda sizes, rate: ())


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
    source = tmp_path / "source.mkv"
    pictures = ["-f", "lavfi", "-i", f"testsrc2=rate=24:duration=1,scale={size.replace('x', ':')}"]
    form = ["-c:v", "ffv1", "-pix_fmt", pix_fmt]
    subprocess.run([ffmpeg, "-v", "error", *pictures, *form, source], check=True)
    segments = ((2, 5), (10, 6))
    program = find_ffmpeg()
    video, stream = probe(program, Video(source))
    reel = find_reel(program, video, stream, segments, 24.0).path
    every = frame_digests(ffmpeg, source, pix_fmt)
    assert frame_digests(ffmpeg, reel, pix_fmt) == every[2:7] + every[10:16]
    report = subprocess.run([ffmpeg, "-i", reel], capture_output=True, text=True).stderr
    assert f"Video: {codec}" in report
    assert segment_starts(segments, 24.0) == [4.5 / 24]


def test_a_survey_copies_the_same_reel(ffmpeg, tmp_path, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path / "cache"))
    source, segments = tmp_path / "source.mp4", ((2, 5), (10, 6))
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=24:duration=1"]
    form = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg, "-v", "error", *pictures, *form, source], check=True)
    program, seen = find_ffmpeg(), []

    def choose(difficulty, rate):
        seen.append((len(difficulty), rate))
        return segments

    survey = survey_source(program, Video(source), choose)
    assert seen == [(24, 24.0)]
    made = surveys.reel_path(program, survey.video, segments)
    every = frame_digests(ffmpeg, source, "yuv420p")
    assert frame_digests(ffmpeg, made, "yuv420p") == every[2:7] + every[10:16]
    assert find_reel(program, survey.video, survey.stream, segments, 24.0).path == made


def test_an_outline_has_all_frames_in_small_pictures(ffmpeg, tmp_path, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path / "cache"))
    source, segments = tmp_path / "source.mp4", ((2, 5), (10, 6))
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=318x180:rate=24:duration=1"]
    form = ["-c:v", "libx264", "-pix_fmt", "yuv420p10le"]
    subprocess.run([ffmpeg, "-v", "error", *pictures, *form, source], check=True)
    program = find_ffmpeg()
    survey = survey_source(program, Video(source), lambda difficulty, rate: segments)
    lines = surveys.outline_lines(survey.stream, survey.n_frames)
    made = surveys.outline_path(program, survey.video, lines)
    assert made.exists()  # by the same pass as the survey
    video, stream = probe(program, Video(made))
    assert (stream.width, stream.height, stream.pix_fmt, stream.rate) == (160, 90, "yuv420p", 24)
    every = frame_digests(ffmpeg, made, "yuv420p")
    assert len(every) == 24
    small = find_reel(program, video, stream, segments, 24.0).path
    assert frame_digests(ffmpeg, small, "yuv420p") == every[2:7] + every[10:16]
    made.unlink()
    again = surveys.find_outline(program, survey.video, survey.stream, lines, survey.rate).path
    assert again == made
    assert frame_digests(ffmpeg, again, "yuv420p") == every


def test_reels_used_long_ago_are_removed_beyond_a_size(tmp_path, monkeypatch):
    monkeypatch.setattr(surveys, "_MOST_BYTES", 250)
    now = time.time()
    for name, age in (("newest", 0), ("in_use", 60), ("older", 7200), ("oldest", 9000)):
        (tmp_path / f"{name}.mkv").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.mkv", (now - age, now - age))
    surveys._remove_old_reels(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["in_use", "newest"]
