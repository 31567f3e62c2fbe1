"""MODEL, as users write it, to something that is called with features.

A MODEL is a shipped name, a run folder, a `.onnx` file or a libvmaf `.json`; its kind is found out
from what is there and recorded, never guessed in silence.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.config import Config, read_yaml, validate
from vmaf_jax.errors import InputError
from vmaf_jax.export.checkpoint import load_checkpoint
from vmaf_jax.export.onnx_file import OnnxModel, load_onnx
from vmaf_jax.export.sidecar import check_sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.models import Student, Variables, deploy
from vmaf_jax.teacher import check_features, load_teacher

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


@dataclasses.dataclass(frozen=True)
class Model:
    """A predictor.

    Attributes:
        name: for people.
        kind: `run` (JAX), `onnx` (ONNX Runtime) or `libvmaf` (a teacher, float64).
        feature_set: what it is called with.
        label: the label column it learnt, where that is known.
    """

    name: str
    kind: str
    feature_set: FeatureSet
    _predict: Callable[[Any], Any]
    label: str | None = None

    def __call__(self, features: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
        """Scores `[n]` in VMAF points, clipped, for raw features `[n, d]`.

        Raises:
            InputError: the array has another shape or a value that is not finite.
        """
        return np.asarray(self._predict(check_features(features, self.feature_set)))


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder opened: its configuration, student and trained variables."""

    path: Path
    config: Config
    student: Student
    variables: Variables


def make_student(config: Config) -> Student:
    """The student that a configuration describes."""
    return Student(
        network=config.student.network,
        head=config.training.head,
        activation=config.student.activation,
        dropout=config.student.dropout,
        n_features=len(FEATURE_SETS[config.data.feature_set]),
    )


def load_run(path: Path) -> Run:
    """Opens a run folder or a shipped model's.

    Raises:
        InputError: it is no run folder, or one of its files is damaged.
    """
    if not (path / "config.yaml").is_file():
        raise InputError(f"{path}: not a run folder (no config.yaml); name one that train wrote.")
    config = validate(Config, read_yaml(path / "config.yaml"), path / "config.yaml")
    student = make_student(config)
    return Run(path, config, student, load_checkpoint(path / "checkpoint", student))


def find_run(model: str) -> Path | None:
    """The folder of a run or of a shipped model; None if `model` names neither."""
    try:
        if Path(model).is_dir():
            return Path(model)
    except OSError:
        return None  # no name that a file system takes
    shipped = CHECKPOINTS / model
    return shipped if Path(model).name == model and shipped.is_dir() else None


def feature_set_of(model: str | Path) -> FeatureSet:
    """What a MODEL is called with, found out (and the MODEL checked) without loading it whole.

    Raises:
        InputError: as `load_model`, as far as can be seen by then.
    """
    text = str(model)
    if text.endswith(".onnx"):
        load_onnx(Path(text))
        check_sidecar(Path(text))
        return FEATURES
    if text.endswith(".json"):
        return load_teacher(text).feature_set
    config = _folder(text) / "config.yaml"
    return FEATURE_SETS[validate(Config, read_yaml(config), config).data.feature_set]


def _folder(text: str) -> Path:
    folder = find_run(text)
    if folder is None:
        shipped = sorted(each.parent.name for each in CHECKPOINTS.glob("*/config.yaml"))
        raise InputError(
            f"model {text!r}: no run folder, .onnx or .json file, nor a shipped name "
            f"({', '.join(shipped) or 'none here'}); check the name."
        )
    return folder


def load_model(model: str | Path) -> Model:
    """Loads a MODEL of any kind.

    Raises:
        InputError: it is none of the kinds, or damaged.
    """
    text = str(model)
    if text.endswith(".onnx"):
        check_sidecar(Path(text))
        return Model(Path(text).stem, "onnx", FEATURES, OnnxModel(Path(text)))
    if text.endswith(".json"):
        teacher = load_teacher(text)
        return Model(teacher.name, "libvmaf", teacher.feature_set, teacher)
    run = load_run(_folder(text))
    deployed = deploy(run.student, run.variables)
    constants = jax.device_put(deployed.constants)
    jitted = jax.jit(deployed.predict)

    def predict(features: npt.NDArray[np.float64]) -> jax.Array:
        return jitted(constants, jnp.asarray(features, jnp.float32))

    data = run.config.data
    feature_set = FEATURE_SETS[data.feature_set]
    return Model(run.config.name, "run", feature_set, predict, data.label_column)
