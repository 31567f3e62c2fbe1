"""MODEL, as users write it, to something that is called with features.

A MODEL is a shipped name, a run folder, a `.onnx` file or a libvmaf `.json`; its kind is found out
from what is there and recorded, never guessed in silence.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet


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
        from vmaf_jax.teacher import check_features

        return np.asarray(self._predict(check_features(features, self.feature_set)))


def checkpoints() -> Path:
    """The folder of the shipped models: in the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "checkpoints"
    return inside if inside.is_dir() else package.parent / "checkpoints"


def find_run(model: str) -> Path:
    """The folder of a run or of a shipped model.

    Raises:
        InputError: `model` names neither.
    """
    shipped = checkpoints() / model
    try:
        if Path(model).is_dir():
            return Path(model)
        if Path(model).name == model and shipped.is_dir():
            return shipped
    except OSError:
        pass  # no name that a file system takes
    names = sorted(path.parent.name for path in checkpoints().glob("*/config.yaml"))
    raise InputError(
        f"model {model!r}: no run folder, .onnx or .json file, nor a shipped name "
        f"({', '.join(names) or 'none here'}); check the name."
    )


def feature_set_of(model: str | Path) -> FeatureSet:
    """What a MODEL is called with, found out (and the MODEL checked) without loading it whole.

    Raises:
        InputError: as `load_model`, as far as can be seen by then.
    """
    text = str(model)
    if text.endswith(".onnx"):
        return _checked_onnx(Path(text))
    if text.endswith(".json"):
        from vmaf_jax.teacher import load_teacher

        return load_teacher(text).feature_set
    from vmaf_jax.jobs.run_folder import read_config

    return FEATURE_SETS[read_config(find_run(text)).data.feature_set]


def load_model(model: str | Path) -> Model:
    """Loads a MODEL of any kind.

    Raises:
        InputError: it is none of the kinds, or damaged.
    """
    text = str(model)
    if text.endswith(".onnx"):
        return _onnx_model(Path(text))
    if text.endswith(".json"):
        from vmaf_jax.teacher import load_teacher

        teacher = load_teacher(text)
        return Model(teacher.name, "libvmaf", teacher.feature_set, teacher)
    return _run_model(find_run(text))


def _checked_onnx(path: Path) -> FeatureSet:
    from vmaf_jax.export.contract import load_onnx
    from vmaf_jax.export.sidecar import check_sidecar

    feature_set = load_onnx(path).feature_set
    check_sidecar(path, feature_set)
    return feature_set


def _onnx_model(path: Path) -> Model:
    from vmaf_jax.export.onnx_runtime import OnnxModel

    feature_set = _checked_onnx(path)
    return Model(path.stem, "onnx", feature_set, OnnxModel(path))


def _run_model(folder: Path) -> Model:
    import jax
    import jax.numpy as jnp

    from vmaf_jax.jobs.run_folder import open_run
    from vmaf_jax.models import deploy

    run = open_run(folder)
    deployed = deploy(run.student, run.variables)
    constants = jax.device_put(deployed.constants)
    jitted = jax.jit(deployed.predict)

    def predict(features: npt.NDArray[np.float64]) -> jax.Array:
        return jitted(constants, jnp.asarray(features, jnp.float32))

    identity = run.identity
    return Model(identity.name, "run", identity.feature_set, predict, identity.label)
