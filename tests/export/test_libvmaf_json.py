import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.export import libvmaf_json as libvmaf_proof
from vmaf_jax.export.libvmaf_json import rbf_document, write_verified
from vmaf_jax.features import FEATURE_SETS, FEATURES
from vmaf_jax.jobs.export import export
from vmaf_jax.models import Student
from vmaf_jax.teacher import load_teacher
from vmaf_jax.teacher.model_file import find_model_file


def student_like_the_teacher():
    """An rbf student whose scores lie on the scale for real features."""
    student = Student("rbf")
    variables = jax.tree.map(np.asarray, student.init(jax.random.key(0)))
    scaler = {"mean": np.array([0.9, 0.5, 0.8, 0.9, 0.9, 5], "f"), "inv_std": np.full(6, 3, "f")}
    scaler["inv_std"][5] = 0.2
    return student, {**variables, "scaler": scaler}


def test_ffmpeg_scores_as_jax_does(tmp_path):
    student, variables = student_like_the_teacher()
    path = tmp_path / "mine.json"
    report = write_verified(rbf_document(student, variables, FEATURES), path)
    assert report.n == 24
    assert report.max_abs <= 2e-4
    x = np.random.default_rng(0).uniform([0.4] * 5 + [0], [1] * 5 + [20], (500, 6))
    ours = student.predict(variables, jnp.asarray(x, jnp.float32))
    assert np.ptp(np.asarray(ours)) > 5
    np.testing.assert_allclose(load_teacher(path)(x), ours, atol=1e-3)


@pytest.mark.parametrize("name", ["vmaf_v1_hfr_5d0h", "vmaf_neg", "vmaf_float"])
def test_other_feature_sets_ask_libvmaf_for_their_own(tmp_path, name):
    feature_set = FEATURE_SETS[name]
    student = Student("rbf", n_features=len(feature_set))
    variables = dict(jax.tree.map(np.asarray, student.init(jax.random.key(0))))
    low, high = np.array(feature_set.lower, "f"), np.array(feature_set.upper, "f")
    variables["scaler"] = {"mean": (low + high) / 2, "inv_std": 4 / (high - low)}
    path = tmp_path / "mine.json"
    report = write_verified(rbf_document(student, variables, feature_set), path)
    assert report.max_abs <= 2e-4
    assert load_teacher(path).feature_set is feature_set


def test_a_teacher_is_written_back_unchanged_in_effect(tmp_path):
    for name in ("vmaf_v0.6.1neg", "vmaf_v1.0.16_3d0h"):
        out = tmp_path / f"{name}.json"
        exported = export(name, out, "libvmaf")
        assert exported.files(out) == [out]
        assert exported.libvmaf.max_abs <= 2e-4
        if "v1" in name:
            feature_set = load_teacher(name).feature_set
            low, high = feature_set.lower, feature_set.upper
            x = np.random.default_rng(1).uniform(low, high, (50, 4))
            np.testing.assert_array_equal(load_teacher(out)(x), load_teacher(name)(x))
            continue
        x = np.random.default_rng(1).uniform([0.4] * 5 + [0], [1] * 5 + [20], (50, 6))
        np.testing.assert_array_equal(load_teacher(out)(x), load_teacher(name)(x))


def test_what_libvmaf_cannot_express_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a tiny network .* train configs/rbf.yaml, or export"):
        export("tiny", tmp_path / "x.json", "libvmaf")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_is_a_missed_gate(tmp_path, monkeypatch):
    monkeypatch.setattr(libvmaf_proof, "LIMIT", 1e-12)
    document = json.loads(find_model_file("vmaf_v0.6.1").read_text())
    with pytest.raises(GateError, match=r"differ by .* limit 1e-12"):
        write_verified(document, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_neither_a_sidecar_nor_a_libvmaf_model_replaces_the_other(tmp_path):
    teacher = str(find_model_file("vmaf_v0.6.1"))
    (tmp_path / "a.onnx").touch()
    with pytest.raises(InputError, match=r"a.json: hosts would take it for the sidecar of a.onnx"):
        export(teacher, tmp_path / "a.json", "libvmaf")
    (tmp_path / "b.json").write_text(find_model_file("vmaf_v0.6.1").read_text())
    with pytest.raises(InputError, match=r"b.json: is no sidecar, and that of b.onnx would"):
        export("nano", tmp_path / "b.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx", "b.json"}
