#!/usr/bin/env bash
# A linear Resize of opset 10, or an Upsample of opset 9, brought to opset 17 by `onnx.version_converter`.
#
# Expected: the converter keeps the result: opset 10 knows one rule of coordinates (asymmetric), and from 11 on the
# attribute can say so.
# Seen: it adds no attribute, so that the default from opset 11 on (half_pixel) holds: a picture halved is sampled half a
# pixel later, one doubled is shifted by a quarter of a pixel. The checker passes it; ONNX Runtime runs both; a ramp is
# off by half a step. Mode "nearest" is right at factors of 2.
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
from onnx import TensorProto, helper, numpy_helper, version_converter

ramp = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8).repeat(2, axis=2)


def results(operator: str, opset: int, factor: float, mode: str) -> list[np.ndarray]:
    """Returns a row before and after the conversion to opset 17."""
    scales = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")
    size = [1, 1, int(2 * factor), int(8 * factor)]
    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in (("x", [1, 1, 2, 8]), ("y", size))]
    node = helper.make_node(operator, ["x", "scales"], ["y"], mode=mode)
    graph = helper.make_graph([node], "g", values[:1], values[1:], [scales])
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    new = version_converter.convert_version(old, 17)
    for model in (old, new):
        onnx.checker.check_model(model, full_check=True)
    models = [onnxruntime.InferenceSession(model.SerializeToString()) for model in (old, new)]
    return [session.run(None, {"x": ramp})[0][0, 0, 0] for session in models]


for operator, opset, factor in (("Resize", 10, 0.5), ("Resize", 10, 2.0), ("Upsample", 9, 2.0)):
    before, after = results(operator, opset, factor, "linear")
    print(f"{operator} of opset {opset}, linear, by {factor}: {before[:5]}, converted {after[:5]}")
    if not np.allclose(np.abs(after - before)[1:-1], 0.5 if factor < 1 else 0.25):
        sys.exit("this changed")
before, after = results("Resize", 10, 2.0, "nearest")
if not np.array_equal(before, after):
    sys.exit("nearest changed")
P
