"""The sidecar `model.json` beside `model.onnx`: what a host needs to know.

It never holds `input_mean` or `input_std`: the scaler is in the graph, and hosts that find them
would standardise a second time.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.export.onnx_file import INPUT_NAME, OPSET, OUTPUT_NAME, OUTPUT_RANGE
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Student

LICENSE = "BSD-2-Clause-Patent"


def sidecar(
    onnx_path: Path,
    *,
    name: str,
    student: Student,
    feature_set: FeatureSet,
    training: dict[str, Any],
    quant_mode: str = "fp32",
) -> dict[str, Any]:
    """The sidecar's content for the file at `onnx_path`."""
    return {
        "name": name,
        "kind": "fr",
        "onnx": onnx_path.name,
        "opset": OPSET,
        "input_name": INPUT_NAME,
        "output_name": OUTPUT_NAME,
        "features": list(feature_set),
        "expected_output_range": list(OUTPUT_RANGE),
        "sha256": hashlib.sha256(onnx_path.read_bytes()).hexdigest(),
        "arch": {
            "network": student.network,
            "head": student.head,
            "activation": student.activation,
        },
        "n_params": student.n_params(),
        "quant_mode": quant_mode,
        "license": LICENSE,
        "training": training,
    }


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
