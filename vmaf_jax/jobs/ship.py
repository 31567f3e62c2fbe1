"""From run folders to shipped models: the files others need, free of times and machines."""

import json
import shutil
from pathlib import Path

from vmaf_jax.export.registry import write_registry
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.files import atomic_path, to_json
from vmaf_jax.jobs.export import export
from vmaf_jax.models import NETWORKS
from vmaf_jax.runs.run_folder import read_config

_COPIED = ("config.yaml", "parity.json", "card.md")
_PREDICTIONS = ("folds.parquet", "external_*.parquet")


def ship(run: Path, destination: Path) -> None:
    """Lays the model of `run` out in `destination`; the same run gives the same bytes.

    A network that libvmaf can run is written as `model.libvmaf.json` too; one whose layers can be
    quantised gets an 8-bit file. Predictions go along where the configuration lets them.

    Raises:
        GateError: an exported file missed a limit.
    """
    config = read_config(run)
    network = NETWORKS[config.student.network]
    patterns = (*_COPIED, *(_PREDICTIONS if config.data.rows_are_public else ()))
    with atomic_path(destination) as folder:
        folder.mkdir()
        for path in (path for pattern in patterns for path in sorted(run.glob(pattern))):
            shutil.copyfile(path, folder / path.name)
        shutil.copytree(run / "checkpoint", folder / "checkpoint")
        metrics = json.loads((run / "metrics.json").read_text())
        # What a run found on its machine, and beside the models that it may be about to replace.
        for key in ("timing", "environment", "beside"):
            del metrics[key]
        mode = "static" if network.tunable else None
        exported = export(str(run), folder / "model.onnx", quantize_mode=mode)
        metrics["int8"] = exported.int8
        if network.is_svr and config.student.pooling == "mean":
            in_libvmaf = export(str(run), folder / "model.libvmaf.json", "libvmaf")
            metrics["libvmaf"] = in_libvmaf.libvmaf
        (folder / "metrics.json").write_text(to_json(metrics))


def register(checkpoints: Path) -> None:
    """Writes `registry.json` over the model files in `checkpoints`, in the words of their cards.

    Raises:
        InputError: one of them is not whole.
    """
    descriptions = {}
    for folder in sorted(path.parent for path in checkpoints.glob("*/model.onnx")):
        metrics = json.loads((folder / "metrics.json").read_text())
        sidecar = json.loads((folder / "model.json").read_text())
        pooled, int8 = metrics["loso"]["pooled"], metrics["int8"]
        what = f"{sidecar['arch']['network']} network, {sidecar['n_params']} parameters"
        card = f"Card: {folder.name}/card.md."
        label = "opinion scores" if sidecar["label"]["name"] == "mos" else "VMAF"
        descriptions[f"{folder.name}/model.onnx"] = (
            f"{what}: {label} from libvmaf's six features; held-out RMSE {pooled['rmse']:.4f} "
            f"points over {len(metrics['folds'])} sources.",
            card,
        )
        if int8 is not None:
            descriptions[f"{folder.name}/{int8_path(folder / 'model.onnx').name}"] = (
                f"{what}, 8 bits: PLCC {int8['plcc_drop']:.1e} lower and RMSE "
                f"{int8['added_rmse']:+.3f} points over {int8['n']} labelled rows.",
                card,
            )
    write_registry(checkpoints / "registry.json", descriptions)
