"""Sidecars as they lie beside model files: where, read, and held against the model."""

import hashlib
import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.opinions import LabelScale, check_scale
from vmaf_jax.features.scale import OUTPUT_RANGE
from vmaf_jax.limits import read_limited

MAX_BYTES = 4 << 20


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
        content = read_limited(path, "SIDECAR_BYTES", MAX_BYTES)
        description = dict(json.loads(content.decode()))
        description["training"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a sidecar ({error}); train again.") from error
    return description


def label_scale(description: dict[str, Any], path: Path) -> LabelScale:
    """The worst and the best vote that a sidecar names; 0 and 100 where it names none.

    Raises:
        InputError: they are no scale; `path` is for the message.
    """
    label = description.get("label")
    scale = label.get("scale", OUTPUT_RANGE) if isinstance(label, dict) else OUTPUT_RANGE
    return check_scale(scale, str(path))
