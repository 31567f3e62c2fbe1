"""Arrays and standard input are measured as the files they could have come from."""

import io
import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.video.arrays import arrays_as_files, stdin_as_file
from vmaf_jax.video.inputs import Video, check_video
from vmaf_jax.video.pixel_format import RAW_FORMATS

HEIGHT, WIDTH, FRAMES = 288, 352, 12


def planes_of(path):
    """Y, U and V of an 8-bit 4:2:0 file, read frame by frame."""
    frames = np.frombuffer(path.read_bytes(), np.uint8).reshape(FRAMES, -1)
    luma, chroma = HEIGHT * WIDTH, HEIGHT * WIDTH // 4
    u, v = (frames[:, luma + k * chroma :][:, :chroma] for k in range(2))
    half = (FRAMES, HEIGHT // 2, WIDTH // 2)
    return frames[:, :luma].reshape(FRAMES, HEIGHT, WIDTH), u.reshape(half), v.reshape(half)


def test_arrays_score_as_their_files_do(encodes):
    files = encodes / "ref.yuv", encodes / "dis.yuv"
    raw = {"width": WIDTH, "height": HEIGHT, "pix_fmt": "yuv420p"}
    ours = vmaf_jax.score(*map(planes_of, files), extra_metrics=("psnr", "ciede2000"))
    theirs = vmaf_jax.score(*files, extra_metrics=("psnr", "ciede2000"), **raw)
    np.testing.assert_array_equal(ours.per_frame, theirs.per_frame)
    assert ours.extra_metric_statistics() == theirs.extra_metric_statistics()
    assert (ours.table.source[0], ours.table.clip[0]) == ("reference", "distorted")
    luma = vmaf_jax.score(*(planes_of(path)[0] for path in files))
    np.testing.assert_array_equal(luma.per_frame, theirs.per_frame)
    mixed = vmaf_jax.score(files[0], planes_of(files[1])[0], **raw)
    np.testing.assert_array_equal(mixed.per_frame, theirs.per_frame)


@pytest.mark.parametrize("pix_fmt", [name for name in RAW_FORMATS if "gray" not in name])
def test_what_is_written_is_what_was_given(pix_fmt):
    (across, down), sample_bytes = RAW_FORMATS[pix_fmt]
    bits = int(re.search(r"(\d+)le", pix_fmt)[1]) if sample_bytes == 2 else 8
    sizes = [(19, 21), *[(math.ceil(19 / down), math.ceil(21 / across))] * 2]
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 2**bits, (2, *size)) for size in sizes]
    with arrays_as_files(planes, Path("other.mp4"), bits) as (video, other):
        assert video == Video(video.path, 21, 19, pix_fmt)
        assert other == Path("other.mp4")
        assert check_video(video) == 2
        written = np.fromfile(video.path, "<u2" if sample_bytes == 2 else "u1")
    frames = [plane[k].ravel() for k in range(2) for plane in planes]
    np.testing.assert_array_equal(written, np.concatenate(frames))
    assert not video.path.exists()


LUMA = np.full((3, 32, 32), 90, np.uint8)
CHROMA = LUMA[:, ::2, ::2]
WRONG = {
    "floats": (LUMA / 1.0, {}, "round them to integers"),
    "16 bits said to be 8": (LUMA.astype(np.uint16), {}, "pass the bits they have"),
    "beyond 10 bits": (LUMA.astype(np.uint16) * 20, {"bits": 10}, "expected 0 to 1023"),
    "RGB": (np.zeros((3, 32, 32, 3), np.uint8), {}, "Convert RGB first"),
    "one frame": (LUMA[0], {}, r"expected luma \[frames, height, width\]"),
    "no frame": (LUMA[:0], {}, r"expected luma \[frames, height, width\]"),
    "two planes": ((LUMA, CHROMA), {}, "three planes"),
    "odd chroma": ((LUMA, CHROMA, LUMA), {}, "none of yuv420p, yuv422p, yuv444p"),
    "luma for VMAF v1": (
        LUMA,
        {"model": "vmaf_v1.0.16_3d0h"},
        r"vmaf_v1 reads chroma; .*\(Y, U, V",
    ),
    "luma for a teacher of VMAF v1": (LUMA, {"teachers": ("vmaf_v1.0.16_3d0h",)}, "reads chroma"),
    "luma for CIEDE2000": (LUMA, {"extra_metrics": ("ciede2000",)}, "ciede2000 reads chroma"),
    "truths": (LUMA > 9, {}, "expected integers or floats"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_video_is_refused_and_leaves_nothing(case, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array, options, words = WRONG[case]
    with pytest.raises((InputError, TypeError), match=words):
        vmaf_jax.score(array, array, **options)
    assert list(tmp_path.iterdir()) == []


def test_vmaf_takes_files(encodes):
    files = encodes / "ref.y4m", encodes / "dis.mp4"
    scores = np.asarray(vmaf_jax.vmaf(*map(str, files)))
    table = vmaf_jax.extract_pair(*files, backend="jax")
    np.testing.assert_allclose(scores, table.label("vmaf_v0.6.1"), atol=1e-4)
    unclipped = np.asarray(vmaf_jax.vmaf(*files, clip=False))
    np.testing.assert_array_equal(np.clip(unclipped, 0, 100), scores)


@pytest.mark.slow  # two programs are compiled
def test_vmaf_takes_files_and_their_arrays_alike():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (3, 48, 64)).astype(np.uint8)
    distorted = reference // 2 + 40
    with arrays_as_files(reference, distorted, 8) as files:
        scores = np.asarray(vmaf_jax.vmaf(*files))
    expected = np.asarray(vmaf_jax.vmaf(reference, distorted))
    np.testing.assert_allclose(scores, expected, atol=2e-3)  # float64 and float32 in the SVR


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
    piped(monkeypatch, (encodes / name).read_bytes())
    document = json.loads(run_command("score", "-", distorted, "--json", *flags).stdout)
    assert document["reference"] == f"standard input{Path(name).suffix}"


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
        ("ref.y4m", (), "ends in the middle of frame 4 (4912 of 152064 bytes); "),
        ("ref.yuv", RAW, "613256 bytes is 4 frames of 352x288 yuv420p ("),
    ],
)
def test_a_pipe_that_ends_in_a_frame_is_one_line(encodes, monkeypatch, name, flags, reason):
    piped(monkeypatch, (encodes / name).read_bytes()[: 4 * FRAME + 5000])
    result = run_command("score", "-", encodes / "dis.mp4", *flags)
    assert result.code == 2
    assert f"standard input{Path(name).suffix}: {reason}" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_pipe_that_ends_between_frames_is_too_short(encodes, monkeypatch):
    piped(monkeypatch, (encodes / "ref.yuv").read_bytes()[: 4 * FRAME])
    result = run_command("score", "-", encodes / "dis.mp4", *RAW)
    assert result.code == 2
    assert "12 frames, its reference standard input.yuv has 4" in result.stderr


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
