"""Rebuilds the shipped models from configs/checkpoints/ (what `make checkpoints` runs)."""

import sys

del sys.path[0]  # this folder, whose select.py would stand in for the standard library's
from pathlib import Path

from vmaf_jax.cli import main
from vmaf_jax.ship import register, ship

if __name__ == "__main__":
    for config in sorted(Path("configs/checkpoints").glob("*.yaml")):
        run = Path("runs/checkpoints") / config.stem
        main(["train", "--config", str(config), "--run-dir", str(run)], leave=False)
        ship(run, Path("checkpoints") / config.stem)
    register(Path("checkpoints"))
