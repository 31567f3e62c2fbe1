"""Clips of a feature table as the process of `evaluation.title_process` takes them.

Predicted quality is a model's score of the clip; clips are compared by their mean features. Which
logistic maps quality to votes depends on what the model predicts: a model of votes needs none.
"""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import OVER_FRAMES
from vmaf_jax.evaluation.title_process import (
    ExperimentClips,
    Logistic,
    TitleProcess,
    compare,
    hat_weights,
)
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.scoring.model import FOUR_K, Model
from vmaf_jax.scoring.score import predict_frames
from vmaf_jax.tables.table import FeatureTable, rows_by_clip

DEFAULT_BASE = FOUR_K
FILE = Path(__file__).with_name("title_process.json")  # by benchmarks/calibrate.py
Floats = npt.NDArray[np.float64]


def load_process() -> TitleProcess:
    """Loads the process that is shipped."""
    return pydantic.TypeAdapter(TitleProcess).validate_json(FILE.read_bytes())


@dataclasses.dataclass(frozen=True)
class MeasuredClips:
    """The clips of a table, `[n]`, in order of first appearance.

    Attributes:
        name, source: Text.
        experiment: Text, or None where the table does not tell.
        quality: By the model, `[n]`, VMAF points.
        features: Means, `[n, 6]`.
        weights: Of the knots of `evaluation.title_process`, means over frames, `[n, 8]`.
        clips: What the process takes.
    """

    name: list[str]
    source: list[str]
    experiment: list[str] | None
    quality: Floats
    features: Floats
    weights: Floats
    clips: ExperimentClips


def check_calibratable(model: Model) -> None:
    """Raises InputError unless a model scores frames by the six features."""
    if model.pooling == OVER_FRAMES:
        raise InputError(
            f"{model.name}: cannot be calibrated: it takes all frames of a clip at once (attention)"
            f" and has no score of a frame to map; take one that scores frames, as {DEFAULT_BASE}."
        )
    if model.feature_set != FEATURES:
        raise InputError(
            f"{model.name}: cannot be calibrated: it takes the features "
            f"{model.feature_set.name}, expected {FEATURES.name}; take {DEFAULT_BASE}, for one."
        )


def measure_clips(table: FeatureTable, model: Model, process: TitleProcess) -> MeasuredClips:
    """Computes what the process needs of each clip of a table; never looks at its labels.

    Raises:
        InputError: The model cannot be calibrated, or the table holds other features.
    """
    check_calibratable(model)
    if table.feature_set != FEATURES:
        raise InputError(
            f"the table holds the features {table.feature_set.name}, expected {FEATURES.name}; "
            f"extract again with --features {FEATURES.name}."
        )
    if model.titles is not None:
        raise InputError(f"{model.name}: is calibrated by votes already; name its base model.")
    clips, rows = table.mean_pool(), rows_by_clip(table)
    per_frame = predict_frames(model, table.features)
    quality = np.array([model.clip_score(table.features[r], per_frame[r]) for r in rows])
    weights = [hat_weights(per_frame[r]) for r in rows]  # libvmaf pools by the mean alone
    source = [str(name) for name in clips.source]
    experiment = None if clips.experiment is None else [str(name) for name in clips.experiment]
    logistic = logistic_of(model, process)
    tests = [""] * len(source) if experiment is None else experiment
    return MeasuredClips(
        name=[str(name) for name in clips.clip],
        source=source,
        experiment=experiment,
        quality=quality,
        features=clips.features,
        weights=np.array(weights),
        clips=ExperimentClips(
            experiment=_number(tests),
            title=_number(list(zip(tests, source, strict=True))),
            expected=quality if logistic is None else logistic(quality),
            compared=compare(clips.features),
        ),
    )


def logistic_of(model: Model, process: TitleProcess) -> Logistic | None:
    """Returns the map from a model's scores to votes; None for a model of votes.

    Raises:
        InputError: The model predicts something else, whose map is not known.
    """
    if model.label == "mos":
        return None
    predicted = model.label or model.name
    if predicted not in process.logistic:
        raise InputError(
            f"{model.name}: cannot be calibrated: how its scores map to votes is known only of "
            f"{', '.join(process.logistic)}, students of these, and models of mos; name one."
        )
    return process.logistic[predicted]


def _number(keys: list[str] | list[tuple[str, str]]) -> npt.NDArray[np.int64]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
