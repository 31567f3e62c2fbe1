#!/usr/bin/env bash
# ReduceL1, ReduceLogSum and ReduceLogSumExp along the last axis of a 2 x 3 x 4 array, by opset, in OpenVINO.
#
# Expected: a 2 x 3 array, as ONNX Runtime gives and as OpenVINO's own ReduceL2 and ReduceMean give.
# Seen: at opsets 13 to 17 OpenVINO 2026.4.1 leaves the attribute `axes` out of these three operators and reduces to one
# number for the whole array, batch included, without a message. At 11 and 18 the axes count. A norm, or a log-sum-exp
# over classes, of one item then depends on all the others of its batch.
# Versions: PyPI openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

x = (np.random.default_rng(0).random((2, 3, 4)) + 0.1).astype(np.float32)
core = openvino.Core()


def shapes(operator: str, opset: int) -> tuple:
    attributes = {"keepdims": 0} | ({"axes": [2]} if opset < 18 else {})
    axes = [numpy_helper.from_array(np.array([2]), "axes")] if opset >= 18 else []
    node = helper.make_node(operator, ["x", *(tensor.name for tensor in axes)], ["y"], **attributes)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [2, 3, 4]), ("y", [2, 3]))
    ]
    graph = helper.make_graph([node], "g", values[:1], values[1:], axes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    expected = onnxruntime.InferenceSession(data).run(None, {"x": x})[0]
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([x])[0]
    if found.shape == expected.shape and not np.allclose(found, expected, rtol=1e-5):
        sys.exit(f"{operator} at opset {opset}: {found} for {expected}")
    return found.shape


for operator in ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2", "ReduceMean"):
    found = {opset: shapes(operator, opset) for opset in (11, 13, 17, 18)}
    print(operator, *(f"opset {opset}: {shape}" for opset, shape in found.items()), sep="; ")
    lost = operator in ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp")
    if any(shape != (() if lost and opset in (13, 17) else (2, 3)) for opset, shape in found.items()):
        sys.exit("this changed")
P
