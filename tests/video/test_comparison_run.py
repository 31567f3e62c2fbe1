"""Damage is told where the decoder alone reports it, and ffmpeg says nothing of its own."""

import subprocess

import numpy as np
import pytest

from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison_run import damaged_frames, reports_damage
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import probe


def damaged_copy(ffmpeg, source, path, encoder):
    """An encode of `source` whose second half has some bytes inverted."""
    line = [ffmpeg, "-v", "error", "-y", "-i", source, *encoder, path]
    subprocess.run(list(map(str, line)), check=True)
    content = bytearray(path.read_bytes())
    for share in (0.55, 0.62, 0.7, 0.78, 0.85):
        content[int(len(content) * share)] ^= 0xFF
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "encoder", "witness"),
    [
        ("ffv1.mkv", ["-c:v", "ffv1"], "[ffv1 @"),
        ("mjpeg.avi", ["-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"], "[mjpeg @"),
    ],
)
def test_damage_that_one_line_alone_tells_is_refused(
    name, encoder, witness, ffmpeg, encodes, tmp_path
):
    path = damaged_copy(ffmpeg, encodes / "ref.y4m", tmp_path / name, encoder)
    line = [ffmpeg, "-nostdin", "-v", "error", "-i", path, "-map", "0:v:0", "-f", "null", "-"]
    said = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False).stderr
    assert {entry.startswith(witness) for entry in said.splitlines()} == {True}
    with pytest.raises(InputError, match=rf"{name}: .*damaged.* --allow-damaged"):
        extract_pair(encodes / "ref.y4m", path, teachers=(), force=True)


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        # ffmpeg 6 and earlier say this themselves, and no decoder does.
        ("dis.mp4: corrupt decoded frame in stream 0", True),
        ("[vist#0:0/h264 @ 0x5581] [dec:h264 @ 0x5582] corrupt decoded frame", True),
        ("[h264 @ 0x5581] error while decoding MB 3 7, bytestream -5", True),
        ("[libdav1d @ 0x5581] Error parsing OBU data", False),  # of another codec's library
        ("[mp4 @ 0x5581] Non-monotonic DTS; previous: 5, current: 4", False),
        ("dis.mp4: Input/output error", False),
    ],
)
def test_damage_is_told_by_the_decoders_lines_and_by_ffmpegs_own(line, tells, encodes):
    stream = probe(find_ffmpeg(), Video(encodes / "dis.mp4"))[1]
    assert stream.codec == "h264"
    assert reports_damage([line], [stream]) is tells


def test_damaged_frames_are_named_by_their_number(ffmpeg, encodes, tmp_path):
    """Of a file of key frames alone, those that are not what they were before the damage."""
    line = [ffmpeg, "-v", "error", "-i", encodes / "ref.y4m", "-c:v", "libx264", "-g", "1"]
    path, whole = tmp_path / "hurt.mkv", tmp_path / "whole.mkv"
    subprocess.run(list(map(str, [*line, "-crf", "30", whole])), check=True)
    content = bytearray(whole.read_bytes())
    content[int(len(content) * 0.37)] ^= 0xFF
    content[int(len(content) * 0.7)] ^= 0xFF
    path.write_bytes(content)
    pictures = []
    for name in (path, whole):
        raw = ["-nostdin", "-v", "quiet", "-i", str(name), "-f", "rawvideo", "-"]
        decoded = subprocess.run([ffmpeg, *raw], capture_output=True, check=True).stdout
        pictures.append(np.frombuffer(decoded, np.uint8).reshape(12, -1))
    harmed = np.flatnonzero((pictures[0] != pictures[1]).any(axis=1)).tolist()
    assert harmed
    assert damaged_frames(find_ffmpeg(), Video(path)) == harmed
    assert damaged_frames(find_ffmpeg(), Video(whole)) == []
