#!/usr/bin/env bash
# Resize with antialias=1 and Gelu with approximate="tanh" in OpenCV's module dnn.
#
# Expected: an attribute that the module does not know is an error, or is computed: a picture halved twice with antialias
# is its average over 7 x 7 samples or so, and Gelu is the formula by tanh.
# Seen: both attributes are ignored without a message. The picture is interpolated between the nearest samples, up to
# 0.25 off for noise of 0 to 1; Gelu is the one by erf, up to 4.7e-4 off. ONNX Runtime and onnx.reference agree.
# Versions: PyPI opencv-python-headless 5.0.0.93, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q opencv-python-headless==5.0.0.93 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import math
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def run(node: onnx.NodeProto, x: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns what OpenCV and ONNX Runtime compute for one node."""
    ends = [("x", x.shape), ("y", shape)]
    inputs, outputs = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, s)] for n, s in ends)
    sizes = [helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 1, 4, 4])] if "sizes" in node.input else []
    graph = helper.make_graph([node], "g", inputs, outputs, initializer=sizes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "one.onnx")
    net = cv2.dnn.readNetFromONNX("one.onnx")
    net.setInput(x, "x")
    session = onnxruntime.InferenceSession("one.onnx", providers=["CPUExecutionProvider"])
    return net.forward(), session.run(None, {"x": x})[0]


def resize(antialias: int) -> tuple[np.ndarray, np.ndarray]:
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=antialias)
    return run(node, picture, (1, 1, 4, 4))


picture = np.random.default_rng(0).random((1, 1, 16, 16)).astype(np.float32)
smooth, smooth_ort = resize(1)
_, plain_ort = resize(0)
x = np.linspace(-4, 4, 64, dtype=np.float32)[None]
gelu, gelu_ort = run(helper.make_node("Gelu", ["x"], ["y"], approximate="tanh"), x, x.shape)
by_erf = np.array([[v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x[0].tolist()]])
by_tanh = x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
print("antialias: OpenCV from ONNX Runtime", np.abs(smooth - smooth_ort).max())
print("           OpenCV from ONNX Runtime without antialias", np.abs(smooth - plain_ort).max())
print("Gelu by tanh: OpenCV off by", np.abs(gelu - by_tanh).max(), ", ONNX Runtime by", np.abs(gelu_ort - by_tanh).max())
if np.abs(gelu_ort - by_tanh).max() > 1e-5 or np.abs(plain_ort - smooth_ort).max() < 0.1:
    sys.exit("ONNX Runtime changed")
if np.abs(smooth - plain_ort).max() > 1e-5 or np.abs(smooth - smooth_ort).max() < 0.1:
    sys.exit("Resize changed")
if np.abs(gelu - by_erf).max() > 1e-5 or np.abs(gelu - by_tanh).max() < 3e-4:
    sys.exit("Gelu changed")
P
