"""The ffmpeg that is found, frames that a run tells of, and what a header says there will be."""

import importlib.util

import imageio_ffmpeg
import pytest

from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_each
from vmaf_jax.extraction.request import Request
from vmaf_jax.video import ffmpeg
from vmaf_jax.video.ffmpeg import ENVIRONMENT_VARIABLE, estimate_frames, find_ffmpeg, report_frames
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


def test_the_carried_program_is_asked_once_until_its_file_changes(monkeypatch, tmp_path):
    carried, asked = tmp_path / "imageio_ffmpeg", tmp_path / "asked"
    program = carried / "binaries" / "ffmpeg-linux"
    program.parent.mkdir(parents=True)
    (carried / "__init__.py").touch()
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: importlib.util.spec_from_file_location(name, carried / "__init__.py"),
    )
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path / "cache"))
    for version in ("6.0", "7.0"):
        program.write_text(
            f"#!/bin/sh\necho ffmpeg version {version} >&2\necho ' ... libvmaf VV->V '\n"
            f"echo {version} >> {asked}\n"
        )
        program.chmod(0o755)
        ffmpeg._inspect.cache_clear()
        found = [find_ffmpeg(), find_ffmpeg()]
        ffmpeg._inspect.cache_clear()
        assert [*found, find_ffmpeg()] == [ffmpeg.Ffmpeg(str(program), version)] * 3
    assert asked.read_text().split() == ["6.0", "7.0"]
    (kept,) = (tmp_path / "cache" / "programs").iterdir()
    kept.write_text("[]")
    assert find_ffmpeg().version == "7.0"


def test_without_libvmaf_both_candidates_are_named(monkeypatch, tmp_path):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'ffmpeg version 6.0'\n")
    fake.chmod(0o755)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(fake))
    assert find_ffmpeg().path != str(fake)  # it lacks the filter, so the carried one serves
    carried = tmp_path / "carried"
    carried.symlink_to(fake)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(carried))
    names = rf"no ffmpeg with the libvmaf filter \(tried: {fake}, {carried}\); point VMAF_JAX_FFM"
    with pytest.raises(InputError, match=names):
        find_ffmpeg()
