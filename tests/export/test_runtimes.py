"""Every kind of exported file runs outside ONNX Runtime's fused kernels, and in older runtimes."""

from pathlib import Path

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from vmaf_jax.errors import GateError
from vmaf_jax.export import onnx_file as fusion
from vmaf_jax.export.contract import IR_VERSION
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import LEVELS, check_levels, example_feed
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.pixels.model_file import Frame
from vmaf_jax.export.pixels.runtime import example_feed as example_pictures
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import Identity, TrainingRecord
from vmaf_jax.export.teacher_onnx import teacher_onnx
from vmaf_jax.features import FEATURES
from vmaf_jax.jobs.export import export_ensemble
from vmaf_jax.models import ROW_NETWORKS, Student, deploy
from vmaf_jax.runs.locate import find_run
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.scoring.pixels import find_source, make_pixels
from vmaf_jax.teacher import load_teacher

SHIPPED = sorted(Path("checkpoints").glob("*/*.onnx"))
ROWS = parity_rows(FEATURES, [])[-200:]


def identity(student):
    training = TrainingRecord(config_sha256="0" * 64, corpora={})
    return Identity("test", student, FEATURES, "vmaf_v0.6.1", training)


def student_file(folder, network):
    teacher = "vmaf_4k_v0.6.1" if network == "attention" else ""  # it goes on from one
    student = Student(network, teacher=teacher)
    variables = jax.tree.map(np.asarray, student.init(jax.random.key(0)))
    if student.spec.over_frames:
        scaler = {"mean": np.array([60.0, 0.2], "f"), "inv_std": np.array([0.04, 5.0], "f")}
    else:
        scaler = {"mean": np.full(6, 0.6, "f"), "inv_std": np.array([5, 5, 5, 5, 5, 0.2], "f")}
    path = folder / f"{network}.onnx"
    deployed = deploy(student, {**variables, "scaler": scaler})
    return export_onnx(deployed, path, identity(student))


def int8_file(folder, name, mode):
    run = open_run(find_run(name))
    fp32 = export_onnx(deploy(run.student, run.variables), folder / "fp32.onnx", run.identity)
    calibration = parity_rows(FEATURES, [])[:2000]
    return quantize(fp32, folder / f"{mode}.onnx", mode=mode, calibration=calibration)


def pixels_file(folder, name, frame):
    path = folder / "px.onnx"
    path.write_bytes(make_pixels(find_source(name), frame).model.SerializeToString())
    return path


def ensemble_file(folder):
    export_ensemble(["nano", "rbf"], folder / "two.onnx")
    return folder / "two.onnx"


SMALL = Frame(40, 34, "uint8")
KINDS = {
    **{network: lambda folder, n=network: student_file(folder, n) for network in ROW_NETWORKS},
    "over frames": lambda folder: student_file(folder, "attention"),
    "ensemble": ensemble_file,
    **{
        f"{name} {mode}": lambda folder, n=name, m=mode: int8_file(folder, n, m)
        for name in ("nano", "tiny")
        for mode in ("static", "dynamic", "qat")
    },
    **{
        name: lambda folder, n=name: teacher_onnx(load_teacher(n), folder / "svr.onnx")
        for name in ("vmaf_v0.6.1", "vmaf_v1.0.16_3d0h")
    },
    "pixels of nano": lambda folder: pixels_file(folder, "nano", SMALL),
    "pixels of NEG": lambda folder: pixels_file(folder, "vmaf_v0.6.1neg", SMALL),
    **{f"shipped {path.parent.name}/{path.name}": lambda _, p=path: p for path in SHIPPED},
}


@pytest.fixture(scope="module", params=KINDS)
def file(request, tmp_path_factory):
    """A model file, and inputs for it."""
    path = KINDS[request.param](tmp_path_factory.mktemp("kind"))
    inputs = [tensor.name for tensor in onnx.load(path).graph.input]
    if inputs[0] == "reference":
        return path, example_pictures(SMALL)
    if "mask" in inputs:
        return path, example_feed(FEATURES, over_frames=True)
    width = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return path, {"features": ROWS[:, :width]}


def run_at(path, level, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return onnxruntime.InferenceSession(path.read_bytes(), options).run(None, feed)


def run_in_reference(path, feed):
    """The file in `onnx.reference`, plain NumPy operator by operator."""
    model = onnx.load(path)
    if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        # It has this operator from opset 19 on, where it is the same for these inputs.
        model.opset_import[0].version = 19
    return ReferenceEvaluator(model).run(None, feed)


def test_it_gives_the_same_at_every_level_and_in_another_runtime(file):
    path, feed = file
    fused = run_at(path, "ORT_ENABLE_ALL", feed)
    assert np.std(fused[-1]) > 0 or len(fused[-1]) == 1
    others = {level: run_at(path, level, feed) for level in LEVELS[:-1]}
    # In 8 bits a value may fall into the next of 256 steps; the clip model holds an SVR, whose
    # large terms nearly cancel.
    limit = 0.2 if "int8" in path.name or path.stem in ("static", "dynamic", "qat") else 1e-2
    for outputs in (*others.values(), run_in_reference(path, feed)):
        for ours, theirs in zip(outputs, fused, strict=True):
            assert np.asarray(ours).shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=limit)


def test_its_version_is_one_that_onnx_runtime_of_opset_17_reads(file):
    model = onnx.load(file[0])
    assert model.ir_version == IR_VERSION == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_biases_are_rows(file):
    model = onnx.load(file[0])
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            name = node.input[2]
            name = made_by[name].input[0] if name in made_by else name  # dequantised
            assert ranks[name] == 1


def test_a_file_that_needs_fusing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fusion, "_flatten_biases", lambda graph, constants: None)
    words = r"static.onnx: does not run at .* level ORT_ENABLE_BASIC .*; docs/traps.md\)\.$"
    with pytest.raises(GateError, match=words):
        int8_file(tmp_path, "nano", "static")
    assert not (tmp_path / "static.onnx").exists()


def test_levels_that_differ_are_refused(tmp_path, monkeypatch):
    x = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6])
    y = helper.make_tensor_value_info("vmaf", TensorProto.FLOAT, ["N"])
    nodes = [
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Log", ["mean"], ["vmaf"]),  # NaN at every level
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(GateError, match=r"m.onnx: at graph optimisation level .* nan from"):
        check_levels(model.SerializeToString(), tmp_path / "m.onnx", {"features": -ROWS})
