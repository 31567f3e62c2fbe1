"""From run folders to shipped models: the files others need, free of times and machines."""

import json
import shutil
from pathlib import Path

from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.export.export import export_model
from vmaf_jax.export.registry import write_registry
from vmaf_jax.files import atomic_path

_COPIED = ("config.yaml", "parity.json", "folds.parquet", "card.md")


def ship(run: Path, destination: Path) -> None:
    """Lays the model of `run` out in `destination`; the same run gives the same bytes.

    Raises:
        GateError: the exported file or its 8-bit form missed a limit.
    """
    with atomic_path(destination) as folder:
        folder.mkdir()
        for name in _COPIED:
            shutil.copyfile(run / name, folder / name)
        shutil.copytree(run / "checkpoint", folder / "checkpoint")
        metrics = json.loads((run / "metrics.json").read_text())
        for key in ("timing", "environment"):
            del metrics[key]
        report = export_model(str(run), folder / "model.onnx", quantize_mode="static")
        metrics["int8"] = report["int8"]
        (folder / "metrics.json").write_text(to_json(metrics))


def register(checkpoints: Path) -> None:
    """Writes `registry.json` over the models shipped in `checkpoints`, in the words of their cards.

    Raises:
        InputError: one of them is not whole.
    """
    told = {}
    for folder in sorted(path.parent for path in checkpoints.glob("*/model.onnx")):
        metrics = json.loads((folder / "metrics.json").read_text())
        sidecar = json.loads((folder / "model.json").read_text())
        pooled, int8 = metrics["loso"]["pooled"], metrics["int8"]
        description = (
            f"{sidecar['arch']['network']} network, {sidecar['n_params']} parameters: VMAF from "
            f"libvmaf's six features; held-out RMSE {pooled['rmse']:.4f} points over "
            f"{len(metrics['folds'])} sources."
        )
        notes = (
            f"8-bit file: PLCC {int8['plcc_drop']:.1e} lower and RMSE {int8['added_rmse']:+.3f} "
            f"points over {int8['n']} labelled rows. Card: {folder.name}/card.md."
        )
        told[f"{folder.name}/model.onnx"] = (description, notes)
    write_registry(checkpoints / "registry.json", told)
