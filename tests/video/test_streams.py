"""Film grain that an AV1 decoder adds: left out where the reference has none, and said."""

import json
import subprocess

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import score
from vmaf_jax.scoring.measured_pair import plan_again
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import carries_grain

WARNING = "its decoder synthesises film grain"


@pytest.fixture(scope="module")
def films(tmp_path_factory, ffmpeg):
    """A noisy source; AV1 encodes of it with grain and without, and what that decodes to."""
    folder = tmp_path_factory.mktemp("grain")

    def make(*words):
        subprocess.run([ffmpeg, "-v", "error", *words], check=True, cwd=folder, capture_output=True)

    source = "testsrc2=size=320x192:rate=24,noise=alls=25:allf=t"
    make("-f", "lavfi", "-i", source, "-frames:v", "8", "-pix_fmt", "yuv420p", "ref.y4m")
    svt = ("-c:v", "libsvtav1", "-preset", "10", "-crf", "40")
    make("-i", "ref.y4m", *svt, "-svtav1-params", "film-grain=30", "grain.mp4")
    make("-i", "ref.y4m", *svt, "plain.mp4")
    make("-export_side_data", "film_grain", "-i", "grain.mp4", "without.y4m")
    make("-i", "grain.mp4", "with.y4m")
    return folder


def test_grain_is_found_in_what_carries_it(films):
    found = {name: carries_grain(find_ffmpeg(), Video(films / name)) for name in (
        "grain.mp4", "plain.mp4", "ref.y4m")}  # fmt: skip
    assert found == {"grain.mp4": True, "plain.mp4": False, "ref.y4m": False}


@pytest.mark.parametrize(
    ("flags", "same_as"),
    [
        ({}, "without.y4m"),
        ({"start": "0f"}, "without.y4m"),
        ({"film_grain": "off"}, "without.y4m"),
        ({"film_grain": "on"}, "with.y4m"),
    ],
)
def test_what_is_measured(films, flags, same_as):
    found = score(films / "ref.y4m", films / "grain.mp4", **flags)
    truth = score(films / "ref.y4m", films / same_as)
    np.testing.assert_allclose(found.per_frame, truth.per_frame, atol=1e-6)
    comparison = found.to_dict()["comparison"]
    assert comparison["film_grain"] == ("on" if same_as == "with.y4m" else "off")
    is_auto = "film_grain" not in flags
    assert [WARNING in text for text in comparison["warnings"]] == [True] * is_auto
    assert plan_again(found)[0].distorted.film_grain == (same_as == "with.y4m")


def test_grain_on_both_sides_and_none_are_left_alone(films):
    assert score(films / "grain.mp4", films / "grain.mp4").to_dict()["comparison"][
        "film_grain"
    ] == "on"  # fmt: skip
    assert score(films / "ref.y4m", films / "plain.mp4").table.provenance["comparison"][
        "warnings"
    ] == []  # fmt: skip


def test_people_are_told(films):
    shown = run_command("score", films / "ref.y4m", films / "grain.mp4", "--json")
    assert WARNING in json.loads(shown.stdout)["comparison"]["warnings"][0]
    refused = run_command("score", films / "ref.y4m", films / "grain.mp4", "--film-grain", "auto")
    assert (refused.code, "expected off or on" in refused.stderr) == (2, True)
