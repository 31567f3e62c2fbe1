"""The ffmpeg that is found, frames that a run tells of, and what a header says there will be."""

import imageio_ffmpeg
import pytest

from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_each
from vmaf_jax.extraction.request import Request
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
