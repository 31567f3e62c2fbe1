#!/usr/bin/env bash
# A network's scores as a vector of N, to which a number is added, in OpenCV's dnn module.
#
# Expected: y + 80 for each of the N scores, or an error from a module that knows no one-dimensional tensors.
# Seen: OpenCV 4.12.0 and 4.13.0 return the first score in all N places (plus 80), as an array of 1 x N, without a
# message. They keep the vector as N x 1 and add to it as if it were of one score. OpenCV 5.0.0 is right. Keep scores as N
# x 1 until the end of the graph.
# Versions: opencv-python-headless 4.12.0.88, 4.13.0.92 and 5.0.0.93, onnx 1.23.2. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > run.py <<'END'
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

x = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
arrays = {"w": np.ones((3, 1), np.float32), "flat": np.array([-1]), "b": np.array(80, np.float32)}
nodes = [
    helper.make_node("MatMul", ["x", "w"], ["m"]),
    helper.make_node("Reshape", ["m", "flat"], ["r"]),
    helper.make_node("Add", ["r", "b"], ["y"]),
]
inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])]
outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])]
initializers = [numpy_helper.from_array(v, k) for k, v in arrays.items()]
graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "m.onnx")
net = cv2.dnn.readNetFromONNX("m.onnx")
net.setInput(x)
y = net.forward()
expected = x.sum(axis=1) + 80
print(f"OpenCV {cv2.__version__}: shape {y.shape}, {y.ravel().tolist()} for {expected.tolist()}")
if cv2.__version__.startswith("4."):
    assert y.shape == (1, 4) and (y == expected[0]).all()
else:
    assert y.shape == (4,) and (y == expected).all()
END
for version in 4.12.0.88 4.13.0.92 5.0.0.93; do
  python3 -m venv "$version"
  "$version/bin/pip" install -q "opencv-python-headless==$version" onnx==1.23.2 2>/dev/null
  "$version/bin/python" run.py 2>/dev/null
done
