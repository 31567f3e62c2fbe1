"""Curves in files, held against ffmpeg's libvmaf and NumPy's interpolation."""

import json

import numpy as np
import pytest

from vmaf_jax.evaluation.vote_curve import VoteCurve
from vmaf_jax.export.libvmaf_json import write_verified
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.vote_curve_files import write_curve_libvmaf, write_curve_onnx
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.teacher import load_teacher

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
