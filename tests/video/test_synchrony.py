"""A pair that is a frame out of step is told from one in step, by pictures of some frames."""

import subprocess

import numpy as np
import pytest

from tests.support import run_command
from tests.video.test_alignment import H, N, W, add_noise, moving_pictures, write
from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.synchrony import (
    HEIGHT,
    WIDTH,
    best_offset,
    is_looked_at,
    judge_steps,
    read_small_pictures,
    shrink,
)


def some(pictures):
    return pictures[[k for k in range(len(pictures)) if is_looked_at(k)]]


@pytest.mark.parametrize("late", [-2, -1, 1, 2])
def test_a_pair_out_of_step_is_found_with_its_place(late):
    whole = moving_pictures(90)
    reference, distorted = whole[max(late, 0) :], whole[max(-late, 0) :]
    assert judge_steps(some(reference), some(add_noise(distorted))) == (0, late)


def test_frames_dropped_on_the_way_are_found_where_that_shows():
    whole = moving_pictures(300)
    distorted = np.delete(whole, 100, axis=0)
    assert judge_steps(some(whole), some(add_noise(distorted))) == (96, -1)


@pytest.mark.parametrize(
    "name", ["noise", "another exposure", "held", "still", "other", "short", "dark"]
)
def test_pairs_in_step_and_pairs_that_cannot_tell_are_not_accused(name):
    whole = moving_pictures(90)
    reference, distorted = whole, add_noise(whole)
    if name == "another exposure":  # of a fade, too
        reference = (whole * np.linspace(1, 0.2, 90)[:, None]).astype(np.uint8)
        distorted = np.clip(reference * 0.8 + 25, 0, 255).astype(np.uint8)
    elif name == "held":  # as an encoder with few bits does
        distorted = (0.6 * whole + 0.4 * np.roll(whole, 1, axis=0)).astype(np.uint8)
    elif name == "still":
        reference = np.repeat(whole[:1], 90, axis=0)
        distorted = add_noise(reference)
    elif name == "other":
        distorted = moving_pictures(90, seed=9)
    elif name == "short":
        reference, distorted = whole[:7], whole[1:8]
    elif name == "dark":  # the start of a fade, which encoders hold back
        reference = (16 + whole * (5 / whole.std(axis=1).max())).astype(np.uint8)
        distorted = np.roll(reference, 1, axis=0)
    assert judge_steps(some(reference), some(distorted)) is None


def test_small_pictures_are_area_means():
    luma = np.random.default_rng(0).integers(0, 1024, (2, 2 * HEIGHT, 3 * WIDTH), np.uint16)
    means = luma.reshape(2, HEIGHT, 2, WIDTH, 3).mean(axis=(2, 4)) / 4
    assert np.array_equal(shrink(luma, 10), means.round().astype(np.uint8).reshape(2, -1))
    assert shrink(luma[:, :20, :20], 10).shape == (2, HEIGHT * WIDTH)
    assert shrink(luma[:0], 10).shape == (0, HEIGHT * WIDTH)


@pytest.fixture(scope="module")
def pair(tmp_path_factory, ffmpeg):
    """A reference and a distorted video that is a frame early."""
    out = tmp_path_factory.mktemp("out_of_step")
    whole = moving_pictures(N + 1).reshape(-1, HEIGHT, WIDTH)
    large = np.kron(whole, np.ones((1, 3, 3), np.uint8))[:, :H, :W]
    write(ffmpeg, out / "ref.mkv", large[:N])
    write(ffmpeg, out / "dis.mkv", large[1:])
    return out / "ref.mkv", out / "dis.mkv"


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_a_pair_out_of_step_is_refused_and_its_mend_named(pair, backend):
    with pytest.raises(InputError, match=r"dis\.mkv: is out of step: about frame 0 .*--align"):
        extract_pair(*pair, teachers=(), backend=backend)
    measured = extract_pair(*pair, teachers=(), backend=backend, force=True)
    assert "out of step" in measured.provenance["comparison"]["warnings"][-1]


def test_score_refuses_a_pair_out_of_step_and_measures_it_aligned(pair):
    refused = run_command("score", *pair)
    assert (refused.code, refused.stdout) == (2, "")
    assert "1 frame early; pass --align" in refused.stderr.replace("\n", " ")
    assert run_command("score", *pair, "--align", "--quiet").code == 0


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p10le"])
def test_small_pictures_are_of_the_luma_plane(ffmpeg, tmp_path, pixel_format, matrix):
    path = tmp_path / "green.mkv"
    green = f"color=s=160x90:d=0.12,format={pixel_format.replace('420', '444')},"
    green += f"geq=lum={144 * (4 if '10' in pixel_format else 1)}:cb=90:cr=60,"
    green += f"format={pixel_format},setparams=colorspace={matrix}:range=tv"
    encode = ["-c:v", "ffv1", str(path)]
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", green, *encode], check=True)
    small = read_small_pictures(find_ffmpeg(), Video(path), "", 9)
    assert small.shape == (3, WIDTH * HEIGHT)
    assert np.abs(small.astype(int) - 144).max() <= 1


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (n, 60)).astype(np.float32)


@pytest.mark.parametrize("offset", [-5, -1, 0, 3, 8])
def test_the_offset_is_that_of_the_same_pictures(offset):
    whole = pictures(40)
    reference, distorted = whole[max(0, offset) :], whole[max(0, -offset) :]
    assert best_offset(reference, distorted[:30]) == offset


def test_an_offset_may_leave_only_the_shorter_clip():
    whole = pictures(12)
    assert best_offset(whole, whole[5:]) == -5
    assert best_offset(whole[5:], whole) == 5


@pytest.mark.parametrize("offset", [61, 70, 100])
def test_an_offset_beyond_reach_is_no_offset(offset):
    """Neither where pictures differ at random nor where they drift."""
    for whole in (pictures(200), np.linspace(0, 200, 200 * 60, dtype=np.float32).reshape(200, 60)):
        assert best_offset(whole, whole[offset:]) is None
        assert best_offset(whole[offset:], whole) is None


def test_pictures_that_repeat_fit_at_several_offsets_and_give_none():
    """A loop of four pictures fits at 0, 4 and -4 alike."""
    loop = np.tile(pictures(4), (8, 1))
    assert best_offset(loop, loop) is None
    assert (
        best_offset(np.full((20, 60), 7.0, np.float32), np.full((20, 60), 7.0, np.float32)) is None
    )


def test_a_still_clip_is_not_aligned_by_chance(ffmpeg, tmp_path):
    line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "color=gray:size=176x144:rate=25"]
    subprocess.run([*line, "-frames:v", "16", tmp_path / "still.y4m"], check=True)
    pair = tmp_path / "still.y4m", tmp_path / "still.y4m"
    with pytest.raises(InputError, match=r"still\.y4m: no offset of up to .* fits clearly"):
        extract_pair(*pair, teachers=(), sync="auto")
