"""From a run folder to a shipped model: the files others need, free of times and machines."""

import json
import shutil
from pathlib import Path

from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.files import atomic_path

_COPIED = ("config.yaml", "model.onnx", "model.json", "parity.json", "folds.parquet", "card.md")


def ship(run: Path, destination: Path) -> None:
    """Lays the model of `run` out in `destination`; the same run gives the same bytes."""
    with atomic_path(destination) as folder:
        folder.mkdir()
        for name in _COPIED:
            shutil.copyfile(run / name, folder / name)
        shutil.copytree(run / "checkpoint", folder / "checkpoint")
        metrics = json.loads((run / "metrics.json").read_text())
        for key in ("timing", "environment"):
            del metrics[key]
        (folder / "metrics.json").write_text(to_json(metrics))
