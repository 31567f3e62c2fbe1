"""A video through standard input: the same score, and one line where it ends too early."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.video.arrays import stdin_as_file

RAW = ("--width", 352, "--height", 288, "--pix-fmt", "yuv420p")
FRAME = 352 * 288 * 3 // 2


def piped(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize(("name", "flags"), [("ref.y4m", ()), ("ref.yuv", RAW)])
def test_a_pipe_scores_as_its_file_does(encodes, monkeypatch, name, flags):
    distorted = encodes / "dis.mp4"
    expected = run_command("score", encodes / "ref.y4m", distorted, "--quiet")
    piped(monkeypatch, (encodes / name).read_bytes())
    result = run_command("score", "-", distorted, "--quiet", *flags)
    assert (result.code, result.stdout) == (0, expected.stdout)


def test_a_real_pipe_as_the_distorted_video(encodes, ffmpeg):
    decode = [ffmpeg, "-v", "error", "-i", encodes / "dis.mp4", "-f", "yuv4mpegpipe", "-"]
    score = [sys.executable, "-m", "vmaf_jax", "score", encodes / "ref.y4m", "-", "--quiet"]
    with subprocess.Popen(decode, stdout=subprocess.PIPE) as source:
        done = subprocess.run(score, stdin=source.stdout, capture_output=True, text=True)
    expected = run_command("score", encodes / "ref.y4m", encodes / "dis.mp4", "--quiet")
    assert (done.returncode, done.stdout) == (0, expected.stdout)


@pytest.mark.parametrize(
    ("name", "flags", "reason"),
    [
        ("ref.y4m", (), "ends in the middle of frame 4 ("),
        ("ref.yuv", RAW, "613256 bytes is 4 frames of 352x288 yuv420p ("),
    ],
)
def test_a_pipe_that_ends_in_a_frame_is_one_line(encodes, monkeypatch, name, flags, reason):
    piped(monkeypatch, (encodes / name).read_bytes()[: 4 * FRAME + 5000])
    result = run_command("score", "-", encodes / "dis.mp4", *flags)
    assert result.code == 2
    assert f"standard input: {reason}" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_pipe_that_ends_between_frames_is_too_short(encodes, monkeypatch):
    piped(monkeypatch, (encodes / "ref.yuv").read_bytes()[: 4 * FRAME])
    result = run_command("score", "-", encodes / "dis.mp4", *RAW)
    assert result.code == 2
    assert "12 frames, its reference standard input has 4" in result.stderr


@pytest.mark.parametrize(
    ("content", "paths", "reason"),
    [
        (b"", ["-", "a.mp4"], "empty"),
        (b"\0\0\0 ftypisom" * 9, ["-", "a.mp4"], "no Y4M stream"),
        (b"YUV4MPEG2 W4 H4", ["-", "a.mp4"], "ends within its Y4M header"),
        (b"YUV4MPEG2 W4 H4\nFRAME\n" + b"x" * 24 + b"GARBAGE", ["-", "a"], "no frame 1 where"),
        (b"YUV4MPEG2 W4 H4", ["-", "-"], "only one video"),
    ],
)
def test_what_is_no_video_is_named(monkeypatch, content, paths, reason):
    piped(monkeypatch, content)
    files = [*map(Path, paths)]
    with pytest.raises(InputError, match=reason), stdin_as_file(files, None, None, None):
        pass


@pytest.mark.parametrize(
    ("header", "frame"),
    [
        *(("C420jpeg", 24), ("C444", 48), ("C422 Ip", 32), ("C411", 24), ("Cmono", 16), ("", 24)),
        *(("C420p10", 48), ("Cmono16", 32)),
    ],
)
def test_y4m_layouts(monkeypatch, header, frame):
    start = f"YUV4MPEG2 W4 H4 F24:1 {header}\n".encode()
    content = start + 2 * (b"FRAME Ip\n" + b"x" * frame)
    piped(monkeypatch, content)
    with stdin_as_file([Path("-")], None, None, None) as (path,):
        assert path.read_bytes() == content
    assert not path.exists()
    piped(monkeypatch, content[:-1])
    cut = pytest.raises(InputError, match=rf"frame 1 \({frame - 1} of {frame} bytes\)")
    with cut, stdin_as_file([Path("-")], None, None, None):
        pass


def test_a_pipe_is_bounded(monkeypatch):
    monkeypatch.setenv("VMAF_JAX_MAX_PIPE_BYTES", "100")
    piped(monkeypatch, b"YUV4MPEG2 W4 H4\n" + b"x" * 200)
    bounded = pytest.raises(InputError, match="VMAF_JAX_MAX_PIPE_BYTES")
    with bounded, stdin_as_file([Path("-")], None, None, None):
        pass
