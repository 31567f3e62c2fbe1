"""MODEL, as users write it, to something that is called with features.

A MODEL is a shipped name, a run folder, a `.onnx` file, a libvmaf `.json` or the name of a VMAF
model; its kind is found out from what is there and recorded, never guessed in silence.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.export.calibration import Calibration, read_calibration
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet
from vmaf_jax.features.opinions import MOS_RANGE, LabelScale
from vmaf_jax.models.pooled import check_pooling, pool


@dataclasses.dataclass(frozen=True)
class Model:
    """A predictor.

    Attributes:
        name: for people.
        kind: `run` (JAX), `onnx` (ONNX Runtime) or `libvmaf` (a teacher, float64).
        feature_set: what it is called with.
        label: the label column it learnt, where that is known.
        label_scale: the worst and the best vote behind its 0 and its 100.
        pooling: how frames become a clip's score, by name.
        compiles: whether a new number of rows costs it a compilation.
        calibration: what it knows of its own errors; None where its files do not say.
    """

    name: str
    kind: str
    feature_set: FeatureSet
    _predict: Callable[[Any], Any]
    label: str | None = None
    label_scale: LabelScale = MOS_RANGE
    pooling: str = "mean"
    _clip: Callable[[Any], float] | None = None
    compiles: bool = True
    calibration: Calibration | None = None

    def __repr__(self) -> str:
        learnt = "" if self.label is None else f", learnt {self.label}"
        return (
            f"Model({self.name!r}, kind {self.kind}, features {self.feature_set.name}{learnt}, "
            f"pooled by {self.pooling})"
        )

    def __call__(self, features: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
        """Scores `[n]` in VMAF points, clipped, for raw features `[n, d]`.

        Raises:
            InputError: the array has another shape or a value that is not finite.
        """
        from vmaf_jax.features.rows import check_features

        return np.asarray(self._predict(check_features(features, self.feature_set)))

    def clip_score(
        self,
        features: npt.NDArray[np.float64],
        per_frame: npt.NDArray[np.floating[Any]] | None = None,
    ) -> float:
        """The score of a clip, VMAF points, from raw features of its frames `[t, d]`.

        Args:
            per_frame: the model's scores of those frames, where they are there already.
        """
        if self._clip is not None:
            return self._clip(features)
        scores = self(features) if per_frame is None else per_frame
        return pool(np.asarray(scores, np.float64), self.pooling)


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
        if Path(model).name == model and (shipped / "config.yaml").is_file():
            return shipped  # a folder of that name is written as a path: ./tiny
        if Path(model).is_dir():
            return Path(model)
    except (OSError, ValueError):
        pass  # no name that a file system takes
    from vmaf_jax.teacher.model_file import known_teachers, refuse_old_kinds

    refuse_old_kinds(model)
    names = sorted(path.parent.name for path in checkpoints().glob("*/config.yaml"))
    own = ", ".join(known_teachers())
    raise InputError(
        f"model {model!r}: no run folder, .onnx or .json file, nor a shipped name "
        f"({', '.join(names) or 'none here'}), nor one of VMAF's own ({own}); check the name."
        f"{did_you_mean(model, [*names, *known_teachers()])}"
    )


def feature_set_of(model: str | Path | Model) -> FeatureSet:
    """What a MODEL is called with, found out (and the MODEL checked) without loading it whole.

    Raises:
        InputError: as `load_model`, as far as can be seen by then.
    """
    if isinstance(model, Model):
        return model.feature_set
    text = str(model)
    if text.endswith(".onnx"):
        return _checked_onnx(Path(text))
    if is_teacher(text):
        from vmaf_jax.teacher import load_teacher

        return load_teacher(text).feature_set
    exported = checkpoints() / text / "model.onnx"
    if Path(text).name == text and exported.is_file():
        return _checked_onnx(exported)
    from vmaf_jax.jobs.run_folder import read_config

    return FEATURE_SETS[read_config(find_run(text)).data.feature_set]


def load_model(model: str | Path | Model) -> Model:
    """Loads a MODEL of any kind; one that is loaded already comes back as it is.

    Called with features in the order of `FEATURES`:

    >>> model = load_model("tiny")
    >>> model([[0.95, 0.6, 0.9, 0.94, 0.96, 3.2]]).round(1)
    array([84.8], dtype=float32)

    Args:
        model: a shipped name, a run folder, a `.onnx` or libvmaf `.json` file, or the name of one
            of VMAF's own models.

    Raises:
        InputError: it is none of the kinds, or damaged.
    """
    if isinstance(model, Model):
        return model
    text = str(model)
    if text.endswith(".onnx"):
        return _onnx_model(Path(text))
    if is_teacher(text):
        from vmaf_jax.teacher import load_teacher

        teacher = load_teacher(text)
        return Model(teacher.name, "libvmaf", teacher.feature_set, teacher, compiles=False)
    return _run_model(find_run(text))


def load_scorer(model: str | Path | Model) -> Model:
    """As `load_model`, of a shipped name by its exported file, which loads in a tenth of the time.

    The two agree as the model's parity says: `tiny` and `nano` to the bit.

    Raises:
        InputError: as `load_model`.
    """
    if isinstance(model, Model):
        return model
    folder = checkpoints() / str(model)
    exported = folder / "model.onnx"
    if Path(str(model)).name != str(model) or not exported.is_file():
        return load_model(model)
    return dataclasses.replace(_onnx_model(exported), name=str(model), kind="run")


def is_teacher(text: str) -> bool:
    """Whether a MODEL is a libvmaf JSON file, or a VMAF model's name that nothing here shadows."""
    if text.endswith(".json"):
        return True
    from vmaf_jax.teacher import known_teachers

    return text in known_teachers() and not Path(text).exists()


def _checked_onnx(path: Path) -> FeatureSet:
    from vmaf_jax.export.contract import load_onnx
    from vmaf_jax.export.sidecar_file import check_sidecar

    feature_set = load_onnx(path).feature_set
    check_sidecar(path, feature_set)
    return feature_set


def _onnx_model(path: Path) -> Model:
    from vmaf_jax.export.onnx_runtime import OnnxModel
    from vmaf_jax.export.sidecar_file import label_scale, read_sidecar, sidecar_path

    feature_set = _checked_onnx(path)
    model = OnnxModel(path)
    beside = sidecar_path(path)
    description = read_sidecar(beside) if beside.exists() else {}
    label = description.get("label")
    return Model(
        name=path.stem,
        kind="onnx",
        feature_set=feature_set,
        _predict=model,
        label=label.get("name") if isinstance(label, dict) else None,
        label_scale=label_scale(description, beside),
        pooling=check_pooling(description.get("pooling", "mean"), str(beside)),
        _clip=_lone_clip(model) if model.over_frames else None,
        compiles=False,
        calibration=read_calibration(description, len(feature_set), beside),
    )


def _lone_clip(model: Callable[..., Any]) -> Callable[[Any], float]:
    """A model over frames on one clip `[t, d]`, padded to a power of two: one compile per size."""

    def clip(features: npt.NDArray[np.float64]) -> float:
        t = len(features)
        padded = np.zeros((1, 1 << (t - 1).bit_length(), features.shape[1]), np.float32)
        padded[0, :t] = features
        mask = (np.arange(padded.shape[1]) < t)[None].astype(np.float32)
        return float(np.asarray(model(padded, mask))[0])

    return clip


def _run_model(folder: Path) -> Model:
    import jax
    import jax.numpy as jnp

    from vmaf_jax.jobs.run_folder import open_run
    from vmaf_jax.models import deploy

    run = open_run(folder)
    deployed = deploy(run.student, run.variables)
    constants = jax.device_put(deployed.constants)
    jitted = jax.jit(deployed.predict)

    def predict(*inputs: npt.NDArray[Any]) -> jax.Array:
        return jitted(constants, *(jnp.asarray(array, jnp.float32) for array in inputs))

    identity = run.identity
    return Model(
        name=identity.name,
        kind="run",
        feature_set=identity.feature_set,
        _predict=predict,
        label=identity.label,
        label_scale=identity.label_scale,
        pooling=run.student.pooling_name,
        _clip=_lone_clip(predict) if run.student.spec.over_frames else None,
        calibration=read_calibration(
            {"calibration": identity.calibration}, len(identity.feature_set), folder / "model.json"
        ),
    )
