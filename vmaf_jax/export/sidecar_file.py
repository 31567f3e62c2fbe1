"""Sidecars as they lie beside model files: where, read, and held against the model."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.export.calibration import read_calibration
from vmaf_jax.export.contract import MAX_BYTES as ONNX_BYTES
from vmaf_jax.export.contract import OUTPUT_NAME
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.opinions import LabelScale, check_scale
from vmaf_jax.features.scale import OUTPUT_RANGE
from vmaf_jax.limits import read_limited

MAX_BYTES = 4 << 20
MAX_NAME = 256  # characters


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


def check_sidecar(onnx_path: Path, feature_set: FeatureSet, *, whole: bool = False) -> None:
    """Holds a model file against the sidecar beside it, where there is one.

    Args:
        feature_set: what the file itself says that it takes.
        whole: whether every entry has to be there; else those that are there are checked, since
            earlier versions wrote fewer.

    Raises:
        InputError: the file is not the one that the sidecar describes, or an entry of the sidecar
            is missing, contradicts the file, or makes no sense.
    """
    import onnx

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
    model = onnx.load_model_from_string(read_limited(onnx_path, "ONNX_BYTES", ONNX_BYTES))
    facts = {"onnx": onnx_path.name, **_facts(model)}
    missing = [key for key in (*facts, *_SENSE) if key not in description] if whole else []
    if missing:
        raise InputError(f"{path}: has no {missing[0]}; export the model again.")
    for key, value in facts.items():
        if description.get(key, value) != value:
            raise InputError(
                f"{path}: {key} is {description[key]!r}, of {onnx_path.name} it is {value!r}; "
                f"export the model again."
            )
    _check_sense(description, len(feature_set), path)


def _facts(model: Any) -> dict[str, Any]:
    """What a sidecar says that the model file says too."""
    properties = {entry.key: entry.value for entry in model.metadata_props}
    inputs = [tensor.name for tensor in model.graph.input]
    outputs = [tensor.name for tensor in model.graph.output]
    return {
        "kind": "fr",
        "opset": model.opset_import[0].version,
        "input_name": inputs[0],
        "output_name": OUTPUT_NAME,
        "input_names": inputs,
        "output_names": outputs,
        "expected_output_range": list(OUTPUT_RANGE),
        "quant_mode": properties.get("quant_mode", "fp32"),
    }


# Entries that the model file does not repeat; each is held to what it may be.
_SENSE: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str) and 0 < len(value) <= MAX_NAME,
    "pooling": lambda value: isinstance(value, str),  # and one of ours, as `check_pooling` says
    "label": lambda value: isinstance(value, dict) and isinstance(value.get("name"), str),
    "arch": lambda value: isinstance(value, dict),
    "n_params": lambda value: type(value) is int and value > 0,
    "license": lambda value: isinstance(value, str) and 0 < len(value) <= MAX_NAME,
    "training": lambda value: isinstance(value, dict),
}


def _check_sense(description: dict[str, Any], n_features: int, path: Path) -> None:
    from vmaf_jax.models.pooled import check_pooling

    for key, makes_sense in _SENSE.items():
        if key in description and not makes_sense(description[key]):
            raise InputError(
                f"{path}: {key} is {description[key]!r:.80}, which cannot be; export the model "
                f"again."
            )
    if "pooling" in description:
        check_pooling(description["pooling"], str(path))
    label_scale(description, path)
    if "calibration" in description and description.get("quant_mode", "fp32") != "fp32":
        raise InputError(
            f"{path}: has a calibration, which is of the float32 file's errors; export the model "
            f"again."
        )
    read_calibration(description, n_features, path)


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
