#!/usr/bin/env bash
# Restoring an array of 4 by Orbax's StandardCheckpointer into a target of 6 elements, of 2, or of 2 x 2.
#
# Expected: an error in each case ("not compatible with the stored shape").
# Seen: an error only where the target is a JAX array or a ShapeDtypeStruct with a sharding, or where a JAX array was saved.
# Where the target is a NumPy array, and where NumPy arrays were saved and the target is a ShapeDtypeStruct without a
# sharding (as `jax.eval_shape` gives), the stored shape comes back without a message. The type is converted all the same.
# A network whose layers were made wider restores the narrow weights, and broadcasting may hide it.
# Versions: PyPI orbax-checkpoint 0.11.36, jax 0.10.2. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q orbax-checkpoint==0.11.36 jax==0.10.2 2>/dev/null
cd "$work"
JAX_PLATFORMS=cpu "$work/venv/bin/python" - 2>/dev/null <<'P'
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

SHARDING = jax.sharding.SingleDeviceSharding(jax.devices()[0])
TARGETS = {
    "NumPy array": lambda shape: np.zeros(shape, np.float16),
    "ShapeDtypeStruct": lambda shape: jax.ShapeDtypeStruct(shape, np.float16),
    "ShapeDtypeStruct with a sharding": lambda shape: jax.ShapeDtypeStruct(shape, np.float16, sharding=SHARDING),
    "JAX array": lambda shape: jnp.zeros(shape, np.float16),
}
seen = {}
for saved, values in {"NumPy": np.arange(4, dtype=np.float32), "JAX": jnp.arange(4, dtype=np.float32)}.items():
    with ocp.StandardCheckpointer() as checkpointer:
        path = Path(saved).absolute()
        checkpointer.save(path, {"w": values})
        checkpointer.wait_until_finished()
        for name, make in TARGETS.items():
            shapes = set()
            for shape in ((6,), (2,), (2, 2)):
                try:
                    found = checkpointer.restore(path, {"w": make(shape)})["w"]
                    shapes.add(f"{found.dtype}{list(found.shape)}")
                except ValueError as error:
                    shapes.add("error" if "not compatible with the stored shape" in str(error) else str(error))
            seen[saved, name] = ", ".join(sorted(shapes))
            print(f"saved from {saved}, target {name}: {seen[saved, name]}")
silent = {("NumPy", "NumPy array"), ("NumPy", "ShapeDtypeStruct"), ("JAX", "NumPy array")}
expected = {case: "float16[4]" if case in silent else "error" for case in seen}
sys.exit(0 if seen == expected else "this changed")
P
