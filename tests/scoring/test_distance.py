"""Scores for viewers at a distance: `score`, `rank`, `evaluate` and `export` move them alike."""

import dataclasses
import json

import numpy as np
import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.jobs.export import export
from vmaf_jax.models.viewing_distance import move_scores
from vmaf_jax.scoring.rank import rank
from vmaf_jax.scoring.score import ScoreSettings
from vmaf_jax.teacher import load_teacher

FAR = 3.2


def moved(scores, distance=FAR):
    return move_scores(scores, vmaf_jax.load_model("opinions").distance.strength(distance))


def test_a_score_from_afar_is_the_near_one_moved(encodes):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    near = vmaf_jax.score(*pair, "opinions")
    far = vmaf_jax.score(*pair, "opinions", distance=FAR, interval=0.9)
    np.testing.assert_allclose(far.per_frame, moved(near.per_frame), atol=1e-4)
    assert far.pooled > near.pooled + 0.1
    assert far.interval.low < far.pooled < far.interval.high
    assert far.choice == "opinions: seen from 3.2 picture heights"
    own = vmaf_jax.score(*pair, "opinions", distance=1.6)
    assert own.pooled == pytest.approx(near.pooled, abs=1e-4)
    ranking = rank(pair[0], [pair[1]], "opinions", ScoreSettings(distance=FAR))
    assert ranking.ranked[0].pooled == far.pooled


def test_beyond_the_votes_a_score_is_held_and_says_so(encodes):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    arguments = ("score", *pair, "--model", "opinions", "--json", "--distance")
    beyond, last = (json.loads(run_command(*arguments, d).stdout) for d in (9, 4.8))
    assert beyond["score"] == last["score"]
    said = run_command(*arguments[:-2], "--distance", 9).stderr
    assert "scored as from the nearest that people voted from (1.6 to 4.8)" in said


@pytest.mark.parametrize(
    ("model", "distance", "message"),
    [
        ("tiny", 3.2, "tiny knows no viewing distances; take opinions"),
        ("auto", 3.2, "auto stands for a model of VMAF's own"),
        ("opinions", 0, "expected picture heights, above 0"),
        ("opinions", -1, "expected picture heights, above 0"),
        ("opinions", 1000, "at most 100"),
    ],
)
def test_what_cannot_be_seen_is_refused_in_one_line(encodes, model, distance, message):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    result = run_command("score", *pair, "--model", model, f"--distance={distance}")
    assert result.code == 2
    (line,) = result.stderr.strip().splitlines()
    assert message in line


def test_a_table_s_distances_are_scored(support_vectors, tmp_path):
    n = len(support_vectors)
    table = dataclasses.replace(
        support_vectors,
        labels={"mos": np.linspace(0, 100, n)},
        distance=np.where(np.arange(n) % 2, 1.6, 4.8),
        provenance={**support_vectors.provenance, "label_scale": [1, 5]},
    )
    table.write(tmp_path / "t.parquet")
    arguments = ("evaluate", "--model", "opinions", "--features", tmp_path / "t.parquet")
    overall = json.loads(run_command(*arguments, "--label", "mos", "--json").stdout)["overall"]
    near = vmaf_jax.load_model("opinions")(support_vectors.features)
    expected = np.where(np.arange(n) % 2, near, moved(near, 4.8))
    assert overall["rmse"] == pytest.approx(
        np.sqrt(np.mean((expected - table.label("mos")) ** 2)), abs=1e-3
    )


def test_files_for_one_distance(support_vectors, tmp_path):
    x = support_vectors.features
    expected = moved(vmaf_jax.load_model("opinions")(x).astype(np.float64))
    export("opinions", tmp_path / "far.onnx", distance=FAR)
    np.testing.assert_allclose(OnnxModel(tmp_path / "far.onnx")(x), expected, atol=1e-3)
    far = vmaf_jax.load_model(tmp_path / "far.onnx")
    assert (far.distance.nearest, far.distance.farthest) == (FAR, FAR)
    exported = export("opinions", tmp_path / "in_ffmpeg.json", "libvmaf", distance=FAR)
    assert "by the percentile 80 of the frames in its log" in exported.lines(tmp_path)[-1]
    in_ffmpeg = load_teacher(tmp_path / "in_ffmpeg.json")
    np.testing.assert_allclose(in_ffmpeg(x), expected, atol=1e-3)
    for model, distance in (("opinions", 9.0), ("tiny", FAR), ("vmaf_v0.6.1", FAR)):
        with pytest.raises(InputError, match="--distance"):
            export(model, tmp_path / "no.onnx", distance=distance)
