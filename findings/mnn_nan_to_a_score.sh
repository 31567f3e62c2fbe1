#!/usr/bin/env bash
# A missing feature (NaN) through the operators that end a model, in MNN and tract.
#
# Expected: NaN comes out, as in ONNX Runtime.
# Seen: MNN 3.6.1 gives the best score: Sigmoid and Tanh of NaN are 1, Clip to 0 to 100 is 100 (Relu, Elu and Exp give 0,
# -1 and 1.6e-38). tract 0.23.9 gives the worst: Sigmoid 4.5e-7, Tanh -1, Clip and Relu 0. Neither says so; check inputs
# before the run. (OpenVINO has other numbers: see openvino_nan_to_a_score.)
# Versions: as above, ONNX Runtime 1.32.0, onnx 1.23.2, NumPy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 mnn==3.6.1 tract==0.23.9 2>/dev/null
cd "$work"
cat > run.py <<'END'
import subprocess
import sys

import MNN.expr
import MNN.nn
import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper, numpy_helper

x = np.full(16, np.nan, np.float32)
limits = [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in {"low": 0, "high": 100}.items()]
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(x)])
seen = {}
for operator in ("Sigmoid", "Tanh", "Clip", "Relu"):
    clip = operator == "Clip"
    node = helper.make_node(operator, ["x", "low", "high"] if clip else ["x"], ["y"])
    graph = helper.make_graph([node], "g", [value("x")], [value("y")], limits if clip else [])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
    line = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "MNN"]
    subprocess.run([*line, "--modelFile", "m.onnx", "--MNNModel", "m.mnn"], capture_output=True, check=True)
    variable = MNN.expr.placeholder([len(x)], MNN.expr.NCHW)
    variable.write(x)
    seen[operator] = {
        "ONNX Runtime": onnxruntime.InferenceSession("m.onnx").run(None, {"x": x})[0],
        "MNN": np.array(MNN.nn.load_module_from_file("m.mnn", ["x"], ["y"]).forward([variable])[0].read()),
        "tract": tract.onnx().load("m.onnx").into_model().into_runnable().run([x])[0].to_numpy(),
    }
    print(f"{operator} of NaN:", ", ".join(f"{name} {y[0]:.2g}" for name, y in seen[operator].items()))
assert all(np.isnan(results["ONNX Runtime"]).all() for results in seen.values())
assert [float(seen[operator]["MNN"][0]) for operator in seen] == [1, 1, 100, 0]
assert all(abs(seen[operator]["tract"][0] - y) < 1e-5 for operator, y in zip(seen, (0, -1, 0, 0), strict=True))
END
"$work/venv/bin/python" run.py
