"""Samples of frames: which models and comparisons they can serve, and their values."""

import dataclasses
import json
import subprocess

import numpy as np
import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.scoring.frame_budget import check_within, measure_some
from vmaf_jax.scoring.model import load_scorer
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.inputs import Video


@pytest.fixture(scope="module")
def model():
    return load_scorer("tiny")


def test_a_mean_within_some_points_is_allowed(model):
    check_within(0.5, model, Comparison())


@pytest.mark.parametrize("within", [0.0, -1.0, 100.0, float("nan")])
def test_points_outside_the_scale_are_refused(model, within):
    with pytest.raises(InputError, match="expected points above 0 and below 100"):
        check_within(within, model, Comparison())


def test_other_poolings_are_refused(model):
    low = dataclasses.replace(model, pooling="percentile 5")
    with pytest.raises(InputError, match="tiny pools them by percentile 5"):
        check_within(0.5, low, Comparison())


def test_damage_is_not_looked_for_in_a_sample(model):
    with pytest.raises(InputError, match="cannot look for damage in frames left out"):
        check_within(0.5, model, Comparison(allow_damaged=True))


def test_some_frames_are_measured_as_among_all(encodes):
    pair = (Video(encodes / "ref.y4m"), Video(encodes / "dis.mp4"))
    some = measure_some(pair, 3, FEATURES, DEFAULT_COMPARISON)
    every = extract_pair(*pair)
    assert 3 <= len(some) <= 5
    assert 0 not in some.index
    np.testing.assert_allclose(some.features, every.features[some.index], atol=1e-9)


def test_pictures_too_small_for_the_model_are_told_as_without_a_sample(ffmpeg, tmp_path):
    video = tmp_path / "small.y4m"
    source = "testsrc2=size=192x108:rate=24:duration=3"
    command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", video]
    subprocess.run(command, check=True)
    said = []
    for within in (None, 3.0):
        with pytest.raises(InputError) as refusal:
            vmaf_jax.score(video, video, model="vmaf_v1.0.16_3d0h", within=within)
        said.append(str(refusal.value))
    assert said[0] == said[1]
    assert "192x108 are too small" in said[0]


@pytest.mark.parametrize("frames", [1, 2, 11])
def test_a_clip_too_short_for_a_sample_is_told(encodes, frames):
    files = Video(encodes / "ref.y4m"), Video(encodes / "dis.mp4")
    said = f"dis.mp4: {frames} frames?, --within takes 13 or more; drop it"
    with pytest.raises(InputError, match=said):
        measure_some(files, 6, FEATURES, Comparison(frames=frames))


def test_scores_above_100_are_estimated_limited_and_shown(ffmpeg, tmp_path):
    """VMAF v1 reaches 110 for a 4K screen from three heights."""
    source = [
        ffmpeg,
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=480x352:rate=24:duration=2",
    ]
    reference, distorted = tmp_path / "ref.mkv", tmp_path / "dis.mkv"
    subprocess.run([*source, "-c:v", "ffv1", "-pix_fmt", "yuv420p", reference], check=True)
    line = [ffmpeg, "-v", "error", "-i", reference, "-c:v", "libx264", "-crf", "20", distorted]
    subprocess.run(line, check=True)
    words = ("score", reference, distorted, "--model", "v1", "--display", "2160p@3H")
    whole = json.loads(run_command(*words, "--json").stdout)["score"]
    assert whole > 101
    some = json.loads(run_command(*words, "--within", 0.5, "--json").stdout)
    assert some["frames_measured"] < some["frames"]
    assert some["interval"]["low"] < some["score"] < some["interval"]["high"]
    assert some["score"] == pytest.approx(whole, abs=0.5)
    page = tmp_path / "page.html"
    ended = run_command(*words, "--pool", "p5", "--fail-below", 100.5, "--html", page)
    assert ended.code == 0
    assert " of 110, pooled by p5" in ended.stdout + ended.stderr
    assert "points of 110, " in page.read_text()
