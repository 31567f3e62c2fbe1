#!/usr/bin/env bash
# Sigmoid of large negative numbers in ONNX Runtime 1.32.0 on a CPU, float32.
#
# Expected: exp(x) to a few ULP, as onnx's reference evaluator and OpenVINO give it (1.1e-7 at -16, 2.1e-9 at -20).
# Seen: exactly 0 from -18 on, 47 % too low at -16, and not monotone: the value at -17 is above that at -16. The error is
# small beside 1 (6e-8), not beside the value, so a logarithm of it is -inf, and an order of small probabilities is lost.
# Softplus and Exp of the same runtime are right to a few ULP there.
# Versions: PyPI onnxruntime 1.32.0, onnx 1.23.2. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 2>/dev/null
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(op: str, x: np.ndarray) -> np.ndarray:
    io = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], op, io[:1], io[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


x = np.array([-10, -15, -16, -17, -18, -20], np.float32)
exact = 1 / (1 + np.exp(-x.astype(np.float64)))
sigmoid, softplus = run("Sigmoid", x), run("Softplus", x)
for row in zip(x, exact, sigmoid, softplus, strict=True):
    print("x {:.0f}: exact {:.3g}, Sigmoid {:.3g}, Softplus {:.3g}".format(*row))
if not (sigmoid[4] == sigmoid[5] == 0 and sigmoid[3] > sigmoid[2] and sigmoid[2] < 0.7 * exact[2]):
    sys.exit("Sigmoid changed")
if not np.allclose(softplus, np.log1p(np.exp(x.astype(np.float64))), rtol=1e-5):
    sys.exit("Softplus changed")
P
