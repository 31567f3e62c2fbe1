"""The worst region of a clip, by its place, time and score."""

import json
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import score
from vmaf_jax.corpora.logs import read_log
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.scoring.rank import rank
from vmaf_jax.scoring.score import ScoreSettings


@pytest.fixture(scope="module")
def broken(encodes, tmp_path_factory, ffmpeg):
    """A good encode of 352x288 whose frame 7 has a tile of noise at 200, 104."""
    path = tmp_path_factory.mktemp("broken") / "broken.mkv"
    noise = (
        "[0:v]split[a][b];[b]crop=48:48:200:104,noise=alls=100:all_seed=3[t];"
        "[a][t]overlay=200:104:enable='eq(n,7)'"
    )
    line = [ffmpeg, "-v", "error", "-i", str(encodes / "ref.y4m"), "-lavfi", noise]
    subprocess.run([*line, "-c:v", "ffv1", str(path)], check=True)
    return path


def test_a_broken_tile_is_named_with_its_time_and_its_score(encodes, broken):
    scores = score(encodes / "ref.y4m", broken, worst_region=True)
    region = scores.worst_region
    assert region.stands_out
    assert region.frame == 7
    assert region.time == pytest.approx(7 / 24)
    x, y, width, height = region.box
    assert 200 <= x + width / 2 <= 248
    assert 104 <= y + height / 2 <= 152
    part = score(encodes / "ref.y4m", broken, region=region.box)
    assert region.score == pytest.approx(part.per_frame[7], abs=1e-6)
    assert region.frame_score == scores.per_frame[7] > region.score + 20
    document = scores.to_dict()["worst_region"]
    assert (document["frame"], document["box"]) == (7, region.box)
    assert "frame 7 at 0.29 s" in scores.summary_lines()[-1]


def test_a_part_is_looked_at_in_its_own_place(encodes, broken):
    part = {"start": "4f", "frames": 6, "region": "150,50,160,200"}
    region = score(encodes / "ref.y4m", broken, worst_region=True, **part).worst_region
    x, y, width, height = region.box
    assert region.stands_out
    assert region.frame == 3
    assert region.time == pytest.approx(7 / 24)
    assert 200 <= x + width / 2 <= 248
    assert 104 <= y + height / 2 <= 152


def test_a_sound_encode_is_not_accused(encodes):
    region = score(encodes / "ref.y4m", encodes / "ref2.y4m", worst_region=True).worst_region
    assert not region.stands_out
    assert region.sentence().startswith("no region stands out")


def test_a_ranking_and_logs_name_the_region_of_each_video(encodes, broken, tmp_path):
    pair, settings = (encodes / "ref.y4m", broken), ScoreSettings(worst_region=True)
    alone = score(*pair, worst_region=True)
    ranking = rank(encodes / "ref.y4m", [encodes / "ref2.y4m", broken], settings=settings)
    found = {
        names[1]: s.worst_region for names, s in zip(ranking.names(), ranking.ranked, strict=True)
    }
    assert found["broken.mkv"] == alone.worst_region
    assert not found["ref2.y4m"].stands_out
    rows = {row["distorted"]: row["worst_region"] for row in ranking.to_arrow().to_pylist()}
    assert rows["broken.mkv"]["box"] == list(alone.worst_region.box)
    shown = run_command("score", *pair, encodes / "ref2.y4m", "--worst-region").stdout
    assert f"{alone.worst_region.score:.3f} at {alone.worst_region.region}, 0.29 s" in shown
    assert "none stands out" in shown

    alone.write_log(tmp_path / "log.json")
    logged = json.loads((tmp_path / "log.json").read_text())["worst_region"]
    assert logged == json.loads(json.dumps(alone.to_dict()["worst_region"]))
    alone.write_log(tmp_path / "log.xml")
    (element,) = ElementTree.parse(tmp_path / "log.xml").iter("worst_region")  # noqa: S314 (ours)
    assert element.get("box") == alone.worst_region.region
    assert (element.get("frame"), element.get("stands_out")) == ("7", "true")
    assert len(read_log(tmp_path / "log.xml", FEATURES).features) == 12


def test_vmaf_v1_names_a_region_without_a_score(encodes, broken):
    pair = encodes / "ref.y4m", broken
    region = score(*pair, "v1", worst_region=True).worst_region
    assert region.stands_out
    assert region.score is None
    shown = run_command("score", *pair, "--model", "v1", "--worst-region")
    assert shown.code == 0
    where = f"{region.region} of frame 7 at 0.29 s is in a frame of {region.frame_score:.2f}"
    assert f"worst region: {where}; it stands out, look at it\n" in shown.stdout + shown.stderr
    assert f"{region.region}, 0.29 s" in region.cell()


@pytest.mark.parametrize("other", [{"within": 1.0}, {"backend": "onnx"}])
def test_frames_that_are_not_measured_are_not_looked_at(other):
    with pytest.raises(InputError, match="--worst-region: libvmaf or jax measure every frame"):
        ScoreSettings(worst_region=True, **other)


def test_arrays_are_looked_at_too():
    luma = np.random.default_rng(0).integers(60, 200, (3, 240, 320), dtype=np.uint8)
    worse = luma.copy()
    worse[1, 64:96, 96:128] = 0
    region = score(luma, worse, "vmaf_v0.6.1", worst_region=True).worst_region
    assert (region.frame, region.stands_out, region.time is None) == (1, True, True)
