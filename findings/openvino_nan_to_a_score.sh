#!/usr/bin/env bash
# A feature that is NaN, through the operators that end a model (Relu, Clip, Max, Min), in OpenVINO and ONNX Runtime.
#
# Expected: NaN comes out in both, as ONNX Runtime and onnx's reference evaluator give it.
# Seen: OpenVINO 2026.4.0 on a CPU gives a number: Relu, Clip(0, 100) and Max(x, 0) make 0.0 of NaN, Min(x, 100) makes
# 100.0 (Sigmoid and Tanh give NaN). A score that is clipped in the graph becomes a plausible 0, and a missing feature
# goes unseen; check inputs before the run.
# Versions: PyPI openvino 2026.4.0, onnxruntime 1.32.0, onnx 1.23.2. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openvino==2026.4.0 onnxruntime==1.32.0 onnx==1.23.2 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

low, high = (helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("low", 0.0), ("high", 100.0)))
cases = {
    "Relu": (["x"], []),
    "Clip": (["x", "low", "high"], [low, high]),
    "Max": (["x", "low"], [low]),
    "Min": (["x", "high"], [high]),
    "Sigmoid": (["x"], []),
}
x = np.array([np.nan, -5.0, 300.0], np.float32)
seen = {}
for op, (inputs, constants) in cases.items():
    io = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(op, inputs, ["y"])], op, io[:1], io[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "m.onnx")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model("m.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    seen[op] = float(session.run(None, {"x": x})[0][0]), float(compiled(x)[0][0])
    print(f"{op} of NaN: ONNX Runtime {seen[op][0]}, OpenVINO {seen[op][1]}")
if not all(np.isnan(ort) for ort, _ in seen.values()):
    sys.exit("ONNX Runtime changed")
if [str(ov) for _, ov in seen.values()] != ["0.0", "0.0", "0.0", "100.0", "nan"]:
    sys.exit("OpenVINO changed")
P
