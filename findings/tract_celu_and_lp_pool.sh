#!/usr/bin/env bash
# Celu, GlobalLpPool and ReduceLogSumExp of opset 17 in tract.
#
# Expected: what ONNX defines and ONNX Runtime gives, to 1e-5: these are short formulas.
# Seen: tract 0.23.9 forgets the factor alpha of Celu (-0.43 for -0.86 at -1.13 with alpha 2), takes the mean of powers
# for their sum in GlobalLpPool (the result shrinks with the size of the picture: by 8 for 8x8), and computes
# ReduceLogSumExp without taking the largest number away first: infinity for inputs of 100, minus infinity for -200.
# No message. `jax.nn.celu` with its alpha of 1 is right.
# Versions: PyPI tract 0.23.9, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tract==0.23.9 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper


def run(operator: str, x: list, shape: list, **attributes) -> tuple[np.ndarray, np.ndarray]:
    """Returns ONNX Runtime's and tract's results."""
    x = np.array(x, np.float32)
    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in (("x", x.shape), ("y", shape))]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "m.onnx")
    right = onnxruntime.InferenceSession("m.onnx").run(None, {"x": x})[0].ravel()
    found = tract.onnx().load("m.onnx").into_model().into_runnable().run([x])[0].to_numpy().ravel()
    print(f"{operator} {attributes}: ONNX Runtime {right}, tract {found}")
    return right, found


row = [[-3, -1.13, 0.5, 2]]
one, found_one = run("Celu", row, [1, 4], alpha=1.0)
two, found_two = run("Celu", row, [1, 4], alpha=2.0)
norm, found_norm = run("GlobalLpPool", np.arange(1, 65).reshape(1, 1, 8, 8), [1, 1, 1, 1], p=2)
near, found_near = run("ReduceLogSumExp", [[1, 2, 3]], [1], axes=[1], keepdims=0)
_, found_far = run("ReduceLogSumExp", [[100, 99, 98], [-200, -201, -202]], [2], axes=[1], keepdims=0)
if not np.allclose(one, found_one) or not np.allclose(near, found_near):
    sys.exit("alpha 1 or small numbers changed")
if not np.allclose(found_two[:2], two[:2] / 2) or not np.allclose(found_norm, norm / 8):
    sys.exit("Celu or GlobalLpPool changed")
if not np.isinf(found_far).all():
    sys.exit("ReduceLogSumExp changed")
P
