#!/usr/bin/env bash
# The largest of the numbers 0 to 19 with one of them NaN, by ONNX Runtime's ReduceMax, ReduceMin and ReduceMean.
#
# Expected: NaN, as in NumPy and JAX (and as ONNX Runtime's own Max of two inputs gives), or the largest of the rest.
# Seen: with NaN in the first place NaN; in others the NaN is dropped together with every value that shares its place
# in a vector register: 18 where 19 is among the numbers. ReduceMean gives NaN wherever it stands. A pooling by the
# worst or best frame in a graph therefore neither keeps a NaN nor leaves it out.
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
from onnx import helper


def session(operator, n_inputs=1):
    names = [f"x{k}" for k in range(n_inputs)]
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [20]) for name in names]
    axes = {} if operator == "Max" else {"axes": [0], "keepdims": 0}
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **axes)], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString())


results = {}
for operator in ("ReduceMax", "ReduceMin", "ReduceMean"):
    reduce = session(operator)
    results[operator] = []
    for place in range(20):
        numbers = np.arange(20, dtype=np.float32)
        numbers[place] = np.nan
        results[operator].append(float(reduce.run(None, {"x0": numbers})[0]))
    print(f"{operator} by the place of the NaN: {', '.join(f'{x:g}' for x in results[operator])}")
nan = np.full(20, np.nan, np.float32)
both = session("Max", 2).run(None, {"x0": nan, "x1": np.zeros(20, np.float32)})[0]
print("Max of NaN and 0:", both[0])
largest, smallest = results["ReduceMax"], results["ReduceMin"]
if not np.isnan(largest[0]) or np.isnan(largest[1:]).any() or 18 not in largest[1:19]:
    sys.exit("ReduceMax changed")
if not np.isnan(smallest[0]) or np.isnan(smallest[1:]).any():
    sys.exit("ReduceMin changed")
if not np.isnan(results["ReduceMean"]).all() or not np.isnan(both).all():
    sys.exit("ReduceMean or Max changed")
P
