#!/usr/bin/env bash
# Four ONNX operators in tinygrad, beside ONNX Runtime.
#
# Expected: the same numbers, or a refusal as of operators that it lacks.
# Seen: tinygrad 0.14.0 adds 0.4999999 and truncates in QuantizeLinear to uint8, so that halves are rounded up: 1, 3 and -3
# for 0.5, 2.5 and -3.5, where ONNX says to even (0, 2, -4); to int8 it rounds to even. ReduceLogSumExp of values of 100 is
# infinite, Relu of NaN is 0, Sign of NaN is 1. No message. An 8-bit model, and a missing feature, give other scores.
# Versions: PyPI tinygrad 0.14.0 (DEV=PYTHON, which needs no compiler), onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tinygrad==0.14.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 2>/dev/null
cd "$work"
DEV=PYTHON "$work/venv/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner

node = helper.make_node


def both(nodes: list, x: list[float], shape: tuple[int, ...], zero: np.ndarray | None = None) -> list[np.ndarray]:
    """Returns what ONNX Runtime and tinygrad give, without axes of length 1."""
    values = np.array(x, np.float32)
    parts = {"scale": np.array(1, np.float32), "zero": zero} if zero is not None else {}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, values.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in parts.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "m.onnx")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    pair = [session.run(None, {"x": values})[0], OnnxRunner("m.onnx")({"x": Tensor(values)})["y"].numpy()]
    print(*(f"{node.op_type}" for node in nodes), [float(v) for v in x], "ONNX Runtime", pair[0], "tinygrad", pair[1])
    return [np.squeeze(array) for array in pair]


quantise = [node("QuantizeLinear", ["x", "scale", "zero"], ["q"]), node("DequantizeLinear", ["q", "scale", "zero"], ["y"])]
halves, nan = [0.5, 1.5, 2.5, -3.5], [float("nan"), -1.0, 2.0]
expected = [
    (both(quantise, halves, (4,), np.array(128, np.uint8)), [0, 2, 2, -4], [1, 2, 3, -3]),
    (both(quantise, halves, (4,), np.array(0, np.int8)), [0, 2, 2, -4], [0, 2, 2, -4]),
    (both([node("ReduceLogSumExp", ["x"], ["y"], axes=[0])], [100, 100], (1,)), 100.693146, np.inf),
    (both([node("Relu", ["x"], ["y"])], nan, (3,)), [np.nan, 0, 2], [0, 0, 2]),
    (both([node("Sign", ["x"], ["y"])], nan, (3,)), [np.nan, -1, 1], [1, -1, 1]),
]
same = [np.allclose(pair, wanted, atol=1e-4, equal_nan=True) for pair, *wanted in expected]
sys.exit(0 if all(same) else "this changed")
P
