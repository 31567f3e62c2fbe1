#!/usr/bin/env bash
# A float32 ONNX model in OpenVINO on a CPU, at the precision that it takes by itself.
#
# Expected: float32, and the figures of ONNX Runtime within roundings (1e-5).
# Seen: on processors with bfloat16 instructions (flags avx512_bf16 or amx_bf16) OpenVINO 2026.4.0 computes in
# bfloat16 unless told otherwise: a perceptron of 6-64-64-1 whose scores are 0 to 100 is off by tenths of a point.
# INFERENCE_PRECISION_HINT=f32, or EXECUTION_MODE_HINT=ACCURACY, gives float32. On other processors the default is f32.
# Versions: PyPI openvino 2026.4.0, onnxruntime 1.32.0, onnx 1.23.2. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openvino==2026.4.0 onnxruntime==1.32.0 onnx==1.23.2 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
sizes = [6, 64, 64, 1]
nodes, constants, name = [], [], "x"
for k, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
    kernel = rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
    bias = rng.normal(size=n_out) if n_out > 1 else np.full(1, 50.0)
    kernel *= 30.0 if n_out == 1 else 1.0
    constants += [numpy_helper.from_array(kernel.astype(np.float32), f"k{k}")]
    constants += [numpy_helper.from_array(bias.astype(np.float32), f"b{k}")]
    nodes.append(helper.make_node("Gemm", [name, f"k{k}", f"b{k}"], [f"h{k}"]))
    name = f"h{k}"
    if n_out > 1:
        nodes.append(helper.make_node("Relu", [name], [f"r{k}"]))
        name = f"r{k}"
io = [
    helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6]),
    helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1]),
]
graph = helper.make_graph(nodes, "g", io[:1], io[1:], constants)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
x = rng.normal(size=(256, 6)).astype(np.float32)
want = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def error(**settings: str) -> float:
    return float(np.abs(openvino.Core().compile_model("m.onnx", "CPU", settings)(x)[0] - want).max())


default = openvino.Core().compile_model("m.onnx", "CPU").get_property("INFERENCE_PRECISION_HINT")
flags = set(Path("/proc/cpuinfo").read_text().split()) & {"avx512_bf16", "amx_bf16"}
by_itself, f32, accuracy = error(), error(INFERENCE_PRECISION_HINT="f32"), error(EXECUTION_MODE_HINT="ACCURACY")
print(f"processor: {', '.join(sorted(flags)) or 'no bfloat16'}; default {default.to_string()}")
print(f"largest difference from ONNX Runtime: default {by_itself:.2g}, f32 {f32:.2g}, accuracy {accuracy:.2g}")
if max(f32, accuracy) > 1e-3:
    sys.exit("float32 changed")
if flags and not (default.to_string() == "bf16" and by_itself > 0.05):
    sys.exit("the default changed")
if not flags and by_itself > 1e-3:
    sys.exit("the default changed")
P
