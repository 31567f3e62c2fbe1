#!/usr/bin/env bash
# The mean squared difference of two pictures (the MSE of PSNR) by ONNX Runtime's reductions.
#
# Expected: right to 1e-5, as from NumPy and JAX: float32 is added in many partial sums.
# Seen: of noise of 3 levels at 3840x2160, ReduceSumSquare is 1.1 % too low, ReduceL2 0.6 %, ReduceL1 0.5 %, and
# ReduceMean of the squares 0.05 % for a picture of shape 1x1xHxW and again 1.1 % for 1xHxWx2, the layout of JAX. The
# same with 1 and with 8 threads. It grows with the size: 0.2 % at 1920x1080. Reduce the height first and then the width.
# Versions: PyPI onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

EXACT = {
    "ReduceSumSquare": lambda x: (x * x).sum(),
    "ReduceL2": lambda x: np.sqrt((x * x).sum()),
    "ReduceL1": lambda x: np.abs(x).sum(),
    "ReduceMean": lambda x: (x * x).mean(),
}


def run(steps: list[tuple[str, list[int]]], x: np.ndarray) -> float:
    """Returns the error of the first picture's result, in percent; squares come before a ReduceMean."""
    square = steps[0][0] == "ReduceMean"
    names = ["s" if square else "x", *(f"r{k}" for k in range(len(steps) - 1)), "y"]
    nodes = [helper.make_node("Mul", ["x", "x"], ["s"])] if square else []
    for k, (operator, axes) in enumerate(steps):
        nodes.append(helper.make_node(operator, [names[k]], [names[k + 1]], axes=axes, keepdims=0))
    rank = x.ndim - sum(len(axes) for _, axes in steps)
    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in (("x", x.shape), ("y", [None] * rank))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    found = set()
    for options.intra_op_num_threads in (1, 8):
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        found.add(float(session.run(None, {"x": x})[0].ravel()[0]))
    if len(found) > 1:
        sys.exit("the number of threads counts")
    return 100 * (found.pop() / float(EXACT[steps[0][0]](noise.astype(np.float64))) - 1)


errors = {}
for height, width in ((1080, 1920), (2160, 3840)):
    noise = (3 * np.random.default_rng(0).normal(size=(height, width))).astype(np.float32)
    first = noise[None, None]
    for operator in EXACT:
        errors[operator, height] = run([(operator, [2, 3])], first)
    last = np.stack([noise, noise], axis=-1)[None]
    errors["ReduceMean, HxWx2", height] = run([("ReduceMean", [1, 2])], last)
    errors["ReduceMean twice", height] = run([("ReduceMean", [1]), ("ReduceMean", [1])], last)
for (name, height), error in errors.items():
    print(f"{height} lines, {name:18} {error:+.4f} %")
wrong = ("ReduceSumSquare", "ReduceL2", "ReduceL1", "ReduceMean, HxWx2")
if max(errors[name, 2160] for name in wrong) > -0.3 or errors["ReduceMean, HxWx2", 1080] > -0.1:
    sys.exit("this changed")
if max(abs(errors["ReduceMean twice", height]) for height in (1080, 2160)) > 2e-3:
    sys.exit("two steps changed")
P
