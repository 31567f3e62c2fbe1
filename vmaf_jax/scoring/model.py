"""Models as users name them (MODEL), loaded as functions of features.

A MODEL is a shipped name, a run folder, a `.onnx` file, a libvmaf `.json` or the name of a VMAF
model; its kind is found out from what is there and recorded, never guessed silently.

`auto` is one of VMAF's own models by the resolution of the reference, since the score is of that
resolution: `vmaf_v0.6.1` is made for a 1080p screen seen from three times its height,
`vmaf_4k_v0.6.1` for a 4K screen seen from one and a half. From 3840 pixels on its long side, or
2160 on its short one, a reference is 4K. `v1` is VMAF v1's model for the display, which follows
the reference alike, and for its frame rate. `phone` is the first model with its file's score
transform for phones; a file does not tell on which screen it is watched.
Source: libvmaf's `resource/doc/models.md` and `models_v1.md`.
"""

import dataclasses
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, name_missing_extra
from vmaf_jax.evaluation.clip_pooling import apply_pooling
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet, check_features
from vmaf_jax.runs.locate import find_run, shipped_onnx
from vmaf_jax.tables.table import MAX_DISTANCE, MOS_RANGE, LabelScale
from vmaf_jax.teacher import known_teachers
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video, check_video

if TYPE_CHECKING:
    from vmaf_jax.evaluation.conformal import Calibration
    from vmaf_jax.models.viewing_distance import ViewingDistance
    from vmaf_jax.scoring.title_model import TitleModel

Floats = npt.NDArray[np.float64]
CALIBRATED = "calibrated"  # kind of a model that votes calibrated to titles
CLIPS_FILE = "clips.csv"  # marks a folder that `vmaf-jax calibrate` wrote


@dataclasses.dataclass(frozen=True)
class Model:
    """A predictor of VMAF points from features.

    Attributes:
        name: For people.
        kind: `run` (JAX), `onnx` (ONNX Runtime), `libvmaf` (a teacher, float64) or `calibrated`.
        feature_set: The features that it is called with.
        label: The label column that it was trained on, where that is known.
        label_scale: The worst and the best vote behind its 0 and its 100.
        pooling: How frames become a clip's score, by name.
        compiles: Whether a new number of rows costs it a compilation.
        calibration: Its held-out errors and training region; None where its files have none.
        titles: The votes that calibrated it to titles; None of other models.
        folder: Of its files, where its run's held-out predictions may lie; None for VMAF's own.
        distance: The viewing distances that it knows; None where it knows none.
        top: Its highest score; 110 of VMAF v1 for `2160p@3H`.
    """

    name: str
    kind: str
    feature_set: FeatureSet
    _predict: Callable[[Floats], npt.ArrayLike]
    label: str | None = None
    label_scale: LabelScale = MOS_RANGE
    pooling: str = "mean"
    _clip: Callable[[Floats], float] | None = None
    compiles: bool = True
    calibration: "Calibration | None" = None
    titles: "TitleModel | None" = None
    folder: Path | None = None
    distance: "ViewingDistance | None" = None
    top: float = 100.0

    def __repr__(self) -> str:
        learnt = "" if self.label is None else f", learnt {self.label}"
        return (
            f"Model({self.name!r}, kind {self.kind}, features {self.feature_set.name}{learnt}, "
            f"pooled by {self.pooling})"
        )

    def __call__(self, features: npt.ArrayLike) -> npt.NDArray[np.floating]:
        """Returns scores `[n]` in VMAF points, clipped, for raw features `[n, d]`.

        Raises:
            InputError: The array has another shape or a value that is not finite.
        """
        return np.asarray(self._predict(check_features(features, self.feature_set)))

    def seen_from(self, distance: float) -> "Model":
        """Returns the model whose scores are of viewers at a distance, in picture heights.

        Raises:
            InputError: The model knows no distances, or this is none.
        """
        from vmaf_jax.models.viewing_distance import move_scores

        if self.distance is None:
            raise InputError(
                f"distance {distance:g}: {self.name} knows no viewing distances; take opinions, or "
                f"train with data.distance."
            )
        if not 0 < distance <= MAX_DISTANCE:
            raise InputError(
                f"distance {distance:g}: expected picture heights, above 0 and at most "
                f"{MAX_DISTANCE:g}, such as 3.2."
            )
        near, near_clip, strength = self._predict, self._clip, self.distance.strength(distance)

        def predict(features: Floats) -> npt.NDArray[np.floating]:
            scores = np.asarray(near(features), np.float64)
            return np.asarray(move_scores(scores, strength), np.float64)

        def clip(features: Floats) -> float:
            return float(move_scores(self.clip_score(features), strength))

        return dataclasses.replace(
            self, _predict=predict, _clip=None if near_clip is None else clip, distance=None
        )

    def clip_score(
        self,
        features: Floats,
        per_frame: npt.NDArray[np.floating] | None = None,
    ) -> float:
        """Returns the score of a clip, VMAF points, from raw features of its frames `[t, d]`.

        Args:
            per_frame: The model's scores of those frames, where they are known already.
        """
        if self._clip is not None:
            return self._clip(features)
        scores = self(features) if per_frame is None else per_frame
        return apply_pooling(np.asarray(scores, np.float64), self.pooling)


ModelLike = str | Path | Model


def feature_set_of(model: ModelLike) -> FeatureSet:
    """Returns the features of a MODEL, found (and the MODEL checked) without loading it whole.

    Raises:
        InputError: As `load_model`, as far as its files' headers tell.
    """
    if isinstance(model, Model):
        return model.feature_set
    text = str(model)
    if text.endswith(".onnx"):
        return _check_onnx(Path(text))
    if is_teacher(text):
        from vmaf_jax.teacher import load_teacher

        return load_teacher(text).feature_set
    if (exported := shipped_onnx(text)) is not None:
        return _check_onnx(exported)
    if (found := find_run(text) / CLIPS_FILE).is_file():
        return _check_onnx(found.with_name("model.onnx"))
    from vmaf_jax.runs.run_folder import read_config

    return FEATURE_SETS[read_config(find_run(text)).data.feature_set]


def load_model(model: ModelLike) -> Model:
    """Loads a MODEL of any kind; returns one that is loaded already.

    Without JAX a shipped model is loaded by its exported file, as `load_scorer` does.

    Called with features in the order of `FEATURES`:

    Examples:
        >>> model = load_model("tiny")
        >>> model([[0.95, 0.6, 0.9, 0.94, 0.96, 3.2]]).round(1)
        array([84.8], dtype=float32)

    Args:
        model: A shipped name, a run folder, a `.onnx` or libvmaf `.json` file, or the name of one
            of VMAF's own models.

    Raises:
        InputError: It is none of the kinds, or damaged.
    """
    if isinstance(model, Model):
        return model
    text = str(model)
    if text.endswith(".onnx"):
        return _load_onnx(Path(text))
    if is_teacher(text):
        from vmaf_jax.teacher import load_teacher

        teacher = load_teacher(text)
        top = 100.0 if teacher.model.clip is None else teacher.model.clip[1]
        return Model(teacher.name, "libvmaf", teacher.feature_set, teacher, compiles=False, top=top)
    if shipped_onnx(text) is not None and importlib.util.find_spec("jax") is None:
        return load_scorer(text)
    return _load_run(find_run(text))


def load_scorer(model: ModelLike) -> Model:
    """Loads a MODEL, a shipped one by its exported file, in a tenth of the time of `load_model`.

    The two agree as the model's parity says: `tiny` and `nano` to the bit.

    Raises:
        InputError: As `load_model`.
    """
    # ONNX Runtime loads in a fraction of the time that JAX takes to start and compile.
    if isinstance(model, Model) or (exported := shipped_onnx(str(model))) is None:
        return load_model(model)
    return dataclasses.replace(_load_onnx(exported), name=str(model), kind="run")


def is_teacher(text: str) -> bool:
    """Returns whether a MODEL is a libvmaf JSON file, or a VMAF model's name and no file here."""
    return text.endswith(".json") or (text in known_teachers() and not Path(text).exists())


def _check_onnx(path: Path) -> FeatureSet:
    """Checks an ONNX file and its sidecar; returns its feature set."""
    from vmaf_jax.export.contract import load_onnx
    from vmaf_jax.export.sidecar import check_sidecar

    feature_set = load_onnx(path).feature_set
    check_sidecar(path)  # a sidecar of another file would bring its label and pooling
    return feature_set


def _load_onnx(path: Path) -> Model:
    from vmaf_jax.export.onnx_runtime import OnnxModel
    from vmaf_jax.export.sidecar import Origin, check_sidecar

    model = OnnxModel(path)
    origin = check_sidecar(path) or Origin(name=path.stem)
    return Model(
        name=path.stem,
        kind="onnx",
        feature_set=model.feature_set,
        _predict=model,
        label=origin.label_name,
        label_scale=origin.label_scale,
        pooling=origin.pooling,
        _clip=_clip_predictor(model) if model.over_frames else None,
        compiles=False,
        calibration=origin.read_calibration(),
        folder=path.parent,
        distance=origin.distance,
    )


def _clip_predictor(model: Callable[..., npt.ArrayLike]) -> Callable[[Floats], float]:
    """Returns a model over frames as a function of one clip's features `[t, d]`.

    Clips are padded to a power of two, so that the model compiles for few lengths.
    """

    def clip(features: Floats) -> float:
        t = len(features)
        padded = np.zeros((1, 1 << (t - 1).bit_length(), features.shape[1]), np.float32)
        padded[0, :t] = features
        mask = (np.arange(padded.shape[1]) < t)[None].astype(np.float32)
        return float(np.asarray(model(padded, mask))[0])

    return clip


def _load_calibrated(folder: Path) -> Model:
    """Loads a folder that `vmaf-jax calibrate` wrote."""
    from vmaf_jax.evaluation.title_process import VoteCurve
    from vmaf_jax.export.sidecar import read_sidecar
    from vmaf_jax.scoring.title_model import TitleModel

    sidecar = read_sidecar(folder / "model.json")
    record = sidecar.calibrated
    if record is None or Path(record.base).name != record.base:
        raise InputError(f"{folder}: holds no calibrated model (model.json); calibrate again.")
    base = load_model(folder / record.base)
    curve = VoteCurve(np.array(record.curve))

    def predict(features: Floats) -> Floats:
        return curve(np.asarray(base(features), np.float64))

    titles = TitleModel(record, base.clip_score)
    return Model(
        name=sidecar.name,
        kind=CALIBRATED,
        feature_set=base.feature_set,
        _predict=predict,
        label="mos",
        label_scale=sidecar.label_scale,
        pooling=sidecar.pooling,
        _clip=lambda features: titles.predict(features).votes,
        compiles=base.compiles,
        titles=titles,
    )


def _load_run(folder: Path) -> Model:
    if (folder / CLIPS_FILE).is_file():
        return _load_calibrated(folder)
    with name_missing_extra():
        import jax
        import jax.numpy as jnp

        from vmaf_jax.models import deploy
        from vmaf_jax.runs.run_folder import open_run

    run = open_run(folder)
    deployed = deploy(run.student, run.variables)
    constants = jax.device_put(deployed.constants)  # once, not with every call
    jitted = jax.jit(deployed.predict)

    def predict(*inputs: np.ndarray) -> jax.Array:
        arrays = [jnp.asarray(array, jnp.float32) for array in inputs]
        return jitted(constants, *arrays)

    identity = run.identity
    return Model(
        name=identity.name,
        kind="run",
        feature_set=identity.feature_set,
        _predict=predict,
        label=identity.label,
        label_scale=identity.label_scale,
        pooling=run.student.pooling_name,
        _clip=_clip_predictor(predict) if run.student.spec.over_frames else None,
        calibration=identity.calibration,
        folder=folder,
        distance=identity.distance,
    )


def choose_at_distance(model: ModelLike, distance: float) -> "ModelChoice":
    """Returns a MODEL whose scores are of viewers at a distance, in picture heights.

    Raises:
        InputError: As `load_scorer`, or the model knows no distances.
    """
    if model in (AUTO, PHONE, V1):
        raise InputError(
            f"distance {distance:g}: {model} stands for a model of VMAF's own, which knows one "
            f"distance; take opinions."
        )
    loaded = load_scorer(model)
    moved, known = loaded.seen_from(distance), loaded.distance
    reason = f"{loaded.name}: seen from {distance:g} picture heights"
    if known is not None and not known.nearest <= distance <= known.farthest:
        reason += (
            f", scored as from the nearest that people voted from ({known.nearest:g} to "
            f"{known.farthest:g})"
        )
    return ModelChoice(moved, reason)


AUTO, PHONE, V1 = "auto", "phone", "v1"
HD, FOUR_K = "vmaf_v0.6.1", "vmaf_4k_v0.6.1"
_LONG, _SHORT = 3840, 2160  # pixels
_HD_SCREEN, _FOUR_K_SCREEN = "1080p@3H", "2160p@1.5H"
_V0_MODELS = {_HD_SCREEN: HD, _FOUR_K_SCREEN: FOUR_K}
V1_VIEWS = {  # by screen, and distance in its heights
    _HD_SCREEN: "3d0h",
    "1080p@5H": "5d0h",
    _FOUR_K_SCREEN: "1d5h_2160",
    "2160p@3H": "3d0h_2160",
}
_HIGH_RATE = 40.0  # frames per second: the models are for 24 to 30 and, with hfr, for 50 to 60
_DISPLAY = re.compile(r"(\d{3,4})p?@(\d{1,2}(?:\.\d)?)h?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """A model, and in a sentence why it was taken where it was not named."""

    model: ModelLike
    reason: str | None = None


def choose_model(model: ModelLike, reference: Video, display: str | None = None) -> ModelChoice:
    """Returns the model that `auto`, `v1` or `phone` stands for; any other as it is.

    Args:
        display: A key of `V1_VIEWS`, the screen and its distance; None goes by the reference's
            size.

    Raises:
        InputError: The reference cannot be read, or no model is for that display.
    """
    if display is not None:
        display = check_display(model, display)
    if model in (AUTO, V1):
        check_video(reference)
        width, height, rate = reference.width, reference.height, reference.fps
        if width is None or height is None:
            from vmaf_jax.video.streams import probe

            stream = probe(find_ffmpeg(), reference)[1]
            (width, height), rate = stream.size, stream.rate
        if model == V1:
            return _choose_v1(width, height, rate, display)
        return choose_by_size(width, height, display)
    if model == PHONE:
        from vmaf_jax.teacher import load_teacher

        teacher = load_teacher(HD, phone=True)
        name = f"{HD}_phone"
        loaded = Model(name, "libvmaf", teacher.feature_set, teacher, compiles=False)
        reason = f"{name}: {HD} with its transform for phone screens, as requested"
        return ModelChoice(loaded, reason)
    return ModelChoice(model)


def check_display(model: ModelLike, display: str) -> str:
    """Returns a display in the form of `V1_VIEWS`, such as `1080p@3H`.

    Raises:
        InputError: It is none, or the model does not follow it.
    """
    match = _DISPLAY.fullmatch(display.strip())
    name = f"{match[1]}p@{float(match[2]):g}H" if match else display
    if model not in (AUTO, V1):
        raise InputError(f"--display {display}: goes with --model auto or v1; drop one of them.")
    if name not in V1_VIEWS:
        raise InputError(
            f"--display {display}: VMAF has no model for it; expected {', '.join(V1_VIEWS)}."
        )
    if model == AUTO and name not in _V0_MODELS:
        raise InputError(f"--display {display}: only VMAF v1 has a model for it; add --model v1.")
    return name


def choose_by_size(width: int, height: int, display: str | None = None) -> ModelChoice:
    """Returns the model that `auto` stands for, of references of that size in pixels."""
    name = vmaf_model_for(width, height) if display is None else _V0_MODELS[display]
    screen = next(screen for screen, model in _V0_MODELS.items() if model == name)
    text = f"{name}: chosen for {_describe_screen(screen)}, the reference is {width}x{height}"
    return ModelChoice(name, text)


def _choose_v1(width: int, height: int, rate: float | None, display: str | None) -> ModelChoice:
    """Returns the model of VMAF v1 for a display and a frame rate."""
    if display is None:
        is_4k = vmaf_model_for(width, height) == FOUR_K
        display = _FOUR_K_SCREEN if is_4k else _HD_SCREEN
    is_fast = rate is not None and rate >= _HIGH_RATE
    name = f"vmaf_v1.0.16_{'hfr_' if is_fast else ''}{V1_VIEWS[display]}"
    at = "without a frame rate" if rate is None else f"at {rate:g} frames/s"
    return ModelChoice(
        name,
        f"{name}: chosen for {_describe_screen(display)}, the reference is {width}x{height} {at}",
    )


def _describe_screen(display: str) -> str:
    lines, _, heights = display.partition("@")
    screen = "4K" if lines == "2160p" else lines
    return f"a {screen} screen at {heights.removesuffix('H')} heights"


def vmaf_model_for(width: int, height: int) -> str:
    """Returns the name of VMAF's model for pictures of that size."""
    is_4k = max(width, height) >= _LONG or min(width, height) >= _SHORT
    return FOUR_K if is_4k else HD
