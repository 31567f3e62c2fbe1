"""The sidecar `<name>.json` beside a model file: its content, its calibration, and how it is read.

    "calibration": {"n_clips": ..., "n_sources": ..., "quantile": [...], "difficulty": [...],
                    "region": {"mean": [...], "covariance": [[...], ...], "limit": ...}}

The first four are a `ConformalProfile` of residuals of clips whose source the predicting student
never saw, to six decimals; `region` is of the training clips' mean features. No clip and no label
is in it.

It never holds `input_mean` or `input_std`: the scaler is in the graph, and hosts that find them
would standardise a second time.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import (
    GRID,
    N_SHARES,
    ConformalProfile,
    ScoreInterval,
    TrainingRegion,
)
from vmaf_jax.export.contract import INPUT_NAME, MASK_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.export.contract import MAX_BYTES as ONNX_BYTES
from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.files import read_limited
from vmaf_jax.tables.opinions import LabelScale, check_scale

if TYPE_CHECKING:  # both load JAX, which reading a sidecar does without
    from vmaf_jax.models import Student
    from vmaf_jax.teacher import Teacher

_DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The profile of a model's held-out residuals, and its training region.

    Attributes:
        profile: of the residuals of clips, each predicted without its source.
        region: where the training clips lie.
    """

    profile: ConformalProfile
    region: TrainingRegion

    def interval(self, predicted: float, level: float, model: str) -> ScoreInterval:
        """The interval around a clip's prediction, points.

        Args:
            model: its name, for messages.

        Raises:
            InputError: a level outside (0, 1), or a single source.
        """
        check_level(level, "--interval")
        if self.profile.n_sources < 2:
            raise InputError(
                f"{model}: is calibrated on one source, which says nothing of another; train it "
                f"on clips of several sources."
            )
        return self.profile.interval(predicted, level)

    def to_dict(self) -> dict[str, Any]:
        """The entry of a sidecar."""
        profile = self.profile
        return {
            "n_clips": profile.n_clips,
            "n_sources": profile.n_sources,
            "quantile": np.round(profile.quantile, _DECIMALS).tolist(),
            "difficulty": np.round(profile.difficulty, _DECIMALS).tolist(),
            "region": {
                "mean": self.region.mean.tolist(),
                "covariance": self.region.covariance.tolist(),
                "limit": self.region.limit,
            },
        }


def check_level(level: float, name: str) -> None:
    """Raises InputError, naming the flag, unless `level` is in (0, 1)."""
    if not 0 < level < 1:
        raise InputError(f"{name} {level:g}: expected more than 0 and less than 1, such as 0.9.")


def read_calibration(
    description: dict[str, Any], n_features: int, path: Path
) -> Calibration | None:
    """The calibration in a sidecar; None where it has none.

    Args:
        n_features: that the model takes.
        path: the sidecar's, for messages.

    Raises:
        InputError: it is damaged; the message says where.
    """
    entry = description.get("calibration")
    if entry is None:
        return None
    try:
        return _parsed(entry, n_features)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: its calibration is damaged ({reason}); export the model again."
        ) from error


def _parsed(entry: Any, n_features: int) -> Calibration:
    if not isinstance(entry, dict) or not isinstance(entry["region"], dict):
        raise ValueError("no record")
    counts = _numbers([entry["n_clips"], entry["n_sources"]], "n_clips or n_sources", 1)
    if not (counts == np.round(counts)).all() or not 1 <= counts[1] <= counts[0]:
        raise ValueError("n_clips and n_sources are not counts")
    quantile = _numbers(entry["quantile"], "quantile", 1)
    difficulty = _numbers(entry["difficulty"], "difficulty", 1)
    for name, values, n in (
        ("quantile", quantile, N_SHARES),
        ("difficulty", difficulty, len(GRID)),
    ):
        if len(values) != n or values.min() < 0:
            raise ValueError(f"{name} is not {n} numbers from 0 up")
    if (np.diff(quantile) < 0).any():
        raise ValueError("quantile falls")
    mean = _numbers(entry["region"]["mean"], "region.mean", 1)
    covariance = _numbers(entry["region"]["covariance"], "region.covariance", 2)
    if mean.shape != (n_features,) or covariance.shape != (n_features, n_features):
        raise ValueError(f"region is not of {n_features} features")
    if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] <= 0:
        raise ValueError("region.covariance is not positive definite")
    limit = float(_numbers([entry["region"]["limit"]], "region.limit", 1)[0])
    if limit <= 0:
        raise ValueError("region.limit is not above 0")
    profile = ConformalProfile(int(counts[0]), int(counts[1]), quantile, difficulty)
    return Calibration(profile, TrainingRegion(mean, covariance, limit))


def _numbers(values: Any, name: str, rank: int) -> npt.NDArray[np.float64]:
    array = np.array(values)
    if array.ndim != rank or array.dtype.kind not in "if":
        raise ValueError(f"{name} is not numbers of rank {rank}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a value that is not finite")
    return array.astype(np.float64)


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
    from vmaf_jax.models.pooling import check_pooling

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
    student: "Student"
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
    # HeldOutPredictions are of the model as it was trained; an 8-bit file has others.
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


def teacher_entries(teacher: "Teacher") -> dict[str, Any]:
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


def teacher_sidecar(teacher: "Teacher", onnx_path: Path) -> dict[str, Any]:
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
