"""The job `encode`, with real encoders on twelve frames."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.extraction import libvmaf
from vmaf_jax.jobs.encode import EncodeSettings, encode
from vmaf_jax.scoring.score import score
from vmaf_jax.video.encoders import _list_encoders
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import probe

X264 = ("-c:v", "libx264", "-crf", 4, "-preset", "veryfast", "-pix_fmt", "yuv420p")


@pytest.fixture
def make(ffmpeg, tmp_path):
    def run(name, *arguments):
        subprocess.run(
            [ffmpeg, "-v", "error", "-y", *map(str, arguments), tmp_path / name], check=True
        )
        return tmp_path / name

    return run


def files(folder):
    """Names of all files below a folder, hidden ones included."""
    return sorted(path.name for path in folder.rglob("*"))


def test_the_finished_file_keeps_the_target(encodes, tmp_path):
    out, html = tmp_path / "out.mp4", tmp_path / "out.html"
    words = ["encode", encodes / "ref.y4m", "--target", 90, "--out", out, "--html", html]
    result = run_command(*words, "--json")
    assert result.code == 0, result.stderr
    told = json.loads(result.stdout)
    measured = score(encodes / "ref.y4m", out, model="vmaf_v0.6.1").pooled
    assert told["finished"]["score"] == pytest.approx(measured, abs=1e-9)
    assert measured >= 90
    assert told["bytes"] == out.stat().st_size
    assert told["finished"] in told["encodes"]
    # The next weaker setting misses, or the file is close to the target.
    weaker = [e for e in told["encodes"] if e["setting"] > told["finished"]["setting"]]
    assert measured <= 90.25 or any(not e["holds"] for e in weaker)
    assert files(tmp_path) == ["out.html", "out.mp4"]
    assert f"{measured:.2f}" in html.read_text()


def test_another_build_of_libvmaf_is_told_in_the_result(encodes, tmp_path, monkeypatch):
    words = ["encode", encodes / "ref.y4m", "--target", 90]
    ours = run_command(*words, "--out", tmp_path / "a.mp4", "--json")
    assert json.loads(ours.stdout)["libvmaf"] == libvmaf.LIBVMAF
    monkeypatch.setattr(libvmaf, "LIBVMAF", "another")  # as seen from that build
    theirs = run_command(*words, "--out", tmp_path / "b.mp4")
    assert theirs.code == 0, theirs.stderr
    said = " ".join(theirs.stdout.split())
    assert "86da14d is not another, which the documented figures are of" in said


def test_a_missed_target_exits_with_1_and_leaves_nothing(encodes, tmp_path):
    words = ["encode", encodes / "ref.y4m", "--target", 99.99, "--out", tmp_path / "out.mkv"]
    result = run_command(*words, "--preset", "ultrafast", "--height", 64, "--json")
    assert result.code == 1
    assert "missed by libx264" in result.stderr
    told = json.loads(result.stdout)
    assert told["out"] is None
    assert told["finished"] is None
    assert told["encodes"]
    assert files(tmp_path) == []


def test_a_dry_run_encodes_and_makes_nothing(encodes, tmp_path):
    out = tmp_path / "new" / "out.mp4"
    result = run_command("encode", encodes / "ref.y4m", "--target", 90, "--out", out, "--dry-run")
    assert result.code == 0
    assert "12 frames" in result.stdout
    assert files(tmp_path) == []


def test_the_sound_is_copied(make, encodes, tmp_path, ffmpeg):
    inputs = ["-i", encodes / "ref.y4m", "-i", encodes / "audio.wav"]
    source = make("s.mkv", *inputs, "-c:v", "ffv1", "-c:a", "aac")
    encode(source, tmp_path / "out.mp4", EncodeSettings(target=80.0))
    report = subprocess.run([ffmpeg, "-i", tmp_path / "out.mp4"], capture_output=True, text=True)
    assert "Audio: aac" in report.stderr


REFUSED = {
    "interlaced": (("-vf", "setfield=tff", "-c:v", "ffv1"), "is interlaced"),
    "hdr": (("-vf", "setparams=color_trc=smpte2084", "-c:v", "ffv1"), "is HDR"),
    "transparent": (("-c:v", "ffv1", "-pix_fmt", "yuva420p"), "is transparent"),
    "transparent_vp9": (("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"), "is transparent"),
    "uneven": (
        ("-vf", "setpts=N*N/24/TB/4", "-fps_mode", "passthrough", "-c:v", "ffv1"),
        "not evenly spaced",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_source_that_cannot_be_compared_is_refused(make, encodes, tmp_path, kind):
    arguments, reason = REFUSED[kind]
    source = make("source.mkv", "-i", encodes / "ref.y4m", *arguments)
    result = run_command("encode", source, "--target", 90, "--out", tmp_path / "out.mp4")
    assert (result.code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert files(tmp_path) == ["source.mkv"]


def test_a_source_without_times_is_refused(make, encodes, tmp_path):
    source = make("source.264", "-i", encodes / "ref.y4m", "-c:v", "libx264")
    with pytest.raises(InputError, match="no times"):
        encode(source, tmp_path / "out.mp4", EncodeSettings(target=90.0))


def test_a_damaged_source_is_refused(make, encodes, tmp_path):
    source = make("source.mkv", "-i", encodes / "ref.y4m", "-c:v", "ffv1")
    content = bytearray(source.read_bytes())
    content[int(len(content) * 0.7)] ^= 0xFF
    source.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        encode(source, tmp_path / "out.mp4", EncodeSettings(target=90.0))


def test_frames_lost_by_damage_are_told_as_damage(make, encodes, tmp_path):
    source = make("source.mkv", "-i", encodes / "ref.y4m", "-c:v", "libx264", "-g", "4")
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    source.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        encode(source, tmp_path / "out.mp4", EncodeSettings(target=90.0))


def test_a_full_disk_is_one_line_and_leaves_nothing(encodes, tmp_path):
    # -B: Python itself would leave half a module of bytecode.
    words = [sys.executable, "-B", "-m", "vmaf_jax", "encode", str(encodes / "ref.y4m")]
    words += ["--target", "90"]
    words += ["--out", str(tmp_path / "new" / "out.mp4")]
    line = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *words]
    result = subprocess.run(line, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert "free space" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_kept(encodes, tmp_path):
    out, source = tmp_path / "out.mp4", tmp_path / "ref.y4m"
    out.write_bytes(b"mine")
    shutil.copyfile(encodes / "ref.y4m", source)
    for path, reason in ((out, "exists already"), (source, "is the input")):
        result = run_command("encode", source, "--target", 90, "--out", path)
        assert result.code == 2
        assert reason in result.stderr
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--target", "100"], "--target 100"),
        (["--target", "90", "--confidence", "1"], "--confidence 1"),
        (["--target", "90", "--height", "33"], "--height 33"),
        (["--target", "90", "--height", "300"], "above the source's 288 lines"),
        (["--target", "90", "--encoder", "libx26"], "Did you mean libx26"),
        (["--target", "90", "--preset", "hasty"], "libx264 cannot encode it"),
        (["--target", "90", "--pix-fmt", "yuv999p"], "libx264 takes yuv420p, yuv422p, yuv444p"),
        # In their place ffmpeg's encoders take the nearest format that they have.
        (["--target", "90", "--pix-fmt", "nv12"], "--pix-fmt nv12: libx264 takes yuv420p"),
        (["--target", "90", "--pix-fmt", "yuv420p12le"], "takes yuv420p, yuv422p, yuv444p, yuv4"),
        (
            ["--target", "90", "--encoder", "libsvtav1", "--pix-fmt", "yuv444p"],
            "--pix-fmt yuv444p: libsvtav1 takes yuv420p, yuv420p10le; name one.",
        ),
        (["--target", "90", "--", "-vf", "null"], "no option of libx264"),
        (["--target", "90", "--", "-crf", "3"], "is set by the search"),
        (["--target", "90", "--", "-forced-idr", "0"], "is set by the search"),
        (
            ["--target", "90", "--", "-x264-params", "keyint=9:crf=35"],
            "-x264-params crf: is set by the search or by an option of vmaf-jax; drop it "
            "(docs/traps.md).",
        ),
        (["--target", "90", "--", "-x264opts", "dump_yuv=o.yuv"], "-x264opts dump-yuv: is set by"),
        (
            ["--encoder", "libx265", "--target", "90", "--", "-x265-params", "--crf=35"],
            "-x265-params crf: is set by",
        ),
        (
            ["--encoder", "libx265", "--target", "90", "--", "-x265-params", "a=1: 'crf' =35"],
            "-x265-params crf: is set by",
        ),
        (["--target", "90", "--", "-g", "24", "-bf"], "-bf: has no value"),
        (["--target", "90", "--", "second.mp4"], "second.mp4: no option"),
        (["--target", "90", "--out", "o.webm"], "is written into"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(encodes, tmp_path, words, reason):
    out = [] if "--out" in words else ["--out", tmp_path / "out.mp4"]
    result = run_command("encode", encodes / "ref.y4m", *out, *words)
    assert (result.code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert files(tmp_path) == []


def test_a_target_is_met_by_a_model_whose_scores_reach_110(make, tmp_path):
    source = make("v1.mkv", "-f", "lavfi", "-i", "mandelbrot=size=480x400:rate=24", "-t", 1, *X264)
    settings = EncodeSettings(105.0, model="vmaf_v1.0.16_3d0h_2160", preset="ultrafast")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = encode(source, tmp_path / "a.mp4", settings)
        lower = encode(source, tmp_path / "b.mp4", dataclasses.replace(settings, target=95.0))
    for found, target in ((result, 105), (lower, 95)):
        assert found.finished is not None
        assert target <= found.finished.score <= target + 1.5
    assert (lower.bytes or 0) < (result.bytes or 0)
    with pytest.raises(InputError, match=r"scores of vmaf_v0\.6\.1 end at 100; lower it"):
        encode(source, tmp_path / "c.mp4", EncodeSettings(105.0))


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "libaom-av1"])
def test_a_source_of_odd_size_is_encoded_or_told_how(make, tmp_path, encoder):
    size = ("-f", "lavfi", "-i", "mandelbrot=size=121x97:rate=24", "-t", 0.5)
    source = make("odd.mkv", *size, "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    preset = {"libsvtav1": "12", "libvpx-vp9": "8", "libaom-av1": "8"}.get(encoder, "ultrafast")
    settings = EncodeSettings(target=80.0, encoder=encoder, preset=preset, tolerance=50)
    if encoder.startswith("libx26"):
        with pytest.raises(InputError, match=rf"{encoder} takes no yuv420p of 121x97; give --pix-"):
            encode(source, tmp_path / "out.mkv", settings)
        settings = dataclasses.replace(settings, pix_fmt="yuv444p")
    result = encode(source, tmp_path / "out.mkv", settings)
    stream = probe(find_ffmpeg(), Video(tmp_path / "out.mkv"))[1]
    assert (stream.width, stream.height, stream.pix_fmt) == (121, 97, result.pix_fmt)


def test_a_raw_source_is_told_to_be_wrapped(encodes, tmp_path):
    result = run_command("encode", encodes / "ref.yuv", "--target", 90, "--out", tmp_path / "o.mp4")
    assert (result.code, "wrap it as .y4m" in result.stderr) == (2, True)


def test_an_encoder_that_ffmpeg_lacks_is_told_with_those_that_it_has(monkeypatch, tmp_path):
    monkeypatch.setattr("vmaf_jax.video.encoders._list_encoders", lambda path: {"libx264"})
    with pytest.raises(InputError, match=r"built without it; it has libx264\."):
        encode(tmp_path / "a.y4m", tmp_path / "o.mkv", EncodeSettings(90.0, encoder="libx265"))
    assert find_ffmpeg().path


def test_a_target_below_every_setting_is_refused(encodes, tmp_path):
    with pytest.raises(InputError, match="even the weakest setting"):
        encode(encodes / "ref.y4m", tmp_path / "out.mp4", EncodeSettings(target=1.0))
    assert files(tmp_path) == []


def test_a_limit_that_is_refused_names_all_that_is_accepted():
    with pytest.raises(
        InputError, match="--min-saving 100: expected percent above 0 and below 100"
    ):
        EncodeSettings(90.0, min_saving=100.0)
    with pytest.raises(InputError, match="--tolerance 101: expected points above 0, up to 100"):
        EncodeSettings(90.0, tolerance=101.0)


@pytest.fixture(scope="module")
def long_clip(ffmpeg, tmp_path_factory):
    """Forty seconds of shots between easy and hard, large enough for an outline."""
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    tile = "size=240x180:rate=10:duration=10"
    sources = [f"testsrc2={tile}", "mandelbrot=size=240x180:rate=10,trim=duration=10"]
    sources += [f"testsrc2={tile},noise=alls=20:allf=t", f"smptebars={tile}"]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    line = [ffmpeg, "-v", "error", *inputs, "-lavfi", "concat=n=4,format=yuv420p", "-c:v", "ffv1"]
    subprocess.run([*line, path], check=True)
    return path


def test_probes_lead_to_a_file_that_keeps_the_target(long_clip, tmp_path):
    first = encode(long_clip, tmp_path / "a.mkv", EncodeSettings(target=85.0, preset="fast"))
    assert first.finished is not None
    sampled = sum(length for _, length in first.segments)
    assert 0.1 < sampled / first.n_frames < 0.3
    assert 1 <= len(first.encodes) <= 4
    reached = score(long_clip, tmp_path / "a.mkv", model="vmaf_v0.6.1").pooled
    assert first.finished.lower_bound <= reached + 1e-9
    assert reached >= 85
    # The same target is one encode more, at the same setting, and nothing before it.
    again = encode(long_clip, tmp_path / "b.mkv", EncodeSettings(target=85.0, preset="fast"))
    assert all(probe.is_cached for probe in again.probes)
    assert sorted(p.score for p in again.probes) == sorted(p.score for p in first.probes)
    assert [e.setting for e in again.encodes if not e.is_cached] == [first.finished.setting]
    assert (tmp_path / "b.mkv").stat().st_size == (tmp_path / "a.mkv").stat().st_size
    # Another target begins with all that is known.
    other = encode(long_clip, tmp_path / "c.mkv", EncodeSettings(target=88.0, preset="fast"))
    assert sum(not p.is_cached for p in other.probes) <= 1
    assert len([e for e in other.encodes if not e.is_cached]) <= 2  # the first may be too good
    assert score(long_clip, tmp_path / "c.mkv", model="vmaf_v0.6.1").pooled >= 88


@pytest.mark.parametrize(
    ("encoder", "preset"),
    [
        ("libx264", "fast"),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in (("libx265", "ultrafast"), ("libsvtav1", "12"), ("libvpx-vp9", "8"))
        ),
    ],
)
def test_shots_have_settings_of_their_own(long_clip, tmp_path, encoder, preset):
    folder = tmp_path / "100%d o'clock"  # names that patterns and lists of ffmpeg would misread
    folder.mkdir()
    settings = EncodeSettings(target=85.0, encoder=encoder, preset=preset, per_shot=True)
    result = encode(long_clip, folder / "out.mkv", settings)
    assert files(folder) == ["out.mkv"]
    shots, made = result.shots, result.finished
    assert len(set(shots.settings)) > 1
    assert made.frames_measured == result.n_frames == 400
    measured = score(long_clip, folder / "out.mkv", model="vmaf_v0.6.1")
    assert len(measured.per_frame) == 400
    assert measured.pooled == pytest.approx(made.score, abs=1e-9)
    assert 85 <= made.score <= 86  # the choice of four shots among five settings is coarse
    assert made.kbps < shots.one_setting.kbps
    assert 0 < shots.saving < 0.5
    assert f"{len(shots.settings)} shots" in result.lines()[1]


def test_a_setting_for_each_shot_of_a_clip_of_one_is_told(encodes, tmp_path):
    settings = EncodeSettings(target=90.0, preset="ultrafast", per_shot=True)
    result = encode(encodes / "ref.y4m", tmp_path / "out.mkv", settings)
    assert result.shots is None
    assert result.finished is not None
    assert "the source is one shot, so nothing was split" in result.lines()[-1]


def test_a_setting_for_each_shot_is_of_a_mean(encodes, tmp_path):
    words = ["encode", encodes / "ref.y4m", "--target", 90, "--out", tmp_path / "o.mkv"]
    result = run_command(*words, "--per-shot", "--pool", "p5")
    assert (result.code, result.stdout) == (2, "")
    assert "--per-shot: takes a target of the mean" in result.stderr


def test_a_corrupted_cache_is_told_with_the_file(long_clip, tmp_path, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path / "cache"))
    words = ["encode", long_clip, "--target", 85, "--preset", "ultrafast"]
    assert run_command(*words, "--out", tmp_path / "a.mkv").code == 0
    for kind in ("probes", "encodes", "surveys"):  # the last is read first
        entry = next(path for path in (tmp_path / "cache" / kind).rglob("*") if path.is_file())
        entry.write_bytes(b"{}")
        result = run_command(*words, "--out", tmp_path / "b.mkv")
        assert (result.code, result.stdout) == (2, "")
        assert f"{entry}: this cache entry is corrupted" in result.stderr
    assert not (tmp_path / "b.mkv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("pool", "target"), [("p5", 60.0), ("worst-shot", 60.0)])
def test_a_target_is_of_the_pooling_asked_for(long_clip, tmp_path, pool, target):
    settings = EncodeSettings(target=target, preset="fast", pool=pool)
    result = encode(long_clip, tmp_path / "out.mkv", settings)
    assert result.pooling == pool
    per_frame = score(long_clip, tmp_path / "out.mkv", model="vmaf_v0.6.1").per_frame
    reached = np.percentile(per_frame, 5) if pool == "p5" else result.finished.score
    assert result.finished.score == pytest.approx(reached)
    assert result.finished.score >= target
    assert result.finished.score < np.mean(per_frame)


def test_a_target_in_votes(encodes, tmp_path):
    settings = EncodeSettings(target=3.0, votes=True, model="opinions")
    result = encode(encodes / "ref.y4m", tmp_path / "out.mp4", settings)
    assert result.target == pytest.approx(50.0)
    assert score(encodes / "ref.y4m", tmp_path / "out.mp4", model="opinions").pooled >= 50.0
    for wrong, reason in (
        (dataclasses.replace(settings, model="vmaf_v0.6.1"), "is no model of votes"),
        (dataclasses.replace(settings, target=7.0), "viewers voted from 1 to 5"),
    ):
        with pytest.raises(InputError, match=reason):
            encode(encodes / "ref.y4m", tmp_path / "b.mp4", wrong)


def test_a_limit_that_another_setting_keeps_is_told_with_its_score(encodes, tmp_path):
    reached = encode(encodes / "ref.y4m", tmp_path / "a.mp4", EncodeSettings(target=90.0)).finished
    settings = EncodeSettings(target=90.0, max_kbps=0.7 * reached.kbps)
    miss = encode(encodes / "ref.y4m", tmp_path / "b.mp4", settings).miss
    can_be_had = float(re.search(r"within it about ([\d.]+) can be had", miss)[1])
    there = EncodeSettings(target=can_be_had, max_kbps=0.75 * reached.kbps)
    assert encode(encodes / "ref.y4m", tmp_path / "c.mp4", there).finished is not None


@pytest.mark.parametrize(
    ("limit", "told"),
    [({"max_kbps": 5.0}, "--max-kbps 5"), ({"min_saving": 99.99}, "--min-saving")],
)
def test_a_limit_that_the_target_does_not_fit_is_told_with_what_does(
    encodes, tmp_path, limit, told
):
    settings = EncodeSettings(target=90.0, **limit)
    result = encode(encodes / "ref.y4m", tmp_path / "out.mp4", settings)
    assert result.out is None
    assert result.miss is not None
    assert told in result.miss
    assert "no setting is expected within it" in result.miss
    with pytest.raises(GateError):
        result.check()
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "encoder",
    [
        *("libx265", "libsvtav1", "libvpx-vp9"),
        pytest.param("libaom-av1", marks=pytest.mark.slow),
    ],
)
def test_every_encoder_keeps_a_target(encodes, tmp_path, encoder):
    if encoder not in _list_encoders(find_ffmpeg().path):
        pytest.skip(f"this ffmpeg has no {encoder}")
    fast = {"libx265": "ultrafast", "libsvtav1": "12"}.get(encoder, "8")
    settings = EncodeSettings(target=85.0, encoder=encoder, preset=fast)
    result = encode(encodes / "ref.y4m", tmp_path / "out.mkv", settings)
    assert result.finished is not None
    assert score(encodes / "ref.y4m", tmp_path / "out.mkv", model="vmaf_v0.6.1").pooled >= 85


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_an_interrupt_leaves_nothing_that_is_not_removed(long_clip, tmp_path, number):
    """On SIGINT the one temporary folder is removed at once, after SIGKILL by the next run."""
    words = ["encode", long_clip, "--target", "85", "--out", tmp_path / "out.mkv"]
    line = [sys.executable, "-m", "vmaf_jax", *map(str, words)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob(".vmaf-jax-*/*.mkv")):
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait() in (130, -9)
    if number == signal.SIGKILL:
        assert files(tmp_path)
        assert run_command(*words).code == 0
    assert files(tmp_path) == ([] if number == signal.SIGINT else ["out.mkv"])
