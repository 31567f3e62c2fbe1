"""Rebuilds the shipped models (what `make checkpoints` runs)."""

import sys

del sys.path[0]  # this folder, whose select.py would stand in for the standard library's
from pathlib import Path

from vmaf_jax.cli import main
from vmaf_jax.jobs.ship import register, ship

CONFIGS = [*sorted(Path("configs/checkpoints").glob("*.yaml")), Path("configs/rbf.yaml")]

if __name__ == "__main__":
    for config in CONFIGS:
        run = Path("runs/checkpoints") / config.stem
        main(["train", "--config", str(config), "--run-dir", str(run)], leave=False)
        ship(run, Path("checkpoints") / config.stem)
    register(Path("checkpoints"))
