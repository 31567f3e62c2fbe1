"""The configuration of a run: YAML, validated, frozen, every default once.

Unknown keys are errors that name the nearest known one. `--set a.b=value` overrides; values are
read as YAML.
"""

import difflib
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from pydantic_core import PydanticCustomError

from vmaf_jax.errors import InputError
from vmaf_jax.export.parity import ParityLimits
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES
from vmaf_jax.files import data_folder, parse_yaml, read_yaml
from vmaf_jax.models import ACTIVATIONS, NETWORKS, Student
from vmaf_jax.models.frame_pooling import POOLINGS
from vmaf_jax.tables.locations import parse_place
from vmaf_jax.tables.table import MAX_DISTANCE
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER
from vmaf_jax.training.optimisers import MAX_PARAMS
from vmaf_jax.training.settings import TrainingSettings

_CREDENTIALS = "credentials"
_Kind = TypeVar("_Kind", bound=pydantic.BaseModel)
Corpus = Literal["support_vectors", "netflix", "manifest", "demo"]


def one_of(choices: Collection[str]) -> pydantic.AfterValidator:
    """Returns a Pydantic validator of names: the error of a wrong one tells the nearest known."""

    def check(value: str) -> str:
        if value not in choices:
            near = difflib.get_close_matches(value, list(choices), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(choices)}"
            raise ValueError(f"unknown value {value!r}; {hint}")
        return value

    return pydantic.AfterValidator(check)


def _place(value: object) -> object:
    """Validates a path or an address."""
    if value is None:
        return None
    if not isinstance(value, str | Path):
        raise ValueError("expected a path, or an address as s3://bucket/folder")
    try:
        return parse_place(value)
    except InputError as error:
        raise PydanticCustomError(_CREDENTIALS, "{reason}", {"reason": str(error)}) from error


class _Part(pydantic.BaseModel, frozen=True, extra="forbid"):
    pass


class DataConfig(_Part):
    """The data that a student learns from.

    Attributes:
        corpus: which clips; with `features`, the table is read from that file instead.
        features: a table made by `vmaf-jax extract`: a file, or a folder of shards; its path, or
            its address on another filesystem, as `s3://bucket/folder`.
        buffer_rows: with it, rows are streamed from the shards of `features` and shuffled in a
            buffer of so many; the table may be larger than memory.
        data_root: folder of the netflix corpus, by default `VMAF_DATA_ROOT`.
        manifest: file of the manifest corpus.
        label_scale: what the manifest's `mos` is on, as [1, 5]; by default as it says.
        feature_set: the features a student takes; `vmaf_neg` has gain limits of 1.
        teacher: the model whose scores are the labels.
        label: `teacher`, or `mos` for opinion scores.
        mean_pool: train on clip means instead of frames.
        frames_per_clip: frames of a clip that training reads at the most, evenly spaced, where the
            labels are of clips (`mos`); evaluation reads them all.
        about: where the labels are from, a sentence each, for the model's card.
        distance: where the model's plain scores hold, in picture heights; with it, the effect of
            the table's column `distance` is learnt, and `score --distance` moves scores by it.
        rows_are_public: whether the card may name clips and a shipped model carry predictions of
            them.
    """

    corpus: Corpus = "support_vectors"
    features: Annotated[Path | str | None, pydantic.BeforeValidator(_place)] = None
    buffer_rows: int | None = pydantic.Field(default=None, ge=1, le=1_000_000_000)
    data_root: Path | None = None
    manifest: Path | None = None
    label_scale: tuple[float, float] | None = None
    feature_set: Annotated[str, one_of(FEATURE_SETS)] = FEATURES.name
    teacher: str = DEFAULT_TEACHER
    label: Literal["teacher", "mos"] = "teacher"
    mean_pool: bool = False
    frames_per_clip: int = pydantic.Field(default=64, ge=1, le=10_000)
    about: tuple[str, ...] = ()
    # Not written where it is not set, so that the digests of earlier configurations hold.
    distance: float | None = pydantic.Field(
        default=None, gt=0, le=MAX_DISTANCE, exclude_if=lambda distance: distance is None
    )
    rows_are_public: bool = True

    @property
    def label_column(self) -> str:
        """The table's column that the labels stand in; a model file gives its stem."""
        if self.label == "mos":
            return "mos"
        return self.teacher if not self.teacher.endswith(".json") else Path(self.teacher).stem


class StudentConfig(_Part):
    """The network, and how its scores of frames become a clip's.

    Attributes:
        network: `mlp`, a perceptron of the `hidden` layers; `nano` and `tiny`, perceptrons of two
            layers of 64 and of three of 128; `rbf` or `attention`.
        hidden: units of each hidden layer of `mlp`, by default [64, 32, 16].
        activation: `silu`, `relu`, `gelu`, `tanh`, `softplus`, `elu`, or `hard_gate`, whose bits
            ONNX Runtime equals.
        dropout: the share of units left out while training.
        pooling: for labels of clips, and in use; `attention` has its own.
        percentile: the level of the percentile poolings.
        teacher: whose score `attention` reads beside the features.
    """

    network: Annotated[str, one_of(NETWORKS)] = "tiny"
    # Not written where it is not set, so that the digests of earlier configurations hold.
    hidden: tuple[Annotated[int, pydantic.Field(ge=1, le=4096)], ...] | None = pydantic.Field(
        default=None, min_length=1, max_length=16, exclude_if=lambda hidden: hidden is None
    )
    activation: Annotated[str, one_of(ACTIVATIONS)] = "silu"
    dropout: float = pydantic.Field(default=0.2, ge=0, lt=1)
    pooling: Annotated[str, one_of(POOLINGS)] = "mean"
    percentile: float = pydantic.Field(default=90.0, ge=0, le=100)
    teacher: str = DEFAULT_TEACHER

    @pydantic.model_validator(mode="after")
    def _hidden_layers_are_those_of_mlp(self) -> "StudentConfig":
        if self.network != "mlp" and self.hidden is not None:
            raise ValueError(f"{self.network} has its own layers; set network: mlp, or drop hidden")
        return self


class Config(_Part):
    """One run; the resolved copy is saved in its run folder.

    Attributes:
        name: of the run and its folder; small letters, digits, - and _.
        external: corpora that the final student is judged on beside: `demo`, `netflix`.
        sweep: settings by key, such as `training.temperature`, and the values of each to try: every
            combination is trained, and the best becomes the run.
    """

    name: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    data: DataConfig = DataConfig()
    student: StudentConfig = StudentConfig()
    training: TrainingSettings = TrainingSettings()
    external: tuple[Literal["demo", "netflix"], ...] = ()
    parity: ParityLimits = ParityLimits()
    # Not written where there is none, so that the digests of earlier configurations hold.
    sweep: dict[str, Annotated[tuple[Any, ...], pydantic.Field(min_length=1)]] = pydantic.Field(
        default_factory=dict, exclude_if=lambda sweep: not sweep
    )

    @pydantic.model_validator(mode="after")
    def _external_corpora_have_no_mos(self) -> "Config":
        if self.data.label == "mos" and self.external:
            raise ValueError("external corpora carry no opinion scores; set external=[]")
        return self

    @pydantic.model_validator(mode="after")
    def _labels_of_clips_are_scores(self) -> "Config":
        clips = self.data.label == "mos" or NETWORKS[self.student.network].over_frames
        if clips and self.training.loss == "kl":
            raise ValueError("scores of clips are trained with squared_error or huber; set one")
        if self.data.distance is not None and self.data.label != "mos":
            raise ValueError("data.distance is of people's votes; set data.label=mos, or drop it")
        if clips and self.training.optimiser != "adamw":
            raise ValueError("scores of clips are trained with optimiser adamw; set that")
        if NETWORKS[self.student.network].over_frames and self.data.feature_set != FEATURES.name:
            raise ValueError(
                f"{self.student.network} reads the feature set {FEATURES.name}; set that, or take "
                f"another network"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _least_squares_are_for_small_networks(self) -> "Config":
        if self.training.optimiser != "levenberg_marquardt":
            return self
        n_params = self.make_student().n_params()
        if n_params > MAX_PARAMS:
            raise ValueError(
                f"levenberg_marquardt takes at most {MAX_PARAMS} parameters, "
                f"{self.student.network} has {n_params}; use adamw"
            )
        return self

    def make_student(self) -> Student:
        """Returns the student that is described, without its variables."""
        return Student(
            network=self.student.network,
            head=self.training.head,
            activation=self.student.activation,
            dropout=self.student.dropout,
            n_features=len(FEATURE_SETS[self.data.feature_set]),
            pooling=self.student.pooling,
            percentile=self.student.percentile,
            teacher=self.student.teacher,
            hidden=self.student.hidden or (),
            knows_distance=self.data.distance is not None,
        )

    def external_data(self, corpus: Corpus) -> DataConfig:
        """Returns the data of an external corpus: of the same teacher and features."""
        return DataConfig(
            corpus=corpus, teacher=self.data.teacher, feature_set=self.data.feature_set
        )

    def to_yaml(self) -> str:
        """Returns the resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def digest(self) -> str:
        """Returns the SHA-256 of the resolved configuration."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Reads and validates a configuration file.

    Args:
        path: the YAML file, or the name of one that comes with the package, as `opinions`.
        overrides: `a.b=value` each, applied in order.

    Raises:
        InputError: missing file, broken YAML, an unknown key or a value out of range; the message
            names the file, the key and what was expected.
    """
    values = read_yaml(find_config(path))
    for override in overrides or []:
        _apply(values, override)
    return validate(Config, values, path)


def shipped_configs() -> dict[str, Path]:
    """Returns the configurations that come with the package, by name."""
    return {path.stem: path for path in sorted(data_folder("configs").glob("*.yaml"))}


def find_config(path: Path) -> Path:
    """Returns the path of a configuration, which a path or the name of a shipped one gives.

    Raises:
        InputError: there is no such file; the message names those that come with the package.
    """
    if path.exists():
        return path
    shipped = shipped_configs()
    if str(path) in shipped:
        return shipped[str(path)]
    known = f"by name there are {', '.join(shipped)}"
    if path.stem in shipped and path.parent.name in ("", "configs"):
        known = f"the one that comes with the package is --config {path.stem}"
    raise InputError(f"{path}: no such file; {known}.")


def warn_of_recipe(config: Config) -> str | None:
    """Returns a warning where opinion scores are learnt in a way that lost to VMAF; else None."""
    from_scratch = config.training.start is None
    network = config.student.network
    if config.data.label != "mos" or NETWORKS[network].over_frames or not from_scratch:
        return None
    return (
        f"warning: {network} learns opinion scores from scratch, which lost to plain VMAF on 660 "
        f"clips and is slow there (docs/opinion-recipes.md); --config opinions and --config "
        f"opinions_ffmpeg are the recipes that did not."
    )


def validate(kind: type[_Kind], values: dict[str, Any], path: Path) -> _Kind:
    """Validates `values` as a `kind`; an error is one line that names file and key."""
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            keys = sorted(_keys(kind))
            near = difflib.get_close_matches(where, keys, 1, cutoff=0.4)
            mend = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}"
            raise InputError(f"{path}: unknown key {where!r}; {mend}") from error
        if first["type"] == _CREDENTIALS:  # which a message does not show
            raise InputError(f"{path}: {where}: {first['msg']}") from error
        if not where:
            raise InputError(f"{path}: {first['msg']}; correct it.") from error
        raise InputError(
            f"{path}: {where} is {first['input']!r}: {first['msg']}; correct it."
        ) from error


def _keys(kind: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            keys += _keys(field.annotation, f"{prefix}{name}.")
    return keys


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise InputError(f"--set {override}: expected key=value, such as training.steps=500.")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--set {override}: the value is not valid YAML ({reason}); quote or correct it."
        ) from error
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {override}: {parent!r} holds no keys; check the name.")
        values = inner
    values[last] = value
