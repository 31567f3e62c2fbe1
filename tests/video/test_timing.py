"""Times of frames are read from packets, whatever rate a container claims."""

import dataclasses
import subprocess

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import probe
from vmaf_jax.video.timing import check_spacing, measure_rates, packet_times


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_frames_are_shown_at_their_rate(ffmpeg, encodes, tmp_path, suffix):
    path = tmp_path / f"copy.{suffix}"
    line = [ffmpeg, "-v", "error", "-i", encodes / "dis.mp4", "-c", "copy", path]
    subprocess.run(list(map(str, line)), check=True)
    times = packet_times(find_ffmpeg(), Video(path))
    assert len(times) == 12
    # Matroska rounds to milliseconds. The copy in AVI claims 600 frames a second.
    np.testing.assert_allclose(times - times[0], np.arange(12) / 24, atol=1e-3)


def test_a_claim_that_its_packets_do_not_keep_is_corrected(encodes):
    video = Video(encodes / "dis.mp4")
    _, stream = probe(find_ffmpeg(), video)
    doubled = dataclasses.replace(stream, rate=48.0, base_rate=48.0)
    measured = measure_rates(find_ffmpeg(), (video, video), (stream, doubled))
    assert measured == (stream, stream)


def test_frames_at_other_times_are_refused(ffmpeg, encodes, tmp_path):
    path = tmp_path / "late.mkv"
    late = "setts=ts=TS+DURATION*gt(N\\,6)"  # the last frames come a frame late
    line = [ffmpeg, "-v", "error", "-i", encodes / "dis.mp4", "-c", "copy", "-bsf:v", late, path]
    subprocess.run(list(map(str, line)), check=True)
    pair = Video(encodes / "dis.mp4"), Video(path)
    streams = tuple(probe(find_ffmpeg(), video)[1] for video in pair)
    check_spacing(find_ffmpeg(), (pair[0], pair[0]), (streams[0], streams[0]), (12, 12))
    with pytest.raises(InputError, match=r"late.mkv: .* spaced alike .* --fps match .*docs/traps"):
        check_spacing(find_ffmpeg(), pair, streams, (12, 12))


def test_a_still_beside_a_file_without_a_rate_is_not_unevenly_spaced(ffmpeg, encodes, tmp_path):
    for name in ("one.png", "one.gif"):  # which claims 25 and 100 frames a second
        line = [ffmpeg, "-v", "error", "-i", encodes / "ref.y4m", "-frames:v", "1", tmp_path / name]
        subprocess.run(list(map(str, line)), check=True)
    pair = Video(tmp_path / "one.png"), Video(tmp_path / "one.gif")
    streams = tuple(probe(find_ffmpeg(), video)[1] for video in pair)
    assert streams[1].irregular
    assert not any(stream.irregular for stream in measure_rates(find_ffmpeg(), pair, streams))
