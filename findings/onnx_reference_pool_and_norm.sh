#!/usr/bin/env bash
# MaxPool with auto_pad=SAME_LOWER and LpNormalization with p=1, in the evaluator that onnx calls its reference.
#
# Expected: onnx.reference is what other runtimes are held to, so both are what the operators' pages say: 4 x 4 maxima of
# a 7 x 7 picture (2 x 2, stride 2, one row and column of padding at the start), and rows divided by the sum of
# their absolute values.
# Seen: 3 x 3 maxima, without padding; of 8 x 8 by 3 x 3 the shape is right and the values are those of padding at the end.
# LpNormalization of p=1 divides by the sum with signs, so that rows come out larger; p=2 is right. ONNX Runtime is
# right in all of them.
# Versions: PyPI onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def run(operator: str, x: np.ndarray, **attributes: object) -> tuple[np.ndarray, np.ndarray]:
    """Returns what onnx.reference and ONNX Runtime compute for one operator."""
    ends = [("x", x.shape), ("y", [None] * x.ndim)]
    inputs, outputs = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, s)] for n, s in ends)
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, {"x": x})[0], session.run(None, {"x": x})[0]


def maxima(x: np.ndarray, kernel: int, start: int, end: int) -> np.ndarray:
    """Returns maxima of a stride of 2, with `start` and `end` rows and columns of padding."""
    padded = np.pad(x[0, 0], (start, end), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel))
    return windows[::2, ::2].max((2, 3))


rng = np.random.default_rng(0)
seven, eight = (rng.random((1, 1, n, n)).astype(np.float32) for n in (7, 8))
rows = rng.standard_normal((4, 8)).astype(np.float32)
small, small_ort = run("MaxPool", seven, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER")
large, large_ort = run("MaxPool", eight, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")
norm, norm_ort = run("LpNormalization", rows, p=1, axis=-1)
print("MaxPool 2 x 2 of 7 x 7:", small.shape[2:], "; ONNX Runtime", small_ort.shape[2:])
print("MaxPool 3 x 3 of 8 x 8: largest difference", np.abs(large - large_ort).max())
print("LpNormalization, p=1: first row", norm[0, :3], "; ONNX Runtime", norm_ort[0, :3])
right = (
    np.array_equal(small_ort[0, 0], maxima(seven, 2, 1, 0))
    and np.array_equal(large_ort[0, 0], maxima(eight, 3, 1, 0))
    and np.allclose(norm_ort, rows / np.abs(rows).sum(1, keepdims=True), atol=1e-6)
)
if not right:
    sys.exit("ONNX Runtime changed")
if small.shape != (1, 1, 3, 3) or not np.array_equal(large[0, 0], maxima(eight, 3, 0, 1)):
    sys.exit("MaxPool changed")
if not np.allclose(norm, rows / rows.sum(1, keepdims=True), rtol=1e-4):
    sys.exit("LpNormalization changed")
P
