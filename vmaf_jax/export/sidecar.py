"""The sidecar `<name>.json` beside `<name>.onnx`: what a host needs to know of that very file.

It never holds `input_mean` or `input_std`: the scaler is in the graph, and hosts that find them
would standardise a second time.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from vmaf_jax.export.contract import INPUT_NAME, MASK_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.export.sidecar_file import file_sha256
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.scale import OUTPUT_RANGE
from vmaf_jax.models import Student
from vmaf_jax.teacher import Teacher

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
        label_scale: the worst and the best vote, where people voted; else 0 and 100.
        calibration: what it knows of its own errors, as `calibration.py` writes it, or None.
    """

    name: str
    student: Student
    feature_set: FeatureSet
    label: str
    training: dict[str, Any]
    label_scale: tuple[float, float] = OUTPUT_RANGE
    calibration: dict[str, Any] | None = None

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
    # Residuals are of the model as it was trained; an 8-bit file has others.
    calibrated = identity.calibration is not None and quant_mode == "fp32"
    return {
        "name": identity.name,
        "kind": "fr",
        "onnx": onnx_path.name,
        "opset": OPSET,
        "input_name": INPUT_NAME,
        "output_name": OUTPUT_NAME,
        "input_names": [INPUT_NAME, MASK_NAME] if student.spec.over_frames else [INPUT_NAME],
        "output_names": [OUTPUT_NAME],
        "features": list(identity.feature_set),
        "feature_set": identity.feature_set.name,
        "pooling": student.pooling_name,
        "label": {"name": identity.label, "scale": list(identity.label_scale)},
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
        **({"calibration": identity.calibration} if calibrated else {}),
    }


def teacher_entries(teacher: Teacher) -> dict[str, Any]:
    """What a sidecar says of a VMAF model, whichever graph its SVR is in."""
    vectors = teacher.model.support_vectors
    return {
        "pooling": "mean",
        "label": {"name": teacher.name, "scale": list(OUTPUT_RANGE)},
        "arch": {"network": "nu-svr", "head": "scalar", "activation": "rbf"},
        "n_params": int(vectors.size + len(vectors)),
        "license": LICENSE,
        "training": {"teacher": teacher.name},
    }


def teacher_sidecar(teacher: Teacher, onnx_path: Path) -> dict[str, Any]:
    """The sidecar's content for a VMAF model that was written to `onnx_path`."""
    return {
        "name": teacher.name,
        "kind": "fr",
        "onnx": onnx_path.name,
        "opset": OPSET,
        "input_name": INPUT_NAME,
        "output_name": OUTPUT_NAME,
        "input_names": [INPUT_NAME],
        "output_names": [OUTPUT_NAME],
        "features": list(teacher.feature_set),
        "feature_set": teacher.feature_set.name,
        "expected_output_range": list(OUTPUT_RANGE),
        "sha256": file_sha256(onnx_path),
        "quant_mode": "fp32",
        **teacher_entries(teacher),
    }
