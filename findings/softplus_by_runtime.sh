#!/usr/bin/env bash
# Softplus of a graph of opset 17, in four runtimes: a layer that ends many regression networks.
#
# Expected: Softplus of 95 is 95 in float32 everywhere, as log(1 + exp(x)) is x there.
# Seen: ONNX Runtime 1.32.0 gives 95. MNN 3.6.1 gives 87 for everything above 87, tract 0.23.9 and OpenCV 5.0.0 give
# infinity (OpenCV for 89 and up, where exp(x) leaves float32). So a score on a scale of 0 to 100 that a network ends
# with Softplus is right below 87 and wrong above, without a message.
# Versions: as above, onnx 1.23.2, NumPy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 mnn==3.6.1 tract==0.23.9 \
  opencv-python-headless==5.0.0.93 2>/dev/null
cd "$work"
cat > run.py <<'END'
import subprocess
import sys

import cv2
import MNN.expr
import MNN.nn
import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper

x = np.array([5, 40, 80, 86, 89, 95, 100], np.float32)
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(x)])
graph = helper.make_graph([helper.make_node("Softplus", ["x"], ["y"])], "g", [value("x")], [value("y")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "m.onnx")

line = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "MNN"]
subprocess.run([*line, "--modelFile", "m.onnx", "--MNNModel", "m.mnn"], capture_output=True, check=True)
variable = MNN.expr.placeholder([len(x)], MNN.expr.NCHW)
variable.write(x)
net = cv2.dnn.readNetFromONNX("m.onnx")
net.setInput(x)
seen = {
    "ONNX Runtime": onnxruntime.InferenceSession("m.onnx").run(None, {"x": x})[0],
    "MNN": np.array(MNN.nn.load_module_from_file("m.mnn", ["x"], ["y"]).forward([variable])[0].read()),
    "tract": tract.onnx().load("m.onnx").into_model().into_runnable().run([x])[0].to_numpy(),
    "OpenCV": net.forward().ravel(),
}
for name, y in {"x": x, **seen}.items():
    print(f"{name:14}", *(f"{v:8.4f}" for v in y))
assert np.allclose(seen["ONNX Runtime"], np.log1p(np.exp(x.astype(np.float64))), rtol=1e-6)
assert all(np.allclose(y[:4], seen["ONNX Runtime"][:4], rtol=1e-5) for y in seen.values())
assert (seen["MNN"][4:] == 87).all()
assert np.isinf(seen["tract"][4:]).all() and np.isinf(seen["OpenCV"][4:]).all()
END
"$work/venv/bin/python" run.py 2>/dev/null
