"""The sidecar `<name>.json` beside a model file: what it says, how it is read, written and checked.

It never holds `input_mean` or `input_std`: the scaler is in the graph, and hosts that find them
would standardise a second time.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import check_pooling
from vmaf_jax.evaluation.conformal import (
    GRID,
    N_SHARES,
    Calibration,
    ConformalProfile,
    TrainingRegion,
)
from vmaf_jax.evaluation.metrics import Metrics
from vmaf_jax.evaluation.title_process import COMPARED, KNOTS, Hyperparameters
from vmaf_jax.export.contract import MAX_BYTES as ONNX_BYTES
from vmaf_jax.export.contract import OUTPUT_NAME, read_feature_set
from vmaf_jax.features.feature_set import FEATURE_SETS, OUTPUT_RANGE, FeatureSet
from vmaf_jax.files import check_json_keys, read_limited, to_json, write_text, write_together
from vmaf_jax.models.viewing_distance import ViewingDistance
from vmaf_jax.printable import printable
from vmaf_jax.tables.table import LabelScale, check_scale

if TYPE_CHECKING:  # both load JAX, which reading a sidecar does without
    from vmaf_jax.models import Student
    from vmaf_jax.teacher import Teacher

MAX_BYTES = 4 << 20
LICENSE = "BSD-2-Clause-Patent"
# What a registry asks for. A foreign file's sidecar may leave it out.
_REQUIRED = ("pooling", "label", "arch", "n_params", "license", "training")

Count = Annotated[int, pydantic.Field(strict=True, gt=0)]
Number = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]
_ROUNDING = 1e-5  # calibrations are stored to six decimals
_MOST_ERROR = OUTPUT_RANGE[1] + 0.1  # points, with what rounding adds
FromZero = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False, ge=0)]
Text = Annotated[str, pydantic.Field(min_length=1, max_length=256)]
# Of a calibration to titles. Within these no covariance is singular, and none overflows.
Bounded = Annotated[Number, pydantic.Field(ge=-1e6, le=1e6)]
BoundedFromZero = Annotated[Number, pydantic.Field(ge=0, le=1e6)]
_LEAST, _MOST = 1e-3, 1e3  # of a hyperparameter


class TitleEntry(pydantic.BaseModel, frozen=True):
    """A title of the table, known again by `motion2`, which is of its reference alone."""

    source: str
    motion2: BoundedFromZero
    experiment: str | None = None


class RatedEntry(pydantic.BaseModel, frozen=True):
    """A clip that people rated; points of 0-100 but for `compared`.

    Attributes:
        title: Its place among the titles.
        expected: Votes by the logistic.
        compared: Its mean features in the units of the process.
        mos, variance: Of the mean over `viewers`, where their number is known.
        codec: Its name, where it was given.
    """

    clip: str
    title: Annotated[int, pydantic.Field(strict=True, ge=0)]
    expected: Bounded
    compared: Annotated[
        list[Bounded], pydantic.Field(min_length=len(COMPARED), max_length=len(COMPARED))
    ]
    mos: Bounded
    variance: BoundedFromZero
    viewers: int | None = None
    codec: str | None = None


class TitleCalibration(pydantic.BaseModel, frozen=True):
    """A model calibrated by votes on titles, as its sidecar says it; no viewer is in it.

    Attributes:
        base: File of the base model, in the same folder.
        base_name: Its name.
        centre, width: Of the logistic, VMAF points; None for a model of votes.
        panel: Variance of a mean over viewers as those who rated, points squared.
        curve: Votes at the knots of `evaluation.title_process`, points.
        judged_on: What the process was judged on, in sentences.
    """

    base: str
    base_name: str
    hyperparameters: Hyperparameters
    panel: BoundedFromZero
    titles: Annotated[list[TitleEntry], pydantic.Field(min_length=1)]
    rated: Annotated[list[RatedEntry], pydantic.Field(min_length=1)]
    curve: Annotated[list[Bounded], pydantic.Field(min_length=len(KNOTS), max_length=len(KNOTS))]
    judged_on: str
    centre: Bounded | None = None
    width: Annotated[Number, pydantic.Field(ge=_LEAST, le=_MOST)] | None = None

    @pydantic.field_validator("hyperparameters")
    @classmethod
    def _check_hyperparameters(cls, hyper: Hyperparameters) -> Hyperparameters:
        for name, value in dataclasses.asdict(hyper).items():
            least = 0.0 if name == "codec" else _LEAST
            if not least <= value <= _MOST:
                raise ValueError(f"{name} is {value:g}, expected {least:g} to {_MOST:g}")
        return hyper

    @pydantic.field_validator("rated")
    @classmethod
    def _check_titles(
        cls, rated: list[RatedEntry], info: pydantic.ValidationInfo
    ) -> list[RatedEntry]:
        n_titles = len(info.data.get("titles", ()))
        if any(entry.title >= n_titles for entry in rated):
            raise ValueError(f"one is of a title beyond the {n_titles}")
        return rated


class Label(pydantic.BaseModel, frozen=True):
    """A predicted column: a teacher's name or `mos`, and the votes behind 0 and 100."""

    name: str
    scale: LabelScale = OUTPUT_RANGE

    @pydantic.field_validator("scale", mode="before")
    @classmethod
    def _check_scale(cls, scale: object) -> LabelScale:
        return check_scale(scale, "label")


class Architecture(pydantic.BaseModel, frozen=True):
    """The network, head and activation of a student; of `mlp`, units of its hidden layers too."""

    network: str
    hidden: tuple[int, ...] | None = None
    head: str
    activation: str


class TrainingMetrics(pydantic.BaseModel, frozen=True):
    """Metrics over held-out sources, and over external corpora by name."""

    loso: Metrics
    external: dict[str, Metrics] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _read_null_as_nan(cls, document: object) -> object:
        return _nan_for_null(document)


def _nan_for_null(document: object) -> object:
    """Returns metrics with NaN for null, as which an undefined one is written: JSON has no NaN."""
    if isinstance(document, dict):
        return {key: _nan_for_null(entry) for key, entry in document.items()}
    return float("nan") if document is None else document


class TrainingRecord(pydantic.BaseModel, frozen=True):
    """What a model was trained with and on; of one of VMAF's own, its name alone."""

    config_sha256: str | None = None
    corpora: dict[str, str] | None = None
    metrics: TrainingMetrics | None = None
    teacher: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 over the configuration and the corpora."""
        origin = {"config_sha256": self.config_sha256, "corpora": self.corpora}
        return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()


class RegionEntry(pydantic.BaseModel, frozen=True):
    """The mean features `[d]` of training clips, their covariance `[d, d]`, and the limit."""

    mean: list[Number]
    covariance: list[list[Number]]
    limit: Annotated[Number, pydantic.Field(gt=0)]

    @pydantic.field_validator("covariance")
    @classmethod
    def _check_covariance(cls, rows: list[list[float]]) -> list[list[float]]:
        if any(len(row) != len(rows) for row in rows):
            raise ValueError("it is not square")
        matrix = np.array(rows)
        if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix)[0] <= 0:
            raise ValueError("it is not positive definite")
        return rows


class CalibrationEntry(pydantic.BaseModel, frozen=True):
    """A `Calibration` to six decimals: of residuals of clips whose source was left out.

    No clip and no label is in it.
    """

    n_clips: Count
    n_sources: Count
    quantile: Annotated[list[FromZero], pydantic.Field(min_length=N_SHARES, max_length=N_SHARES)]
    difficulty: Annotated[
        list[FromZero], pydantic.Field(min_length=len(GRID), max_length=len(GRID))
    ]
    region: RegionEntry

    @pydantic.model_validator(mode="after")
    def _check(self) -> "CalibrationEntry":
        if self.n_sources > self.n_clips:
            raise ValueError("n_sources exceeds n_clips")
        if (np.diff(self.quantile) < 0).any():
            raise ValueError("quantile falls")
        # A residual is an error, of at most 100 points, over the difficulty of its prediction.
        if max(self.quantile[-1] * min(self.difficulty), *self.difficulty) > _MOST_ERROR:
            raise ValueError("its errors exceed the scale of 100 points")
        return self

    @classmethod
    def from_calibration(cls, calibration: "Calibration") -> "CalibrationEntry":
        """Returns the entry that a sidecar stores."""
        profile, region = calibration.profile, calibration.region
        return cls(
            n_clips=profile.n_clips,
            n_sources=profile.n_sources,
            quantile=profile.quantile.tolist(),
            difficulty=profile.difficulty.tolist(),
            region=RegionEntry(
                mean=region.mean.tolist(),
                covariance=region.covariance.tolist(),
                limit=float(region.limit),
            ),
        )

    def to_calibration(self) -> "Calibration":
        """Returns the calibration as arrays."""
        return Calibration(
            ConformalProfile(
                self.n_clips, self.n_sources, np.array(self.quantile), np.array(self.difficulty)
            ),
            TrainingRegion(
                np.array(self.region.mean), np.array(self.region.covariance), self.region.limit
            ),
        )


class Member(pydantic.BaseModel, frozen=True):
    """A model of an ensemble."""

    name: str
    arch: Architecture
    training_sha256: str


class PixelsEntry(pydantic.BaseModel, frozen=True):
    """The pictures that a pixels model takes; `first_frame` and `motion2` are for people."""

    width: Count
    height: Count
    samples: str
    scale: str
    gain_limit: float
    first_frame: str
    motion2: str


class FileFacts(pydantic.BaseModel, frozen=True):
    """The entries of a sidecar that follow from the model file itself."""

    kind: str
    onnx: str
    opset: int
    input_name: str
    output_name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    features: tuple[str, ...]
    feature_set: str
    expected_output_range: tuple[float, float]
    sha256: str
    quant_mode: str


class Origin(pydantic.BaseModel, frozen=True):
    """The entries of a sidecar that say where a model comes from, whichever file it is in.

    A foreign ONNX file without a sidecar has a name alone to hand on to a pixels model.
    """

    name: Text
    pooling: str = "mean"
    label: Label | None = None
    arch: Architecture | None = None
    n_params: Count | None = None
    license: Text | None = None
    training: TrainingRecord | None = None
    calibration: CalibrationEntry | None = None
    members: Annotated[tuple[Member, ...], pydantic.Field(min_length=2)] | None = None
    calibrated: TitleCalibration | None = None
    distance: ViewingDistance | None = None

    @property
    def label_name(self) -> str | None:
        """The predicted column, a teacher's name or `mos`; None where it is unknown."""
        return None if self.label is None else self.label.name

    @property
    def label_scale(self) -> LabelScale:
        """The worst and the best vote behind 0 and 100; those themselves without votes."""
        return OUTPUT_RANGE if self.label is None else self.label.scale

    def read_calibration(self) -> "Calibration | None":
        """Returns the calibration as arrays; None where there is none."""
        return None if self.calibration is None else self.calibration.to_calibration()

    @pydantic.field_validator("pooling")
    @classmethod
    def _check_pooling(cls, pooling: str) -> str:
        return check_pooling(pooling, "pooling")


class Sidecar(Origin, FileFacts, frozen=True):
    """The content of a sidecar. Entries that other programs add are ignored."""

    pixels: PixelsEntry | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_second_scaler(cls, document: object) -> object:
        if isinstance(document, dict) and {"input_mean", "input_std"} & document.keys():
            raise ValueError("standardises a second time (input_mean, input_std)")
        return document

    @pydantic.model_validator(mode="after")
    def _check_calibration(self) -> "Sidecar":
        d = len(self.features)
        if self.calibration is not None and len(self.calibration.region.mean) != d:
            raise ValueError(f"calibration.region is not of {d} features")
        if self.calibration is None or self.feature_set not in FEATURE_SETS:
            return self
        possible = FEATURE_SETS[self.feature_set].possible
        for name, mean in zip(self.features, self.calibration.region.mean, strict=True):
            low, high = possible.get(name, (-np.inf, np.inf))
            if not low - _ROUNDING <= mean <= high + _ROUNDING:
                raise ValueError(f"calibration.region has a mean {name} of {mean:g}")
        return self


def int8_path(onnx_path: Path) -> Path:
    """Returns the path of a model's quantised form, `<basename>.int8.onnx` beside it."""
    return onnx_path.with_name(f"{onnx_path.stem}.int8.onnx")


def sidecar_path(onnx_path: Path) -> Path:
    """Returns the path of a model file's sidecar: the same name, ending in `.json`."""
    return onnx_path.with_suffix(".json")


def read_sidecar(path: Path) -> Sidecar:
    """Reads a sidecar and checks that each of its entries makes sense.

    Raises:
        InputError: missing, not JSON, or an entry is missing, there twice or cannot be.
    """
    content = read_limited(path, "SIDECAR_BYTES", MAX_BYTES)
    try:
        sidecar = Sidecar.model_validate_json(content)
        check_json_keys(content)
    except ValueError as error:
        mend = "calibrate again" if _is_of_titles(error) else "export the model again"
        raise InputError(f"{path}: {first_reason(error)}; {mend}.") from error
    return sidecar


def _is_of_titles(error: ValueError) -> bool:
    """Whether an error is of what only `vmaf-jax calibrate` writes."""
    if not isinstance(error, pydantic.ValidationError):
        return False
    return error.errors(include_url=False)[0]["loc"][:1] == ("calibrated",)


def first_reason(error: ValueError) -> str:
    """Returns the first error of a JSON document in one line: the entry, its value, the reason."""
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    where = printable(".".join(map(str, first["loc"])))
    said = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "missing":
        return f"has no {where}"
    return f"{where} is {first['input']!r:.80}: {said}" if where else said


def read_facts(onnx_path: Path) -> FileFacts:
    """Reads the entries of a model file's sidecar that follow from the file.

    Raises:
        InputError: the file cannot be read, or names an unknown feature set.
    """
    import onnx

    content = read_limited(onnx_path, "ONNX_BYTES", ONNX_BYTES)
    model = onnx.load_model_from_string(content)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    feature_set = read_feature_set(properties, onnx_path)
    inputs = tuple(tensor.name for tensor in model.graph.input)
    return FileFacts(
        kind="fr",
        onnx=onnx_path.name,
        opset=model.opset_import[0].version,
        input_name=inputs[0],
        output_name=OUTPUT_NAME,
        input_names=inputs,
        output_names=tuple(tensor.name for tensor in model.graph.output),
        features=feature_set.names,
        feature_set=feature_set.name,
        expected_output_range=OUTPUT_RANGE,
        sha256=hashlib.sha256(content).hexdigest(),
        quant_mode=properties.get("quant_mode", "fp32"),
    )


def check_sidecar(onnx_path: Path, *, complete: bool = False) -> Sidecar | None:
    """Holds a model file against the sidecar beside it, and returns that; None without one.

    Args:
        complete: whether entries that say where the model comes from have to be there too.

    Raises:
        InputError: the file is not the one that the sidecar describes, or an entry of the sidecar
            is missing, contradicts the file, or makes no sense.
    """
    path = sidecar_path(onnx_path)
    if not path.exists():
        return None
    sidecar, facts = read_sidecar(path), read_facts(onnx_path)
    if sidecar.sha256 != facts.sha256:
        raise InputError(
            f"{onnx_path}: is not the file that {path.name} describes (sha256 differs); export it "
            f"again."
        )
    for key in FileFacts.model_fields:
        value, found = getattr(sidecar, key), getattr(facts, key)
        if value != found:
            raise InputError(
                f"{path}: {key} is {value!r}, of {onnx_path.name} it is {found!r}; export the "
                f"model again."
            )
    if sidecar.calibration is not None and sidecar.quant_mode != "fp32":
        raise InputError(
            f"{path}: has a calibration, which is of the float32 file's errors; export the model "
            f"again."
        )
    if complete and sidecar.calibrated is not None:
        raise InputError(
            f"{path}: is calibrated by votes, and has no training of its own; list its base model."
        )
    said = sidecar.model_dump(exclude_unset=True, exclude_none=True)
    missing = [key for key in _REQUIRED if key not in said]
    if complete and missing:
        raise InputError(f"{path}: has no {missing[0]}; export the model again.")
    return sidecar


def write_models(
    files: Mapping[Path, Path],
    origin: Origin,
    *,
    pixels: PixelsEntry | None = None,
    reports: Mapping[Path, str] | None = None,
) -> None:
    """Writes verified model files with their sidecars: all of them, or none.

    Args:
        files: The verified file of each destination.
        pixels: Entry of the sidecars of models that take pictures.
        reports: The text of each further file that is written with them.

    Raises:
        InputError: One cannot be written.
    """
    contents = {path: text.encode() for path, text in (reports or {}).items()}
    for path, verified in files.items():
        contents[path] = verified.read_bytes()
        contents[sidecar_path(path)] = _sidecar_json(verified, origin, path.name, pixels).encode()
    write_together(contents)


def write_sidecar(onnx_path: Path, origin: Origin) -> None:
    """Writes the sidecar of the model file at `onnx_path`."""
    write_text(sidecar_path(onnx_path), _sidecar_json(onnx_path, origin, onnx_path.name, None))


def _sidecar_json(onnx_path: Path, origin: Origin, name: str, pixels: PixelsEntry | None) -> str:
    """Returns the sidecar of the model file at `onnx_path`, which is to be called `name`.

    The calibration is left out beside an 8-bit file: residuals are of the model as it was trained.
    """
    facts = read_facts(onnx_path).model_dump() | {"onnx": name}
    # Of an `Origin` alone: a sidecar that was read has the facts of its own file beside them.
    entries = origin.model_dump(include=set(Origin.model_fields), exclude_none=True)
    if facts["quant_mode"] != "fp32":
        entries.pop("calibration", None)
    if pixels is not None:
        entries["pixels"] = pixels.model_dump()
    return to_json({"name": origin.name} | facts | entries)


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a trained model is, whichever file of it is described.

    Attributes:
        name: of the model.
        student: its network, head and activation.
        feature_set: the features that it takes.
        label: the column that it predicts, a teacher's name or `mos`.
        training: what it was trained with and on.
        label_scale: the worst and the best vote, where people voted; else 0 and 100.
        calibration: of its float32 form, where it is known.
        distance: the viewing distances that it knows, where it learnt any.
    """

    name: str
    student: "Student"
    feature_set: FeatureSet
    label: str
    training: TrainingRecord
    label_scale: LabelScale = OUTPUT_RANGE
    calibration: Calibration | None = None
    distance: ViewingDistance | None = None

    @property
    def arch(self) -> Architecture:
        """The architecture, as sidecars give it."""
        student = self.student
        return Architecture(
            network=student.network,
            hidden=student.layer_sizes if student.network == "mlp" else None,
            head=student.head,
            activation=student.activation,
        )

    @property
    def origin(self) -> Origin:
        """The entries of its sidecars that do not depend on the file."""
        return Origin(
            name=self.name,
            pooling=self.student.pooling_name,
            label=Label(name=self.label, scale=self.label_scale),
            arch=self.arch,
            n_params=self.student.n_params(),
            license=LICENSE,
            training=self.training,
            calibration=None
            if self.calibration is None
            else CalibrationEntry.from_calibration(self.calibration),
            distance=self.distance,
        )


def teacher_origin(teacher: "Teacher") -> Origin:
    """Returns what sidecars say of one of VMAF's own models, whichever graph its SVR is in."""
    vectors = teacher.params().support_vectors
    return Origin(
        name=teacher.name,
        label=Label(name=teacher.name),
        arch=Architecture(network="nu-svr", head="scalar", activation="rbf"),
        n_params=int(vectors.size + len(vectors)),
        license=LICENSE,
        training=TrainingRecord(teacher=teacher.name),
    )
