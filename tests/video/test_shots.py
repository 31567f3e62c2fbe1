"""Shots in files of their own, joined: every frame in its place, and in step with the sound."""

import re
import subprocess

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video.encoders import ENCODERS, EncodeRecipe, encode_video, packet_sizes, start_time
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.shots import encode_shots, join_shots

X264 = EncodeRecipe(ENCODERS["libx264"], "ultrafast", "yuv420p")


def frame_times(ffmpeg, path):
    line = [ffmpeg, "-v", "error", "-i", path, "-map", "0:V:0", "-f", "framecrc", "-"]
    log = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return [int(time) for time in re.findall(r"^0, *\S+ *(\d+),", log, re.M)]


def test_joined_shots_have_the_frames_and_the_sound_of_the_whole(ffmpeg, tmp_path):
    source = tmp_path / "source.mkv"
    pictures = ["-itsoffset", "0.5", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=24000/1001"]
    sound = ["-f", "lavfi", "-i", "sine", "-t", "3", "-c:v", "ffv1", "-c:a", "flac"]
    subprocess.run([ffmpeg, "-v", "error", *pictures, *sound, source], check=True)
    program, video = find_ffmpeg(), Video(source)
    encode_video(program, video, X264, 30.0, tmp_path / "one.mkv", with_sound=True)
    assert start_time(program, tmp_path / "one.mkv") == pytest.approx(0.5, abs=0.01)
    starts = [0, 13, 30]
    files = encode_shots(program, video, X264, 30.0, starts, 24000 / 1001, 0.5, tmp_path)
    whole = frame_times(ffmpeg, tmp_path / "one.mkv")
    assert [len(packet_sizes(program, file)) for file in files] == [13, 17, len(whole) - 30]
    join_shots(program, files, tmp_path / "two.mkv", Video(tmp_path / "one.mkv"), 0.5)
    joined = frame_times(ffmpeg, tmp_path / "two.mkv")
    assert joined == pytest.approx(whole, abs=1)
    report = subprocess.run([ffmpeg, "-i", tmp_path / "two.mkv"], capture_output=True, text=True)
    assert "Audio: flac" in report.stderr
    assert not list(tmp_path.glob("*.txt"))


def test_files_that_cannot_be_joined_are_told(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match="cannot be joined"):
        join_shots(find_ffmpeg(), [tmp_path / "a.mp4"], tmp_path / "out.mkv")
