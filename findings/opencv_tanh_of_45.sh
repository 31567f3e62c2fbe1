#!/usr/bin/env bash
# Tanh of a graph of opset 17 in OpenCV's dnn module.
#
# Expected: tanh(45) is 1, and does not depend on its neighbours.
# Seen: OpenCV 5.0.0 gives NaN from 44.4 on, where exp(2 x) leaves float32, for numbers that it computes eight at a time;
# of a tensor with fewer than eight, and in the last few of a longer one, it gives 1, as 4.12.0 and 4.13.0 always do. An
# activation of 45 is rare on data like those of the training; on others the answer is NaN in place of a saturated 1, and a
# test with a single row does not show it.
# Versions: opencv-python-headless 4.12.0.88, 4.13.0.92 and 5.0.0.93, onnx 1.23.2. 2026-11-30, x86-64 Linux with AVX2.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > run.py <<'END'
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper


def tanh(number: float, count: int) -> np.ndarray:
    io = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [count]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", io[:1], io[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
    net = cv2.dnn.readNetFromONNX("m.onnx")
    net.setInput(np.full(count, number, np.float32))
    return net.forward().ravel()


broken = cv2.__version__.startswith("5.")
for number in (9, 44, 45, 60):
    one, many = tanh(number, 1), tanh(number, 16)
    print(f"OpenCV {cv2.__version__}, tanh({number}): alone {one[0]:g}, first of 16 equal ones {many[0]:g}")
    assert np.allclose(one, 1, atol=1e-6)
    assert np.isnan(many[:8]).all() if broken and number >= 45 else np.allclose(many, 1, atol=1e-6)
END
for version in 4.12.0.88 4.13.0.92 5.0.0.93; do
  python3 -m venv "$version"
  "$version/bin/pip" install -q "opencv-python-headless==$version" onnx==1.23.2 2>/dev/null
  "$version/bin/python" run.py 2>/dev/null
done
