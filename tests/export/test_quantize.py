import dataclasses
import json
import shutil

import jax
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.export import quantize as quantize_module
from vmaf_jax.export.contract import ADMITTED_OPERATORS
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.quantize import compare, quantize
from vmaf_jax.jobs.export import export
from vmaf_jax.models import deploy
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.scoring.model import load_model
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training.quantisation_aware import fine_tune


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """A folder with `nano` and its static 8-bit form, and what was told of them."""
    folder = tmp_path_factory.mktemp("static")
    return folder, export("nano", folder / "mine.onnx", quantize_mode="static")


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_host_finds_three_files(mode, static, tmp_path):
    if mode == "static":
        tmp_path, exported = static
    else:
        exported = export("nano", tmp_path / "mine.onnx", quantize_mode=mode)
    names = ["mine.int8.json", "mine.int8.onnx", "mine.json", "mine.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert sorted(exported.files(tmp_path / "mine.onnx")) == sorted(tmp_path.iterdir())
    modes = {name: json.loads((tmp_path / name).read_text())["quant_mode"] for name in names[::2]}
    assert modes["mine.json"] == "fp32"
    assert modes["mine.int8.json"] in ((mode, "qat") if mode == "static" else (mode,))
    cost = exported.int8
    assert cost.plcc_drop <= 1e-3
    assert cost.added_rmse <= 0.25
    assert sum(entry.n for entry in cost.ranges) >= cost.n
    used = operators(tmp_path / "mine.int8.onnx")
    if mode == "static":
        assert used <= ADMITTED_OPERATORS
        assert "QuantizeLinear" in used
        assert cost.batch_dependence == 0
    else:
        assert {"DynamicQuantizeLinear", "MatMulInteger"} <= used
        assert cost.batch_dependence > 0
    x = np.array([[0.9, 0.5, 0.8, 0.85, 0.9, 4.0]])
    scores = [load_model(path)(x)[0] for path in sorted(tmp_path.glob("*.onnx"))]
    assert float(abs(scores[0] - scores[1])) < 2


def test_eight_bits_may_add_a_quarter_of_a_point_and_lose_a_thousandth_of_plcc(static):
    cost = static[1].int8
    dataclasses.replace(cost, added_rmse=0.25, plcc_drop=1e-3).check()
    for worse, line in (
        ({"added_rmse": 0.2501}, r"RMSE grows by 0.250 points, limit 0.25"),
        ({"plcc_drop": 1.01e-3}, r"PLCC falls by 1.01e-03, limit 1e-03"),
        ({"added_rmse": float("nan")}, "RMSE grows"),
        ({"plcc_drop": float("nan")}, "PLCC falls"),
    ):
        with pytest.raises(GateError, match=line):
            dataclasses.replace(cost, **worse).check()


def test_what_8_bits_cost_is_told_with_its_sign(static):
    """Held to the float file's own scores: RMSE grows by all there is, PLCC falls below 1."""
    fp32, int8 = (OnnxModel(static[0] / f"mine{kind}.onnx") for kind in ("", ".int8"))
    rows = np.random.default_rng(0).uniform(0, 1, (300, 6)) * [1, 1, 1, 1, 1, 20]
    x = rows.astype(np.float32)
    before, after = (model.in_batches(x, 300).astype(np.float64) for model in (fp32, int8))
    cost = compare(fp32, int8, x, before)
    assert cost.rmse_fp32 == 0
    assert cost.added_rmse == pytest.approx(np.sqrt(np.mean((after - before) ** 2)))
    correlation = np.corrcoef(before, after)[0, 1]
    assert cost.plcc_drop == pytest.approx(1 - correlation, abs=1e-9)
    assert 0 < cost.plcc_drop < 0.1


def test_an_8_bit_file_has_no_intervals_since_its_errors_are_others(static):
    descriptions = [
        json.loads((static[0] / f"mine{kind}.json").read_text()) for kind in ("", ".int8")
    ]
    assert ["calibration" in description for description in descriptions] == [True, False]
    assert load_model(static[0] / "mine.onnx").calibration is not None
    assert load_model(static[0] / "mine.int8.onnx").calibration is None


def test_a_tampered_file_is_refused_at_load(static, tmp_path):
    shutil.copytree(static[0], tmp_path, dirs_exist_ok=True)
    for name in ("mine.onnx", "mine.int8.onnx"):
        model = onnx.load(tmp_path / name)
        model.doc_string = "changed"
        onnx.save(model, tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: is not the file that mine.* describes"):
            load_model(tmp_path / name)


@pytest.mark.slow  # the same path as of the budget of PLCC, below
def test_added_error_has_a_budget_too(tmp_path, monkeypatch):
    monkeypatch.setattr(quantize_module, "BUDGET_RMSE", 1e-3)
    with pytest.raises(GateError, match=r"RMSE grows by .* limit 0.001"):
        export("nano", tmp_path / "mine.onnx", quantize_mode="static")
    assert list(tmp_path.iterdir()) == []


def test_a_missed_budget_is_tuned_for_then_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(quantize_module, "BUDGET_PLCC", -1.0)
    with pytest.raises(GateError, match=r"PLCC falls by .* limit -1"):
        export("nano", tmp_path / "mine.onnx", quantize_mode="static")
    assert list(tmp_path.iterdir()) == []


def coarse(leaf):
    """A parameter in 6 bits, one scale for all."""
    step = np.abs(leaf).max() / 31
    return np.asarray(np.round(leaf / step) * step, np.float32)


def test_fine_tuning_wins_back_what_rounding_costs(support_vectors, tmp_path):
    """8 bits cost the shipped students too little to win any back, and coarser ones more."""
    run = open_run(checkpoints() / "nano")
    deployed = deploy(run.student, run.variables)
    deployed = dataclasses.replace(deployed, constants=jax.tree.map(coarse, deployed.constants))
    x = support_vectors.features.astype(np.float32)
    teacher = load_teacher("vmaf_v0.6.1")
    target = teacher(x, clip=False).astype(np.float32)
    layers = fine_tune(deployed.constants, run.student.activation, x, target, steps=300)
    tuned = dataclasses.replace(deployed, constants=jax.tree.map(np.asarray, layers))
    errors = []
    for name, model in (("before", deployed), ("after", tuned)):
        source = tmp_path / f"{name}.onnx"
        export_onnx(model, source, run.identity)
        path = quantize(source, tmp_path / f"{name}_8.onnx", mode="qat", calibration=x)
        errors.append(float(np.sqrt(np.mean((OnnxModel(path)(x) - teacher(x)) ** 2))))
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny", "x.onnx", "onnx", "int4"), "expected dynamic or static"),
        (("tiny", "x.json", "libvmaf", "static"), "--quantize goes with --format onnx"),
        (("tiny", "x.int8.onnx", "onnx", None), "without .int8 before it"),
    ],
)
def test_bad_requests(arguments, message, tmp_path):
    model, name, format_, mode = arguments
    with pytest.raises(InputError, match=message):
        export(model, tmp_path / name, format_, mode)


def test_a_network_without_hidden_products_is_refused(tmp_path):
    nodes = [helper.make_node("MatMul", ["features", "w"], ["p"], name="MatMul_0")]
    nodes.append(helper.make_node("ReduceMean", ["p"], ["vmaf"], axes=[1], keepdims=0))
    x = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6])
    y = helper.make_tensor_value_info("vmaf", TensorProto.FLOAT, ["N"])
    weight = onnx.numpy_helper.from_array(np.ones((6, 1), "f"), "w")
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m")
    with pytest.raises(InputError, match="no product between its first and its last"):
        quantize(tmp_path / "m", tmp_path / "q", mode="static", calibration=np.zeros((1, 6), "f"))
