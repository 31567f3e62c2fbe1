#!/usr/bin/env bash
# Which checkpoint Orbax 0.11.36's CheckpointManager keeps as the best where a metric is NaN (a training that diverged).
#
# Expected: NaN is worse than any number, with best_mode "min" as with "max"; or an error.
# Seen: where the last step has NaN it becomes the best, and with max_to_keep=1 the sound checkpoints are deleted, without
# a warning (metrics 2, 1, NaN: step 2 stays). Where NaN comes first or in between, later numbers push it out. NaN has no
# place in an order, so what is kept depends on when it came. Give infinity in its place.
# Versions: PyPI orbax-checkpoint 0.11.36, jax 0.10.2. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q orbax-checkpoint==0.11.36 jax==0.10.2 2>/dev/null
cd "$work"
JAX_PLATFORMS=cpu "$work/venv/bin/python" - 2>/dev/null <<'P'
import math
import sys
import tempfile
from pathlib import Path

import jax.numpy as jnp
import orbax.checkpoint as ocp


def best(*metrics: float) -> int | None:
    """The step that is kept of steps with these errors."""
    options = ocp.CheckpointManagerOptions(max_to_keep=1, best_fn=lambda m: m["rmse"], best_mode="min")
    with tempfile.TemporaryDirectory() as folder, ocp.CheckpointManager(Path(folder), options=options) as manager:
        for step, rmse in enumerate(metrics):
            state = ocp.args.StandardSave({"w": jnp.full(2, float(step))})
            manager.save(step, args=state, metrics={"rmse": rmse})
            manager.wait_until_finished()
        print(f"rmse {metrics}: steps kept {manager.all_steps()}, best {manager.best_step()}")
        return manager.best_step()


seen = best(2.0, 1.0, math.nan), best(math.nan, 2.0, 1.0), best(2.0, 1.0, math.inf)
if seen != (2, 2, 1):
    sys.exit("this changed")
P
