#!/usr/bin/env bash
# What jax2onnx imports to export one addition of two arrays.
#
# Expected: the converters of the operations in the graph, or those of JAX.
# Seen: the first call of `to_onnx` imports some 500 modules of jax2onnx, its examples among them, and with them Flax,
# Equinox and dm_pix, which the function does not use. It takes seconds before anything is exported.
# Versions: jax2onnx 0.17.1, jax 0.10.2 (PyPI). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q jax2onnx==0.17.1 jax==0.10.2 2>/dev/null
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import time

from jax2onnx import to_onnx


def of_jax2onnx():
    return [name for name in sys.modules if name.startswith("jax2onnx.")]


before, start = len(of_jax2onnx()), time.process_time()
graph = to_onnx(lambda x: x + x, [(4,)], opset=17)
first = time.process_time() - start
start = time.process_time()
to_onnx(lambda x: x + x, [(4,)], opset=17)
second = time.process_time() - start
loaded = of_jax2onnx()
examples = [name for name in loaded if ".examples." in name]
print(f"nodes of the graph: {[node.op_type for node in graph.graph.node]}")
print(f"modules of jax2onnx: {before} before the call, {len(loaded)} after it, {len(examples)} of them examples")
print(f"first call {first:.1f} s of processor time, second {second:.3f} s")
others = [name for name in ("flax", "equinox", "dm_pix") if name in sys.modules]
print(f"also imported: {others}")
assert [node.op_type for node in graph.graph.node] == ["Add"]
assert len(loaded) > 400 and len(examples) > 30, "this changed"
assert {"flax", "equinox"} <= set(others), "this changed"
assert first > 10 * second, "this changed"
PYTHON
