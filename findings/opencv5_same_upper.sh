#!/usr/bin/env bash
# A convolution and a pooling of stride 2 with `auto_pad=SAME_UPPER`, TensorFlow's SAME, in OpenCV's DNN module.
#
# Expected: where one row and column of padding is needed, it is at the bottom and on the right, as ONNX says and ONNX
# Runtime does; explicit pads of 0, 0, 1, 1 give the same.
# Seen: OpenCV 5.0.0 pads at the top and on the left, as SAME_LOWER says: all values are other ones, without a message;
# a ramp of 0 to 7 is averaged to 0.5, 2, 4, 6 for 1, 3, 5, 6.5. Explicit pads are right.
# Versions: PyPI opencv-python-headless 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q opencv-python-headless==5.0.0.93 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - 2>/dev/null <<'P'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ramp = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8).repeat(8, axis=2)


def both(operator: str, **padding) -> list[np.ndarray]:
    """Returns a row of ONNX Runtime's and of OpenCV's results."""
    kernel = np.full((1, 1, 3, 3), 1 / 9, np.float32)
    weights = [numpy_helper.from_array(kernel, "w")] if operator == "Conv" else []
    node = helper.make_node(
        operator, ["x", *(w.name for w in weights)], ["y"], kernel_shape=[3, 3], strides=[2, 2], **padding
    )
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, side, side]) for name, side in (("x", 8), ("y", 4))
    ]
    graph = helper.make_graph([node], "g", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(ramp, "x")
    rows = [onnxruntime.InferenceSession(data).run(None, {"x": ramp})[0], net.forward("y")]
    rows = [np.asarray(y).reshape(4, 4)[1] for y in rows]
    print(f"{operator} {padding}: ONNX Runtime {rows[0]}, OpenCV {rows[1]}")
    return rows


for operator in ("AveragePool", "Conv"):
    for padding in ({"pads": [0, 0, 1, 1]}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "SAME_UPPER"}):
        right, found = both(operator, **padding)
        if np.allclose(right, found, atol=1e-5) != (padding != {"auto_pad": "SAME_UPPER"}):
            sys.exit("this changed")
P
