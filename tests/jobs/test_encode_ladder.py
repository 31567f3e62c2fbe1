"""The job `encode --ladder`, with a real encoder on twelve frames."""

import json

import pytest

from tests.support import run_command
from vmaf_jax.jobs.encode import EncodeSettings, encode


def test_rungs_keep_their_targets_at_the_lowest_rate(encodes, tmp_path):
    words = ["encode", encodes / "ref.y4m", "--preset", "ultrafast", "--json"]
    words += ["--ladder", "288,144", "--targets", "60,90", "--hls", tmp_path / "l.m3u8"]
    result = run_command(*words)
    assert result.code == 0, result.stderr
    told = json.loads(result.stdout)
    assert [rung["target"] for rung in told["rungs"]] == [90, 60]
    best, low = told["rungs"]
    assert best["kbps"] > low["kbps"]
    # A file of the rung's height and target takes about the setting and rate that the ladder says.
    settings = EncodeSettings(target=60.0, preset="ultrafast", height=low["height"], tolerance=0.25)
    made = encode(encodes / "ref.y4m", tmp_path / "out.mp4", settings).finished
    assert made is not None
    assert made.setting == pytest.approx(low["setting"], abs=1.0)
    assert made.kbps == pytest.approx(low["kbps"], rel=0.2)
    # What the rungs cost is no more than any probe that is as good.
    for rung in told["rungs"]:
        good = [p["kbps"] for p in told["probes"] if p["score"] >= rung["target"] + 0.5]
        assert rung["kbps"] <= min(good) * 1.02
    assert any(probe["on_hull"] for probe in told["probes"])
    playlist = (tmp_path / "l.m3u8").read_text().splitlines()
    assert playlist[0] == "#EXTM3U"
    assert f"RESOLUTION={best['width']}x{best['height']}" in playlist[2]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--ladder", "288"], "go together"),
        (["--ladder", "576", "--targets", "90"], "to the source's 288 lines"),
        (["--ladder", "144,144", "--targets", "90"], "heights that differ"),
        (["--ladder", "a", "--targets", "90"], "expected numbers"),
        (["--ladder", "144", "--targets", "190"], "--target 190"),
        (["--ladder", "144", "--targets", "90", "--target", "90"], "writes no video"),
        (["--target", "90"], "are needed"),
    ],
)
def test_bad_input_is_one_line(encodes, words, reason):
    result = run_command("encode", encodes / "ref.y4m", *words)
    assert (result.code, result.stdout) == (2, "")
    assert reason in result.stderr
