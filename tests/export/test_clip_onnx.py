"""A network over the frames of clips as ONNX: symbolic clips and frames, and the mask obeyed."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from vmaf_jax.export.contract import ADMITTED_OPERATORS, load_onnx
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.sidecar import Identity, TrainingRecord, check_sidecar, write_sidecar
from vmaf_jax.features import FEATURES
from vmaf_jax.models import Student, deploy


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    student = Student("attention", teacher="vmaf_4k_v0.6.1")
    fresh = student.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.1, fresh["params"])
    scaler = {"mean": np.array([60.0, 0.2], "f"), "inv_std": np.array([0.04, 5.0], "f")}
    variables = {"params": params, "scaler": scaler}
    training = TrainingRecord(config_sha256="0" * 64, corpora={})
    identity = Identity("clips", student, FEATURES, "mos", training, (1.0, 5.0))
    path = tmp_path_factory.mktemp("clips") / "clips.onnx"
    export_onnx(deploy(student, variables), path, identity)
    return student, variables, identity, path


@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 7), (2, 40)])
def test_it_computes_what_jax_does_for_any_number_of_clips_and_frames(exported, n, t):
    student, variables, _, path = exported
    rng = np.random.default_rng(n)
    features = np.sort(rng.uniform(0.3, 1, (n, t, 6)), axis=-1).astype(np.float32)
    frames = (np.arange(t) < rng.integers(1, t + 1, n)[:, None]).astype(np.float32)
    ours = student.predict(variables, jnp.asarray(features), jnp.asarray(frames))
    theirs = OnnxModel(path)(features, frames)
    # The teacher inside sums large terms of opposite signs in float32.
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-2)
    assert ((theirs > 0) & (theirs < 100)).all()
    beyond = np.where(frames[..., None] > 0, features, 0.99).astype(np.float32)
    np.testing.assert_allclose(OnnxModel(path)(beyond, frames), theirs, rtol=0, atol=1e-2)


def test_an_export_logs_nothing(exported, tmp_path, caplog):
    student, variables, identity, _ = exported
    export_onnx(deploy(student, variables), tmp_path / "again.onnx", identity)
    assert [record.getMessage() for record in caplog.records] == []


def test_the_file_keeps_the_contract_and_its_sidecar_says_so(exported):
    _, _, identity, path = exported
    file = load_onnx(path)
    assert file.over_frames
    graph = onnx.load(path).graph
    assert {node.op_type for node in graph.node} <= ADMITTED_OPERATORS
    assert [tensor.name for tensor in graph.input] == ["features", "mask"]
    write_sidecar(path, identity.origin)
    sidecar = check_sidecar(path, complete=True)
    assert sidecar.input_names == ("features", "mask")
    assert sidecar.pooling == "attention"
    assert (sidecar.label_name, sidecar.label_scale) == ("mos", (1.0, 5.0))
