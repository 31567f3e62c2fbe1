import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.export.contract import ADMITTED_OPERATORS, load_onnx
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import ParityLimits, check_parity, measure_parity, parity_rows
from vmaf_jax.export.pixels.model_file import Frame
from vmaf_jax.export.pixels.runtime import PixelsModel
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import Identity, TrainingRecord
from vmaf_jax.features import FEATURES
from vmaf_jax.models import ACTIVATIONS, HEADS, ROW_NETWORKS, Student, deploy
from vmaf_jax.scoring.pixels import find_source, make_pixels
from vmaf_jax.training.quantisation_aware import fine_tune


def rows(n=500):
    # Rows in the features' real ranges: zeros and clipped scores would hide wrong weights.
    return parity_rows(FEATURES, [])[-n:]


def exported(tmp_path, network="nano", head="scalar", activation="silu", hidden=()):
    student = Student(network, head, activation, hidden=hidden)
    variables = jax.tree.map(np.asarray, student.init(jax.random.key(0)))
    scaler = {"mean": np.full(6, 0.6, "f"), "inv_std": np.array([5, 5, 5, 5, 5, 0.2], "f")}
    variables = {**variables, "scaler": scaler}
    path = tmp_path / "model.onnx"
    deployed = deploy(student, variables)
    training = TrainingRecord(config_sha256="0" * 64, corpora={})
    export_onnx(deployed, path, Identity("test", student, FEATURES, "vmaf_v0.6.1", training))
    return student, variables, path


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("network", sorted(ROW_NETWORKS))
def test_onnx_matches_jax(network, head, tmp_path):
    student, variables, path = exported(tmp_path, network, head)
    ours = np.asarray(jax.jit(student.predict)(variables, rows()))
    assert ((ours > 0) & (ours < 100)).mean() > 0.9
    np.testing.assert_allclose(OnnxModel(path)(rows()), ours, rtol=0, atol=1e-4)


# Layers of one width, of falling widths, and narrower than the features.
WIDTHS = [(24,), (64, 32, 16), (5, 3, 7, 2)]


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_perceptrons_of_any_widths_are_exported_quantised_and_put_into_a_graph(widths, tmp_path):
    student, variables, path = exported(tmp_path, "mlp", hidden=widths)
    deployed, model = deploy(student, variables), OnnxModel(path)
    ours = np.asarray(jax.jit(deployed.predict)(deployed.constants, rows()))
    np.testing.assert_allclose(model(rows()), ours, rtol=0, atol=1e-4)
    np.testing.assert_allclose(model(rows()), student.predict(variables, rows()), atol=1e-4)
    assert operators(path).count("Gemm") == len(widths) + 1
    pixels = PixelsModel(make_pixels(find_source(str(path)), Frame(32, 24)), path)
    np.testing.assert_allclose(pixels.score(rows()), ours, rtol=0, atol=1e-4)
    quantised = tmp_path / "int8.onnx"
    if len(widths) == 1:
        with pytest.raises(InputError, match=r"model\.onnx: has no product between its first"):
            quantize(path, quantised, mode="static", calibration=rows())
        return
    quantize(path, quantised, mode="static", calibration=rows())
    assert np.abs(OnnxModel(quantised)(rows()) - ours).max() < 5
    tuned = fine_tune(deployed.constants, "silu", rows(), ours, steps=2)
    assert [kernel.shape for kernel, _ in tuned] == [k.shape for k, _ in deployed.constants]


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(
    ("activation", "gate"),
    [("silu", ["Sigmoid", "Mul"]), ("hard_gate", ["HardSigmoid", "Mul"]), ("relu", ["Relu"])],
)
def test_a_tiny_graph_has_no_node_too_many(activation, gate, tmp_path):
    path = exported(tmp_path, "tiny", activation=activation)[2]
    assert operators(path) == ["Gemm", *gate] * 3 + ["Gemm", "ReduceSum", "Clip"]
    assert len(operators(path)) <= 12


@pytest.mark.parametrize("activation", ["hard_gate", "relu"])
@pytest.mark.parametrize("network", ["nano", "tiny"])
def test_exactly_rounded_activations_give_equal_bits(network, activation, tmp_path):
    # Measured 0 on x86-64 with AVX-512; the limit for shipped models is 4 ULP from 64 points up.
    student, variables, path = exported(tmp_path, network, activation=activation)
    deployed = deploy(student, variables)
    jitted, model, x = jax.jit(deployed.predict), OnnxModel(path), rows(4096)
    for size in (1, 3, 64, 4096):
        batch = x[:size]
        ours = np.asarray(jitted(deployed.constants, jnp.asarray(batch)))
        np.testing.assert_array_max_ulp(ours, model(batch), maxulp=4)


def test_the_file_says_what_it_is(tmp_path):
    path = exported(tmp_path)[2]
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert properties["name"] == "test"
    assert properties["feature_set"] == "vmaf"
    assert properties["features"] == "adm2,vif_scale0,vif_scale1,vif_scale2,vif_scale3,motion2"
    assert properties["quant_mode"] == "fp32"
    assert len(properties["training_sha256"]) == 64


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("head", HEADS)
def test_files_keep_the_contract(activation, head, tmp_path):
    _, _, path = exported(tmp_path, "nano", head, activation)
    model = onnx.load(path)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    op_types = {node.op_type for node in model.graph.node}
    assert op_types <= ADMITTED_OPERATORS
    assert not op_types & {"Dropout", "Einsum", "Transpose", "Gather"}
    (x,), (y,) = model.graph.input, model.graph.output
    assert (x.name, y.name) == ("features", "vmaf")
    assert [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] == ["N", 6]
    assert len(y.type.tensor_type.shape.dim) == 1


def test_scores_are_clipped_in_the_graph(tmp_path):
    student, variables, path = exported(tmp_path)
    wild = (rows() * 1e3).astype(np.float32)
    scores = OnnxModel(path)(wild)
    assert scores.min() == 0
    assert scores.max() == 100
    assert (np.asarray(student.score(variables, jax.numpy.asarray(wild))) > 100).any()


def test_same_variables_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = exported(tmp_path / "a")[2].read_bytes()
    assert exported(tmp_path / "b")[2].read_bytes() == first


def test_parity_report(tmp_path):
    student, variables, path = exported(tmp_path, "tiny")
    every = parity_rows(FEATURES, [])
    report = measure_parity(student, variables, OnnxModel(path), every, ParityLimits())
    assert report.n + report.clipped >= 100_000
    assert [entry.batch for entry in report.batches] == [4096, 1, 7]
    assert all(entry.n + entry.clipped >= 10_000 for entry in report.batches)
    assert sum(entry.n for entry in report.octaves) == report.n
    large = sum(entry.n for entry in report.octaves if entry.low >= 16)
    assert sum(report.ulp_counts.values()) == pytest.approx(large, abs=20)
    assert 0 < report.max_abs <= 1e-4
    assert report.max_ulp <= 64
    for side in report.against_float64.values():
        assert 0 < side.mean_abs <= side.max_abs <= 1e-3
    assert 0 < report.trained_against_deployed.max_abs <= 1e-3
    worst = report.worst
    assert abs(worst.jax - worst.onnxruntime) <= report.max_abs
    assert abs(worst.jax - worst.float64) <= 1e-3
    check_parity(report)


def test_thorough_parity_takes_every_batch_size(tmp_path):
    student, variables, path = exported(tmp_path, activation="hard_gate")
    config = ParityLimits(thorough=True, max_ulp=4, max_abs=5e-5)
    report = measure_parity(student, variables, OnnxModel(path), rows(200), config)
    assert [entry.batch for entry in report.batches] == [4096, *range(1, 65)]
    assert {entry.n + entry.clipped for entry in report.batches} == {200}
    check_parity(report)


def test_parity_notices_a_wrong_weight(tmp_path):
    student, variables, path = exported(tmp_path)
    layer = variables["params"]["network"]["Dense_2"]
    layer["bias"] = layer["bias"] + np.float32(1e-4)  # 1/10,000 of the score's span of 25 points
    model = OnnxModel(path)
    report = measure_parity(student, variables, model, rows(2000), ParityLimits())
    with pytest.raises(GateError, match=r"max_abs is 0.0025\d* VMAF points, limit 0.0001"):
        check_parity(report)
    wide = dataclasses.replace(report, limits=ParityLimits(max_abs=1.0, max_ulp=2))
    with pytest.raises(GateError, match=r"max_ulp is .* limit 2"):
        check_parity(wide)


def test_parity_rows_hold_corpora_and_corners(support_vectors):
    some = parity_rows(FEATURES, [support_vectors.features])
    assert len(some) == 100_000
    np.testing.assert_array_equal(some[:211], support_vectors.features.astype(np.float32))
    assert (some[211 : 211 + 64] == np.array(FEATURES.upper, "f")).all(axis=1).any()


def _graph(nodes, inputs=None, opset=17, domain="", **extra):
    x = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6])
    y = helper.make_tensor_value_info("vmaf", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "g", inputs or [x], [y], **extra)
    opsets = [helper.make_opsetid(domain, opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


MEAN = helper.make_node("ReduceMean", ["features"], ["vmaf"], axes=[1], keepdims=0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_graph([helper.make_node("Einsum", ["features"], ["vmaf"], equation="ij->i")]),
         "operator default:Einsum is not admitted"),
        (_graph([MEAN], opset=13), "opset .*13"),
        (_graph([helper.make_node("X", ["features"], ["vmaf"], domain="a.b")], domain="a.b"),
         "opset .*a.b"),
        (_graph([MEAN], [helper.make_tensor_value_info("features", TensorProto.FLOAT, [4, 6])]),
         "features has a fixed number of rows"),
        (_graph([MEAN], [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["N", 6])]),
         "not float32 of rank 2"),
        (_graph([MEAN], [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 7])]),
         "features has 7 columns, expected 6"),
        (_graph([MEAN], [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])]),
         "tensors are not named"),
    ],
)  # fmt: skip
def test_files_outside_the_contract_are_refused(tmp_path, model, message):
    path = tmp_path / "strange.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=message):
        load_onnx(path)


def test_scores_off_the_scale_are_refused(tmp_path):
    path = tmp_path / "wild.onnx"
    path.write_bytes(_graph([MEAN]).SerializeToString())  # a valid file, but nothing clips it
    assert OnnxModel(path)(np.full((2, 6), 40, "f")).tolist() == [40, 40]
    with pytest.raises(InputError, match=r"not all in \[0, 100\]"):
        OnnxModel(path)(np.full((2, 6), 200, "f"))
    with pytest.raises(InputError, match=r"not all in \[0, 100\]"):
        OnnxModel(path)(np.full((2, 6), np.nan, "f"))


def test_external_data_is_refused(tmp_path):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [6, 1], np.ones(6, "f").tobytes(), raw=True)
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("ReduceMean", ["p"], ["vmaf"], axes=[1], keepdims=0),
    ]
    model = _graph(nodes, initializer=[weight])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    path = tmp_path / "external.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="keeps its weights in another file"):
        load_onnx(path)


@pytest.mark.parametrize("content", [b"", b"not onnx", None])
def test_damaged_files_are_refused(tmp_path, content):
    path = exported(tmp_path)[2]
    path.write_bytes(path.read_bytes()[:1500] if content is None else content)
    with pytest.raises(InputError, match=r"model.onnx: "):
        load_onnx(path)
    with pytest.raises(InputError, match="no such model"):
        load_onnx(tmp_path / "none.onnx")
