"""The sidecar `model.json` beside `model.onnx`: what a host needs to know.

It never holds `input_mean` or `input_std`: the scaler is in the graph, and hosts that find them
would standardise a second time.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.export.onnx_file import INPUT_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.models import Student
from vmaf_jax.models.heads import OUTPUT_RANGE

LICENSE = "BSD-2-Clause-Patent"


def sidecar(
    onnx_path: Path,
    *,
    name: str,
    student: Student,
    feature_set: FeatureSet,
    training: dict[str, Any],
    quant_mode: str = "fp32",
    int8_sha256: str | None = None,
) -> dict[str, Any]:
    """The sidecar's content for the float32 file at `onnx_path`.

    Args:
        quant_mode: of the quantised file beside it, or `fp32` where there is none.
        int8_sha256: that file's digest.
    """
    quantised = {} if int8_sha256 is None else {"int8_sha256": int8_sha256}
    return {
        "name": name,
        "kind": "fr",
        "onnx": onnx_path.name,
        "opset": OPSET,
        "input_name": INPUT_NAME,
        "output_name": OUTPUT_NAME,
        "features": list(feature_set),
        "expected_output_range": list(OUTPUT_RANGE),
        "sha256": file_sha256(onnx_path),
        "arch": {
            "network": student.network,
            "head": student.head,
            "activation": student.activation,
        },
        "n_params": student.n_params(),
        "quant_mode": quant_mode,
        **quantised,
        "license": LICENSE,
        "training": training,
    }


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def int8_path(onnx_path: Path) -> Path:
    """Where the quantised form of a model lies: `<basename>.int8.onnx` beside it."""
    return onnx_path.with_name(f"{onnx_path.stem}.int8.onnx")


def check_sidecar(onnx_path: Path) -> None:
    """Holds a model file against the sidecar beside it, where there is one.

    Raises:
        InputError: the file is not the one that the sidecar describes, or a host would misread it.
    """
    base = onnx_path.name.removesuffix(".onnx").removesuffix(".int8")
    path = onnx_path.with_name(f"{base}.json")
    if not path.exists():
        return
    found = read_sidecar(path)
    key = "int8_sha256" if onnx_path.name.endswith(".int8.onnx") else "sha256"
    if found.get(key) != file_sha256(onnx_path):
        raise InputError(
            f"{onnx_path}: is not the file that {path.name} describes ({key} differs); export it "
            f"again."
        )
    twice = {"input_mean", "input_std"} & found.keys()
    if twice or found.get("features") != list(FEATURES):
        raise InputError(
            f"{path}: {'standardises a second time' if twice else 'names other features'}; export "
            f"the model again."
        )


def training_digest(training: dict[str, Any]) -> str:
    """SHA-256 over what a model was trained with and on: its configuration and corpora."""
    told = {key: training[key] for key in ("config_sha256", "corpora")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_sidecar(path: Path) -> dict[str, Any]:
    """A run's sidecar.

    Raises:
        InputError: missing, not JSON, or without its `training` entry.
    """
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
        found["training"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a sidecar ({error}); train again.") from error
    return found
