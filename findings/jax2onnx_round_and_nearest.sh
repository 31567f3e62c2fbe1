#!/usr/bin/env bash
# `jax.lax.round` and `jax.image.resize(..., "nearest")` exported by jax2onnx at opset 17, in ONNX Runtime.
#
# Expected: what JAX gives, as for `jnp.round` and for the linear and cubic methods, or an error at export.
# Seen: jax2onnx 0.17.1 writes ONNX's Round, which rounds halves to even, for `lax.round`, whose default rounds them away
# from zero: 0 for 1 at 0.5, 2 for 3 at 2.5. And it writes a Resize whose rule of rounding differs from JAX's: a picture
# halved takes the pixel at 2k where JAX takes 2k + 1; doubling agrees. No message, the checker passes both. Quantising
# to 8 bits in a graph, and a rung made by dropping pixels, then differ from what was trained.
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


def both(name: str, function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what JAX and ONNX Runtime give, without axes of length 1."""
    model = to_onnx(function, [x.shape], opset=17)
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {session.get_inputs()[0].name: x})[0]
    pair = np.squeeze(np.asarray(jax.jit(function)(x))), np.squeeze(y)
    print(f"{name}: JAX {pair[0]}, exported {pair[1]}")
    return pair


halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
away, exported = both("lax.round", lambda x: jax.lax.round(x), halves)
even, exported_even = both("jnp.round", lambda x: jnp.round(x), halves)
row = np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1)
half, half_exported = both("nearest, halved", lambda x: jax.image.resize(x, (1, 1, 4, 1), "nearest"), row)
twice, twice_exported = both("nearest, doubled", lambda x: jax.image.resize(x, (1, 1, 16, 1), "nearest"), row)
if not np.array_equal(even, exported_even) or not np.array_equal(twice, twice_exported):
    sys.exit("jnp.round or doubling changed")
if np.array_equal(away, exported) or not np.array_equal(exported, even):
    sys.exit("lax.round changed")
if np.array_equal(half, half_exported):
    sys.exit("nearest changed")
P
