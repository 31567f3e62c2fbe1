#!/usr/bin/env bash
# A function that calls `jax.nn.mish`, exported by jax2onnx 0.17.1 with opset=17.
#
# Expected: a graph of operators that opset 17 has, as for softplus, gelu or silu, or an error of the export.
# Seen: the graph has the operator Mish, which the ONNX standard added in opset 18, under an import of opset 17. The
# export succeeds; ONNX Runtime refuses the file (INVALID_GRAPH), and onnx's checker does too ("No Op registered for
# Mish"). Written as x * tanh(softplus(x)) in JAX it exports and runs. `jnp.cumprod` (CumProd of opset 26) and `>>` of
# integers (BitwiseOr of opset 18) end alike.
# Versions: PyPI jax2onnx 0.17.1, jax 0.10.2, onnx 1.23.2, onnxruntime 1.32.0. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q jax2onnx==0.17.1 jax==0.10.2 onnx==1.23.2 onnxruntime==1.32.0 2>/dev/null
JAX_PLATFORMS=cpu "$work/venv/bin/python" - 2>/dev/null <<'P'
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from jax2onnx import to_onnx


def result(function) -> str:
    """What becomes of the exported function in ONNX Runtime, and its operators."""
    model = to_onnx(function, [(4,)], opset=17)
    model.ir_version = 8
    operators = sorted({node.op_type for node in model.graph.node})
    imports = [entry.version for entry in model.opset_import if entry.domain == ""]
    try:
        onnx.checker.check_model(model, full_check=True)
        checked = "the checker passes it"
    except Exception:
        checked = "the checker refuses it"
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        x = np.array([-2, -0.5, 0.5, 2], np.float32)
        y = session.run(None, {session.get_inputs()[0].name: x})[0]
        ran = "runs" if np.allclose(y, function(jnp.asarray(x)), atol=1e-5) else "differs"
    except Exception as error:
        ran = "is refused" if "INVALID_GRAPH" in str(error) else "fails"
    print(f"opset {imports}, operators {operators}: {checked}, {ran}")
    return f"{checked}, {ran}"


by_name = result(lambda x: jax.nn.mish(x))  # looked up while tracing, as in a network
by_hand = result(lambda x: x * jnp.tanh(jnp.logaddexp(x, 0.0)))
others = [
    result(lambda x: jnp.cumprod(x)),
    result(lambda x: (x.astype(jnp.int32) >> 1).astype(jnp.float32)),
]
if set(others) != {"the checker refuses it, is refused"}:
    sys.exit("CumProd or BitwiseOr changed")
if by_name != "the checker refuses it, is refused" or by_hand != "the checker passes it, runs":
    sys.exit("this changed")
P
