#!/usr/bin/env bash
# A float32 model that pnnx makes of ONNX for ncnn, on a processor that computes in float32.
#
# Expected: ncnn's options decide the precision: with `use_fp16_*` off, scores equal ONNX Runtime's within float32.
# Seen: the weights are already halves in the file: pnnx rounds them unless it is told `fp16=0`, and no option of the
# runtime brings them back. Scores of about 80 are 0.02 off; with `fp16=0` 3e-5.
# Versions: pnnx and ncnn 1.0.20261020, onnx 1.23.2, ONNX Runtime 1.32.0, NumPy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 ncnn==1.0.20261020 pnnx==20261020 2>/dev/null
cd "$work"
cat > run.py <<'END'
import subprocess
import sys
from pathlib import Path

import ncnn
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
arrays = {
    "w0": rng.normal(size=(6, 64)) / 2.4,
    "b0": rng.normal(size=64) / 10,
    "w1": rng.normal(size=(64, 1)) * 2,
    "b1": np.array([80.0]),
}
nodes = [
    helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]),
    helper.make_node("Tanh", ["h"], ["t"]),
    helper.make_node("Gemm", ["t", "w1", "b1"], ["y"]),
]
value = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, [24, width])
initializers = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()]
graph = helper.make_graph(nodes, "g", [value("x", 6)], [value("y", 1)], initializers)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
x = rng.normal(size=(24, 6)).astype(np.float32)
expected = onnxruntime.InferenceSession("m.onnx").run(None, {"x": x})[0]

pnnx = str(Path(sys.executable).parent / "pnnx")
errors = {}
for options in [(), ("fp16=0",)]:
    subprocess.run([pnnx, "m.onnx", "inputshape=[24,6]", *options], capture_output=True, check=True)
    for half in (True, False):
        net = ncnn.Net()
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
        assert net.load_param("m.ncnn.param") == 0 and net.load_model("m.ncnn.bin") == 0
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x))
        scores = np.array(extractor.extract("out0")[1]).reshape(expected.shape)
        errors[options, half] = float(np.abs(scores - expected).max())
        print(f"pnnx {' '.join(options) or 'by default':10}, ncnn's use_fp16_* {half!s:5}: {errors[options, half]:.1e}",
              f"({Path('m.ncnn.bin').stat().st_size} bytes)")
assert errors[(), False] > 1e-3 and errors[("fp16=0",), False] < 1e-4
END
"$work/venv/bin/python" run.py
