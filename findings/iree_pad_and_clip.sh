#!/usr/bin/env bash
# `Pad` with mode reflect of pictures `[N, 2, 48, 64]`, N free, and `Clip` of NaN, compiled by IREE for the CPU.
#
# Expected: `Pad` compiles for every width of the border, or for none, as it does for N = 3; NaN stays NaN, as `Relu`
# keeps it.
# Seen: borders of 2 and 8 compile, and so do edge and constant borders of 1. A reflected border of 1 does not:
# "LLVM Translation failed for operation: builtin.unrealized_conversion_cast". With N = 3 it compiles, and gives what
# ONNX Runtime gives. A filter of three taps, as Scharr's or Sobel's, has this border. `Clip` and `Max` make the lower
# bound of NaN, so that a missing feature becomes a score of 0; `Relu`, `Sigmoid` and ONNX Runtime hand it on.
# Versions: PyPI iree-base-compiler and iree-base-runtime 3.13.0, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# 2026-12-01, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q iree-base-compiler==3.13.0 iree-base-runtime==3.13.0 onnx==1.23.2 \
  onnxruntime==1.32.0 numpy==2.4.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import subprocess
import sys

import iree.compiler
import iree.runtime
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.random.default_rng(0).normal(size=(3, 2, 48, 64)).astype(np.float32)


def run(node: onnx.NodeProto, constants: list[onnx.TensorProto], sizes: list[tuple], x: np.ndarray) -> list[np.ndarray]:
    """Returns the output of a node by ONNX Runtime and by IREE; raises CompilerToolError where IREE fails."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip("xy", sizes)]
    graph = helper.make_graph([node], "g", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "m.onnx")
    line = [sys.executable, "-m", "iree.compiler.tools.import_onnx", "m.onnx", "-o", "m.mlir"]
    subprocess.run(line, check=True)
    file = iree.compiler.compile_file(
        "m.mlir", target_backends=["llvm-cpu"], input_type="onnx", extra_args=["--iree-llvmcpu-target-cpu=generic"]
    )
    found = iree.runtime.load_vm_flatbuffer(file, driver="local-task")["g"](x)
    return [onnxruntime.InferenceSession("m.onnx").run(None, {"x": x})[0], np.asarray(found)]


def compiles(mode: str, width: int, batch: str | int) -> bool:
    """Tells whether IREE compiles the border; what it compiles has to give ONNX Runtime's numbers."""
    pads = numpy_helper.from_array(np.array([0, 0, width, width] * 2), "pads")
    node = helper.make_node("Pad", ["x", "pads"], ["y"], mode=mode)
    try:
        one, other = run(node, [pads], [(batch, 2, 48, 64), (batch, 2, 48 + 2 * width, 64 + 2 * width)], x)
    except iree.compiler.CompilerToolError as error:
        assert "unrealized_conversion_cast" in str(error), error
        return False
    return np.array_equal(one, other)


seen = {
    (mode, width, batch): compiles(mode, width, batch)
    for mode, width, batch in (
        ("reflect", 1, "N"), ("reflect", 2, "N"), ("reflect", 8, "N"), ("reflect", 1, 3),
        ("edge", 1, "N"), ("constant", 1, "N"),
    )
}
for (mode, width, batch), good in seen.items():
    print(f"{mode:8} border of {width}, {batch} pictures: {'compiles, right' if good else 'does not compile'}")
if [case for case, good in seen.items() if not good] != [("reflect", 1, "N")]:
    sys.exit("borders changed")
bounds = [numpy_helper.from_array(np.float32(value), name) for name, value in (("low", 0), ("high", 100))]
nan, shapes = np.array([np.nan, 7], np.float32), [(2,), (2,)]
for operator, n_bounds, expected in (("Clip", 2, 0.0), ("Max", 1, 0.0), ("Relu", 0, np.nan), ("Sigmoid", 0, np.nan)):
    names = ["low", "high"][:n_bounds]
    one, other = run(helper.make_node(operator, ["x", *names], ["y"]), bounds[:n_bounds], shapes, nan)
    print(f"{operator:8} of NaN: {one[0]} in ONNX Runtime, {other[0]} in IREE")
    if not np.isnan(one[0]) or not np.array_equal(other[0], expected, equal_nan=True):
        sys.exit(f"{operator} changed")
P
