"""Trains the shipped models, lays them out in `checkpoints/` and registers them.

    python tools/checkpoints.py        # or: make checkpoints

Run from the root of the repository. What a run says of times and machines is left out.
"""

import json
import shutil
from pathlib import Path

from vmaf_jax.cli import main
from vmaf_jax.export.sidecar import int8_path, read_sidecar, sidecar_path
from vmaf_jax.files import atomic_path, to_json
from vmaf_jax.jobs.doctor import Entry, Registry, verify_registry
from vmaf_jax.jobs.export import export
from vmaf_jax.models import NETWORKS
from vmaf_jax.runs.run_folder import read_config

CONFIGS = (
    *(Path(f"configs/checkpoints/{name}.yaml") for name in ("nano", "tiny", "rbf_4k", "opinions")),
    Path("configs/rbf.yaml"),
)
OPINIONS = Path("runs/opinions.parquet")  # users bring it; without it that model stays
_COPIED = ("config.yaml", "parity.json", "card.md")
_PREDICTIONS = ("folds.parquet", "external_*.parquet")


def rebuild() -> None:
    """Trains every configuration of `CONFIGS` in `runs/checkpoints` and ships what it gives."""
    for config in CONFIGS:
        if config.stem == "opinions" and not OPINIONS.is_file():
            continue
        run = Path("runs/checkpoints") / config.stem
        words = ["train", "--config", str(config), "--run-dir", str(run), "--overwrite"]
        main(words, leave=False)
        ship(run, Path("checkpoints") / config.stem)
    register(Path("checkpoints"))


def ship(run: Path, destination: Path) -> None:
    """Writes the model of `run` to the folder `destination`; the same run gives the same bytes.

    A network that libvmaf can run is also written as `model.libvmaf.json`, and one whose layers can
    be quantised as an 8-bit file. Predictions are copied if the configuration allows it.

    Raises:
        GateError: An exported file missed a limit.
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
        # Figures of this machine, and of the shipped models that this run may replace.
        for key in ("timing", "environment", "beside"):
            del metrics[key]
        mode = "static" if network.tunable else None
        exported = export(str(run), folder / "model.onnx", quantize_mode=mode)
        metrics["int8"] = exported.int8
        if network.is_svr:
            in_libvmaf = export(str(run), folder / "model.libvmaf.json", "libvmaf")
            metrics["libvmaf"] = in_libvmaf.libvmaf
        (folder / "metrics.json").write_text(to_json(metrics))


def register(checkpoints: Path) -> None:
    """Writes `registry.json`, which describes every model file in `checkpoints`.

    Raises:
        InputError: A model's files are not complete.
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
    entries = []
    for onnx, (description, notes) in descriptions.items():
        said = read_sidecar(sidecar_path(checkpoints / onnx))
        entry = Entry.model_validate(
            {
                "id": said.name + ("_int8" if onnx.endswith(".int8.onnx") else ""),
                "kind": said.kind,
                "onnx": onnx,
                "sha256": said.sha256,
                "opset": said.opset,
                "quant_mode": said.quant_mode,
                "license": said.license,
                "description": description,
                "notes": notes,
            }
        )
        entries.append(entry)
    registry = Registry(schema_version=1, models=entries)
    with atomic_path(checkpoints / "registry.json") as temporary:
        content = json.dumps(registry.model_dump(exclude_none=True), indent=2)
        temporary.write_text(content + "\n")
        verify_registry(temporary)


if __name__ == "__main__":
    rebuild()
