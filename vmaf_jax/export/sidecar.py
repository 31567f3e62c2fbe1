"""The sidecar `<name>.json` beside `<name>.onnx`: what a host needs to know of that very file.

It never holds `input_mean` or `input_std`: the scaler is in the graph, and hosts that find them
would standardise a second time.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.models import Student
from vmaf_jax.models.heads import OUTPUT_RANGE

LICENSE = "BSD-2-Clause-Patent"


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a model is, whichever file of it is described.

    Attributes:
        name: the model's.
        student: its network, head and activation.
        feature_set: what it is called with.
        label: what it predicts, a teacher's name or `mos`.
        training: what it was trained with and on, as `training` of the sidecar.
    """

    name: str
    student: Student
    feature_set: FeatureSet
    label: str
    training: dict[str, Any]

    @property
    def training_sha256(self) -> str:
        """SHA-256 over the training's configuration and corpora."""
        origin = {key: self.training[key] for key in ("config_sha256", "corpora")}
        return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()


def sidecar(onnx_path: Path, identity: Identity, *, quant_mode: str = "fp32") -> dict[str, Any]:
    """The sidecar's content for the file at `onnx_path`.

    Args:
        quant_mode: of that very file: `fp32`, `dynamic`, `static` or `qat`.
    """
    student = identity.student
    return {
        "name": identity.name,
        "kind": "fr",
        "onnx": onnx_path.name,
        "opset": OPSET,
        "input_name": INPUT_NAME,
        "output_name": OUTPUT_NAME,
        "input_names": [INPUT_NAME],
        "output_names": [OUTPUT_NAME],
        "features": list(identity.feature_set),
        "feature_set": identity.feature_set.name,
        "pooling": "mean",
        "label": {"name": identity.label, "scale": list(OUTPUT_RANGE)},
        "expected_output_range": list(OUTPUT_RANGE),
        "sha256": file_sha256(onnx_path),
        "arch": {
            "network": student.network,
            "head": student.head,
            "activation": student.activation,
        },
        "n_params": student.n_params(),
        "quant_mode": quant_mode,
        "license": LICENSE,
        "training": identity.training,
    }


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def int8_path(onnx_path: Path) -> Path:
    """Where the quantised form of a model lies: `<basename>.int8.onnx` beside it."""
    return onnx_path.with_name(f"{onnx_path.stem}.int8.onnx")


def sidecar_path(onnx_path: Path) -> Path:
    """Where a file's sidecar lies: the same name, ending in `.json`."""
    return onnx_path.with_suffix(".json")


def check_sidecar(onnx_path: Path, feature_set: FeatureSet) -> None:
    """Holds a model file against the sidecar beside it, where there is one.

    Args:
        feature_set: what the file itself says that it takes.
    Raises:
        InputError: the file is not the one that the sidecar describes, or a host would misread it.
    """
    path = sidecar_path(onnx_path)
    if not path.exists():
        return
    description = read_sidecar(path)
    if description.get("sha256") != file_sha256(onnx_path):
        raise InputError(
            f"{onnx_path}: is not the file that {path.name} describes (sha256 differs); export it "
            f"again."
        )
    if {"input_mean", "input_std"} & description.keys():
        raise InputError(f"{path}: standardises a second time; export the model again.")
    named = (description.get("features"), description.get("feature_set", FEATURES.name))
    if named != (list(feature_set), feature_set.name):
        raise InputError(f"{path}: names other features; export the model again.")


def read_sidecar(path: Path) -> dict[str, Any]:
    """A run's sidecar.

    Raises:
        InputError: missing, not JSON, or without its `training` entry.
    """
    try:
        description = dict(json.loads(path.read_text(encoding="utf-8")))
        description["training"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a sidecar ({error}); train again.") from error
    return description
