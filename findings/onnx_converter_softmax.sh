#!/usr/bin/env bash
# Softmax over the channels (axis 1) of a picture, brought from opset 13 to opset 12 by `onnx.version_converter`.
#
# Expected: the same numbers, or a refusal: before 13, Softmax flattened all axes from `axis` on, which is another
# function for anything but the last axis. The way up (11 to 13) is converted with Flatten and Reshape.
# Seen: the way down keeps the node as it is: probabilities of a pixel no longer sum to 1, all values of the picture
# together do. On the way up Softmax and LogSoftmax are right, and Hardmax is left as it is: one 1 for each row of
# pixels instead of one for the picture. The checker passes all of them, ONNX Runtime runs them without a message.
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
from onnx import TensorProto, helper, version_converter

x = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)


def convert(operator: str, opset: int, target: int) -> list[np.ndarray]:
    """Returns the result before and after the conversion."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], axis=1)], "g", values[:1], values[1:])
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    new = version_converter.convert_version(old, target)
    for model in (old, new):
        onnx.checker.check_model(model, full_check=True)
    sessions = [onnxruntime.InferenceSession(model.SerializeToString()) for model in (old, new)]
    return [session.run(None, {"x": x})[0] for session in sessions]


before, after = convert("Softmax", 13, 12)
pixel = [float(y[0, :, 0, 0].sum()) for y in (before, after)]
print(f"Softmax 13 to 12: a pixel's classes sum to {pixel[0]:.4f} and then {pixel[1]:.4f}, all to {after.sum():.4f}")
before, after = convert("Hardmax", 11, 13)
ones = [int(y.sum()) for y in (before, after)]
print(f"Hardmax 11 to 13: {ones[0]} one of {before.size}, and then {ones[1]}")
up = {name: np.allclose(*convert(name, 11, 13), atol=1e-6) for name in ("Softmax", "LogSoftmax")}
print(f"Softmax, LogSoftmax 11 to 13, kept: {up}")
if abs(pixel[0] - 1) > 1e-5 or pixel[1] > 0.9 or abs(convert("Softmax", 13, 12)[1].sum() - 1) > 1e-5:
    sys.exit("Softmax changed")
if ones[0] != 1 or ones[1] == 1 or not all(up.values()):
    sys.exit("the way up changed")
P
