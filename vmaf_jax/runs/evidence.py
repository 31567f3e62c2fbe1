"""What the files of a run folder tell of its model's sidecar; loads no JAX.

Figures of the training follow from the saved predictions, the configuration's digest from its file,
and the number of parameters from the checkpoint's shapes. A file that a folder does not have tells
nothing: predictions of people's votes are not shipped.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import OVER_FRAMES
from vmaf_jax.evaluation.conformal import MAX_CLIPS, ConformalProfile, pool_held_out
from vmaf_jax.evaluation.cross_validation import HeldOut, read_predictions
from vmaf_jax.evaluation.metrics import Metrics, all_metrics
from vmaf_jax.export.sidecar import Sidecar, TrainingMetrics
from vmaf_jax.files import (
    MAX_YAML_BYTES,
    check_json_keys,
    holds_plain_files,
    read_limited,
    read_yaml,
)

# The files of a run that are exported under these names; another file beside them is no run's.
RUN_FILES = ("model.onnx", "model.int8.onnx")
_SAME = 1e-6  # of a figure: sums of another machine; calibrations have six decimals
_MAX_METRICS_BYTES, _MAX_SHAPE_BYTES = 64 << 20, 1 << 16


def check_links(folder: Path, root: Path) -> None:
    """Checks that what lies in a model's folder, its checkpoint included, stands below `root`.

    Raises:
        InputError: something is a link out of `root`.
    """
    for path in sorted([*folder.iterdir(), *folder.glob("checkpoint/**/*")]):
        if not path.resolve().is_relative_to(root):
            raise InputError(f"{path}: is a link out of {root}; copy that file.")


def check_evidence(folder: Path, sidecar: Sidecar, path: Path) -> None:
    """Compares what a sidecar says of the training with the other files of its run folder.

    Args:
        path: the sidecar, for messages.

    Raises:
        InputError: a figure is another than those files tell, or one of them is damaged.
    """
    training = sidecar.training
    config = folder / "config.yaml"
    if training is not None and config.is_file():
        digest = hashlib.sha256(read_limited(config, "CONFIG_BYTES", MAX_YAML_BYTES)).hexdigest()
        _compare(path, "training.config_sha256", training.config_sha256, digest, config)
        _check_configuration(path, sidecar, config)
    if (folder / "checkpoint").is_dir():
        n = _count_parameters(folder / "checkpoint")
        _compare(path, "n_params", sidecar.n_params, n, folder / "checkpoint")
    if training is None or training.metrics is None:
        return
    figures = folder / "metrics.json"
    if figures.is_file():
        _check_metrics(path, training.metrics, _read_metrics(figures), figures)
    folds = folder / "folds.parquet"
    if not folds.is_file():
        return
    held_out = read_predictions(folds)
    external = {}
    # Looked up among files: a name may be none that a file system takes, or lead elsewhere.
    places = {path.name: path for path in folder.glob("external_*.parquet")}
    for name, metrics in training.metrics.external.items():
        place = places.get(f"external_{name}.parquet")
        if place is not None and place.is_file():
            external[name] = read_predictions(place)
            found = all_metrics(external[name].predicted, external[name].label)
            _compare_figures(path, f"training.metrics.external.{name}", metrics, found, place)
    found = all_metrics(held_out.predicted, held_out.label)
    _compare_figures(path, "training.metrics.loso", training.metrics.loso, found, folds)
    if external.keys() == training.metrics.external.keys():
        _check_calibration(path, sidecar, held_out, external, folds)


def _compare(path: Path, key: str, said: object, found: object, by: Path) -> None:
    if said != found:
        raise InputError(
            f"{path}: {key} is {said}, by {by.name} beside it {found}; restore the file that was "
            f"changed, or train again."
        )


def _check_configuration(path: Path, sidecar: Sidecar, config: Path) -> None:
    """Compares the label, pooling and activation that a sidecar names with those trained for."""
    document = read_yaml(config)
    data, student = document.get("data"), document.get("student")
    if not isinstance(data, Mapping) or not isinstance(student, Mapping):
        raise InputError(f"{config}: no configuration of a training; restore it or train again.")
    # Configurations of earlier versions lack some keys.
    if data.get("label") == "mos":
        _compare(path, "label.name", sidecar.label_name, "mos", config)
    elif (teacher := data.get("teacher")) is not None:
        name = str(teacher)
        label = Path(name).stem if name.endswith(".json") else name
        _compare(path, "label.name", sidecar.label_name, label, config)
    pooling, level = student.get("pooling"), student.get("percentile")
    if isinstance(pooling, str) and sidecar.pooling != OVER_FRAMES:
        by_level = isinstance(level, int | float) and pooling.endswith("percentile")
        full_name = f"{pooling} {level:g}" if by_level else pooling
        _compare(path, "pooling", sidecar.pooling, full_name, config)
    if sidecar.arch is not None and (activation := student.get("activation")) is not None:
        _compare(path, "arch.activation", sidecar.arch.activation, activation, config)


def _check_metrics(path: Path, said: TrainingMetrics, found: TrainingMetrics, by: Path) -> None:
    _compare_figures(path, "training.metrics.loso", said.loso, found.loso, by)
    names, own = sorted(said.external), sorted(found.external)
    _compare(path, "training.metrics.external", names, own, by)
    for name, metrics in said.external.items():
        key = f"training.metrics.external.{name}"
        _compare_figures(path, key, metrics, found.external[name], by)


def _compare_figures(path: Path, key: str, said: Metrics, found: Metrics, by: Path) -> None:
    own = dict(_leaves(dataclasses.asdict(found)))
    for name, value in _leaves(dataclasses.asdict(said)):
        other = own[name]
        both_undefined = math.isnan(value) and math.isnan(other)
        if not both_undefined and not math.isclose(value, other, rel_tol=_SAME, abs_tol=_SAME):
            _compare(path, f"{key}.{name}", f"{value:g}", f"{other:g}", by)
            _compare(path, f"{key}.{name}", value, other, by)  # alike in six digits


def _leaves(document: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, float]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}{key}.")
        else:
            yield f"{name}{key}", float(value)


def _read_metrics(path: Path) -> TrainingMetrics:
    content = read_limited(path, "REPORT_BYTES", _MAX_METRICS_BYTES)
    try:
        document = json.loads(content)
        check_json_keys(content)
        return TrainingMetrics(
            loso=document["loso"]["pooled"], external=document.get("external", {})
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: no figures of a training; restore it or train again.") from error


def _count_parameters(checkpoint: Path) -> int:
    """Counts trained parameters by the shapes of a checkpoint's arrays, without their numbers."""
    if not holds_plain_files(checkpoint):
        raise InputError(f"{checkpoint}: holds something other than files; copy it again.")
    total = 0
    for path in sorted(checkpoint.glob("params.*/.zarray")):
        content = read_limited(path, "REPORT_BYTES", _MAX_SHAPE_BYTES)
        try:
            total += math.prod(int(size) for size in json.loads(content)["shape"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(f"{path}: damaged; train again.") from error
    return total


def _check_calibration(
    path: Path, sidecar: Sidecar, held_out: HeldOut, external: Mapping[str, HeldOut], by: Path
) -> None:
    """Compares the stored profile of errors with that of the saved predictions."""
    calibration = sidecar.read_calibration()
    if calibration is None:
        return
    residuals = pool_held_out(held_out, external, sidecar.pooling)
    if residuals is None:
        return
    said, n_clips = calibration.profile, len(residuals.label)
    _compare(path, "calibration.n_clips", said.n_clips, n_clips, by)
    _compare(path, "calibration.n_sources", said.n_sources, residuals.n_sources, by)
    if n_clips > MAX_CLIPS:
        return  # so many take long to profile again
    found = residuals.profile
    for key in ("quantile", "difficulty"):
        differs = ~np.isclose(_numbers(said, key), _numbers(found, key), rtol=1e-5, atol=1e-5)
        if differs.any():
            k = int(np.argmax(differs))
            was, is_ = (_numbers(profile, key)[k] for profile in (said, found))
            _compare(path, f"calibration.{key}.{k}", f"{was:.6f}", f"{is_:.6f}", by)


def _numbers(profile: ConformalProfile, key: str) -> npt.NDArray[np.float64]:
    return np.asarray(getattr(profile, key), np.float64)
