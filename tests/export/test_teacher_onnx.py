"""VMAF's own models as ONNX over their features, against their float64 scores."""

import json

import numpy as np
import onnx
import pytest

from tests.support import run_command
from vmaf_jax.errors import GateError
from vmaf_jax.evaluation.title_process import VoteCurve
from vmaf_jax.export import teacher_onnx as module
from vmaf_jax.export.contract import load_onnx
from vmaf_jax.export.libvmaf_json import write_verified
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.teacher_onnx import write_curve_libvmaf, write_curve_onnx
from vmaf_jax.features import V1_SETS
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import load_model
from vmaf_jax.teacher import load_teacher

# One with a score transform, one that reaches 110, and the plain one; the rest under --slow.
QUICK = ("vmaf_v0.6.1", "vmaf_v1.0.16_hfr_5d0h", "vmaf_v1.0.16_3d0h_2160")
SLOW = ("vmaf_v0.6.1neg", *(s.teacher for s in V1_SETS if s.teacher not in QUICK))


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_every_model_becomes_a_file_of_the_contract(tmp_path, name):
    teacher, path = load_teacher(name), tmp_path / "model.onnx"
    module.teacher_onnx(teacher, path)
    assert module.teacher_parity(teacher, path).n >= 100_000
    assert load_onnx(path).feature_set is teacher.feature_set
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert properties["feature_set"] == teacher.feature_set.name


def test_the_command_writes_a_model_that_score_takes(tmp_path):
    out = tmp_path / "v1.onnx"
    line = ("export", "--model", "vmaf_v1.0.16_3d0h", "--out", out, "--json")
    finished = run_command(*line)
    assert finished.code == 0, finished.stderr
    assert json.loads(finished.stdout)["teacher"]["max_abs"] <= 2e-3
    sidecar = json.loads(out.with_suffix(".json").read_text())
    assert (sidecar["feature_set"], sidecar["features"][1]) == ("vmaf_v1", "speed_chroma_uv")
    model, teacher = load_model(out), load_teacher("vmaf_v1.0.16_3d0h")
    rows = np.array([[1.0, 0.0, 0.9, 5], [0.2, 3.0, 0.95, 1]])  # without chroma, and with
    np.testing.assert_allclose(model(rows), teacher(rows), atol=2e-3)
    refused = run_command(*line, "--quantize", "static")
    assert (refused.code, refused.stderr.count("\n")) == (2, 1)
    assert "no 8-bit form" in refused.stderr


def test_parity_sees_chroma_that_is_not_replaced(tmp_path, monkeypatch):
    from vmaf_jax.export.pixels import graph

    teacher, path = load_teacher("vmaf_v1.0.16_3d0h"), tmp_path / "model.onnx"
    monkeypatch.setattr(graph, "_correct", lambda correction, features: features)
    module.teacher_onnx(teacher, path)
    with pytest.raises(GateError, match="from its float64 score, limit"):
        module.teacher_parity(teacher, path)


CURVE = VoteCurve(np.array([3.0, 3.0, 20.0, 41.0, 60.0, 75.0, 85.0, 92.0]))


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(0)
    rows = random.uniform([0.4, 0, 0.1, 0.1, 0.1, 0], [1, 1, 1, 1, 1, 20], (500, 6))
    return np.vstack([rows, [1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]])


def test_ffmpeg_maps_scores_by_the_curve(tmp_path, features):
    base = load_teacher("vmaf_v0.6.1")
    write_curve_libvmaf(base, CURVE, tmp_path / "curve.json")
    mapped = load_teacher(tmp_path / "curve.json")
    np.testing.assert_allclose(mapped(features), CURVE(base(features)), atol=1e-9)
    document = json.loads((tmp_path / "curve.json").read_text())
    proof = write_verified(document, tmp_path / "verified.json")  # in this machine's ffmpeg
    assert proof.n == 24
    assert proof.max_abs <= 2e-4


@pytest.mark.parametrize("base", ["vmaf_v0.6.1", "tiny"])
def test_onnx_maps_scores_by_the_curve(tmp_path, features, base):
    file = checkpoints() / base / "model.onnx"
    source, model = (file, OnnxModel(file)) if file.is_file() else [load_teacher(base)] * 2
    write_curve_onnx(source, CURVE, "title", tmp_path / "title.onnx")
    votes = OnnxModel(tmp_path / "title.onnx")(features)
    # 2e-3 points of an SVR in float32, times the steepest piece of the curve.
    np.testing.assert_allclose(votes, CURVE(np.asarray(model(features), np.float64)), atol=5e-3)
