"""From a model as users name it (MODEL) to a function of features.

A MODEL is a shipped name, a run folder, a `.onnx` file, a libvmaf `.json` or the name of a VMAF
model; its kind is found out from what is there and recorded, never guessed in silence.

VMAF has a model for a 1080p screen seen from three times its height, `vmaf_v0.6.1`, and one for a
4K screen seen from one and a half, `vmaf_4k_v0.6.1`. The reference decides, since the score is of
its resolution: from 3840 pixels on its long side, or 2160 on its short one, it is 4K. A file does
not tell a phone: that model, the first with its file's score transform, is taken if asked for.
Source: libvmaf's `resource/doc/models.md`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.export.sidecar import Calibration, read_calibration
from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet
from vmaf_jax.models.pooling import check_pooling, pool
from vmaf_jax.runs.locate import checkpoints, find_run
from vmaf_jax.tables.opinions import MOS_RANGE, LabelScale
from vmaf_jax.teacher import known_teachers
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video, check_video
from vmaf_jax.video.streams import probe


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
        from vmaf_jax.features.checks import check_features

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
    from vmaf_jax.runs.run_folder import read_config

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
    from vmaf_jax.export.sidecar import check_sidecar

    feature_set = load_onnx(path).feature_set
    check_sidecar(path, feature_set)
    return feature_set


def _onnx_model(path: Path) -> Model:
    from vmaf_jax.export.onnx_runtime import OnnxModel
    from vmaf_jax.export.sidecar import label_scale, read_sidecar, sidecar_path

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

    from vmaf_jax.models import deploy
    from vmaf_jax.runs.run_folder import open_run

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


AUTO, PHONE = "auto", "phone"
HD, FOUR_K = "vmaf_v0.6.1", "vmaf_4k_v0.6.1"
_LONG, _SHORT = 3840, 2160  # pixels


@dataclasses.dataclass(frozen=True)
class Choice:
    """A model, and in a sentence why it was taken where it was not named."""

    model: str | Path | Model
    reason: str | None = None


def choose(model: str | Path | Model, reference: Video) -> Choice:
    """The model to score with.

    Args:
        model: as users name it; any but `auto` and `phone` comes back as it is.
        reference: the pristine video.

    Raises:
        InputError: the reference cannot be read.
    """
    if model == PHONE:
        from vmaf_jax.teacher import load_teacher

        teacher = load_teacher(HD, phone=True)
        name = f"{HD}_phone"
        loaded = Model(name, "libvmaf", teacher.feature_set, teacher)
        return Choice(loaded, f"{name}: {HD} with its transform for phone screens, as asked for")
    if model != AUTO:
        return Choice(model)
    check_video(reference)
    width, height = reference.width, reference.height
    if width is None or height is None:
        facts = probe(find_ffmpeg(), (reference, reference))[1][0]
        width, height = facts.width, facts.height
    name = model_for(width, height)
    screen = "a 4K screen at 1.5 heights" if name == FOUR_K else "a 1080p screen at 3 heights"
    return Choice(name, f"{name}: chosen for {screen}, the reference is {width}x{height}")


def model_for(width: int, height: int) -> str:
    """VMAF's model for pictures of so many pixels."""
    is_4k = max(width, height) >= _LONG or min(width, height) >= _SHORT
    return FOUR_K if is_4k else HD


@dataclasses.dataclass(frozen=True)
class ListedModel:
    """A model that goes by its name.

    Attributes:
        name: what `load_model` takes.
        kind: `student` (shipped here) or `vmaf` (VMAF's own).
        feature_set: what it is called with.
        label: the label column it learnt; of VMAF's own, its name.
        n_params: numbers that were learnt; None for VMAF's own.
        rmse: held-out, VMAF points against `label`, from its own record; None for VMAF's own.
        label_scale: the worst and the best vote, of opinion scores.
        card: its description for people; None where it has none.
    """

    name: str
    kind: str
    feature_set: str
    label: str
    n_params: int | None = None
    rmse: float | None = None
    label_scale: LabelScale = OUTPUT_RANGE
    card: Path | None = None

    @property
    def unit(self) -> str:
        """What `rmse_in_unit` is in."""
        if self.label != "mos":
            return "VMAF points"
        low, high = self.label_scale
        return f"votes on {low:g}-{high:g}"

    @property
    def rmse_in_unit(self) -> float | None:
        """`rmse` on the scale that the label was given on."""
        low, high = self.label_scale
        return None if self.rmse is None else self.rmse * (high - low) / 100


@dataclasses.dataclass(frozen=True)
class ListedBackend:
    """Something that measures features.

    Attributes:
        name: as `score` takes it: `libvmaf` (on the processor) or `jax` (on JAX's first device).
        live: whether it runs here, now.
        detail: what it is, or why it does not run.
    """

    name: str
    live: bool
    detail: str


def list_models() -> list[ListedModel]:
    """The shipped students, then VMAF's own models that the features here serve."""
    from vmaf_jax.export.sidecar import label_scale, read_sidecar

    models = []
    for path in sorted(checkpoints().glob("*/model.json")):
        sidecar = read_sidecar(path)
        card = path.with_name("card.md")
        models.append(
            ListedModel(
                name=path.parent.name,
                kind="student",
                feature_set=sidecar["feature_set"],
                label=sidecar["label"]["name"],
                n_params=sidecar["n_params"],
                rmse=sidecar["training"]["metrics"]["loso"]["rmse"],
                label_scale=label_scale(sidecar, path),
                card=card if card.is_file() else None,
            )
        )
    for name in sorted(known_teachers()):
        try:
            models.append(ListedModel(name, "vmaf", feature_set_of(name).name, name))
        except InputError:
            continue  # over features that are not measured here
    return models


def list_backends() -> list[ListedBackend]:
    """What measures features on this machine."""
    import jax

    from vmaf_jax.video.ffmpeg import find_ffmpeg

    try:
        ffmpeg = find_ffmpeg()
        libvmaf = ListedBackend("libvmaf", True, f"libvmaf in ffmpeg {ffmpeg.version}")
    except InputError as error:
        libvmaf = ListedBackend("libvmaf", False, str(error))
    device = jax.devices()[0]
    mend = "" if device.platform != "cpu" else "; for a GPU install 'vmaf-jax[cuda]'"
    detail = f"features in JAX {jax.__version__} on {device.platform} ({device.device_kind}){mend}"
    # Both decode with ffmpeg.
    return [libvmaf, ListedBackend("jax", libvmaf.live, detail)]
