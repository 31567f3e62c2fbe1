"""Rebuilds the shipped models (what `make checkpoints` runs)."""

import sys

del sys.path[0]  # this folder, whose select.py would stand in for the standard library's
from pathlib import Path

from vmaf_jax.cli import main
from vmaf_jax.jobs.ship import register, ship

CONFIGS = [
    *(Path(f"configs/checkpoints/{name}.yaml") for name in ("nano", "tiny", "rbf_4k", "opinions")),
    Path("configs/rbf.yaml"),
]

OPINIONS = Path("runs/avt_vqdb_uhd_1.parquet")  # users bring it; without it that model stays

if __name__ == "__main__":
    for config in CONFIGS:
        if config.stem == "opinions" and not OPINIONS.is_file():
            continue
        run = Path("runs/checkpoints") / config.stem
        words = ["train", "--config", str(config), "--run-dir", str(run), "--overwrite"]
        main(words, leave=False)
        ship(run, Path("checkpoints") / config.stem)
    register(Path("checkpoints"))
