"""Damage is told where the decoder alone reports it, and ffmpeg says nothing of its own."""

import subprocess

import pytest

from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError


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
