"""VMAF's JSON model files: found by name, read and validated.

The file lists features in an order of its own, and its LIBSVM text leaves zero entries out; both
are mapped by name and index onto our order. Files may come from strangers, so everything is
checked before it is used.
"""

import contextlib
import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, OtherFeaturesError, did_you_mean
from vmaf_jax.features.feature_set import DEFAULT_OPTIONS, FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.limits import read_limited
from vmaf_jax.teacher.correction import Correction
from vmaf_jax.teacher.score_transform import ScoreTransform

DEFAULT_TEACHER = "vmaf_v0.6.1"
MAX_BYTES = 8 << 20
_FEATURE = re.compile(r"(?:VMAF_(?:integer_)?|Cambi_|Speed_chroma_)feature_(?P<name>\w+)_score")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A model as read, arrays in the order of `feature_set`, float64.

    Attributes as in `SvrParams`; `transform` is the file's score transform and
    `transform_enabled` whether it applies unasked; `clip` the score range or None; `document` the
    parsed JSON.
    """

    name: str
    feature_set: FeatureSet
    slope: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    support_vectors: npt.NDArray[np.float64]
    coefficients: npt.NDArray[np.float64]
    gamma: float
    rho: float
    score_slope: float
    score_intercept: float
    correction: Correction | None
    transform: ScoreTransform | None
    transform_enabled: bool
    clip: tuple[float, float] | None
    document: dict[str, Any]


def known_teachers() -> dict[str, Path]:
    """The model files of ffmpeg-quality-metrics, by name."""
    spec = importlib.util.find_spec("ffmpeg_quality_metrics")
    folders = [
        Path(place) / "vmaf_models" for place in (spec and spec.submodule_search_locations) or []
    ]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.json"))}


def find_model_file(name_or_path: str | Path) -> Path:
    """The path of a model file: as given, or by name among those of ffmpeg-quality-metrics.

    Raises:
        InputError: there is no such file; the message lists the names there are.
    """
    text = str(name_or_path)
    if text.endswith(".json"):
        if not Path(text).is_file():
            raise InputError(f"{text}: no such model file; check the name.")
        return Path(text)
    teachers = known_teachers()
    if not _NAME.fullmatch(text) or text not in teachers:
        raise InputError(
            f"teacher {text!r} is unknown; expected a .json file or one of {', '.join(teachers)}."
            f"{did_you_mean(text, teachers)}"
        )
    return teachers[text]


def read_model_file(path: Path) -> ModelFile:
    """Reads and validates a nu-SVR model over the features of one of our sets.

    Raises:
        InputError: unreadable, of another kind, inconsistent, or over other features; the message
            names the file, the key and what was expected.
    """
    content = read_limited(path, "MODEL_BYTES", MAX_BYTES)
    try:
        document = json.loads(content.decode())
        model = document["model_dict"]
        names = [str(name) for name in model["feature_names"]]
        options = model.get("feature_opts_dicts") or [{}] * len(names)
        kind, norm = model["model_type"], model["norm_type"]
        _check_names(path, names, options)
        if kind != "LIBSVMNUSVR" or norm != "linear_rescale":
            raise InputError(
                f"{path}: model_type {kind!r}, norm_type {norm!r}; expected LIBSVMNUSVR and "
                f"linear_rescale."
            )
        slopes = _vector(path, "slopes", model["slopes"], len(names) + 1)
        intercepts = _vector(path, "intercepts", model["intercepts"], len(names) + 1)
        header, vectors, coefficients = _libsvm(path, model["model"], len(names))
        clip = model.get("score_clip")
        if clip is not None and not float(clip[0]) < float(clip[1]):
            raise InputError(f"{path}: score_clip {clip} is no range; it is damaged.")
        feature_set, order = _features(path, names, options)
        correction = _correction(path, model, feature_set)
        transform, enabled = _transform(path, model.get("score_transform"))
        return ModelFile(
            name=path.stem,
            feature_set=feature_set,
            slope=slopes[1:][order],
            intercept=intercepts[1:][order],
            support_vectors=vectors[:, order],
            coefficients=coefficients,
            gamma=float(header["gamma"]),
            rho=float(header["rho"]),
            score_slope=float(slopes[0]),
            score_intercept=float(intercepts[0]),
            correction=correction,
            transform=transform,
            transform_enabled=enabled,
            clip=None if clip is None else (float(clip[0]), float(clip[1])),
            document=document,
        )
    except InputError:
        raise
    except KeyError as error:
        raise InputError(
            f"{path}: key {error.args[0]!r} is missing; expected a VMAF JSON model."
        ) from error
    except (
        ValueError,
        TypeError,
        IndexError,
        OverflowError,
        AttributeError,
        RecursionError,
    ) as error:
        raise InputError(f"{path}: not a VMAF JSON model ({error}); get the file again.") from error


def check_model_file(path: Path) -> None:
    """Raises InputError unless `path` is a sound VMAF model, over whichever features."""
    with contextlib.suppress(OtherFeaturesError):  # raised once all else was found sound
        read_model_file(path)


def _check_names(path: Path, names: list[str], options: Any) -> None:
    bad = [name for name in names if not _FEATURE.fullmatch(name)]
    if bad or not names or len(set(names)) < len(names):
        raise InputError(f"{path}: feature_names {names} are damaged; get the file again.")
    if len(options) != len(names) or not all(isinstance(entry, dict) for entry in options):
        raise InputError(f"{path}: feature_opts_dicts are not one a feature; it is damaged.")
    for value in (value for entry in options for value in entry.values()):
        if not isinstance(value, (bool, int, float, str)) or not np.isfinite(
            value if isinstance(value, (int, float)) else 0
        ):
            raise InputError(f"{path}: feature option {value!r} is no number or word.")


def _features(
    path: Path, names: list[str], options: list[dict[str, Any]]
) -> tuple[FeatureSet, list[int]]:
    """The feature set a file uses, and where each of its features stands in the file."""
    matches = [_FEATURE.fullmatch(name) for name in names]
    plain = [match["name"] if match else name for match, name in zip(matches, names, strict=True)]
    alike = [candidate for candidate in FEATURE_SETS.values() if sorted(candidate) == sorted(plain)]
    if not alike:
        raise OtherFeaturesError(
            f"{path.stem}: uses the features {', '.join(plain)}, expected {', '.join(FEATURES)}. "
            f"Use it as a label column: vmaf-jax extract --teacher {path.stem}."
        )
    entries = {key: value for entry in options for key, value in entry.items()}
    changed = {key: value for key, value in entries.items() if DEFAULT_OPTIONS.get(key) != value}
    for feature_set in alike:
        if changed == dict(feature_set.options):
            return feature_set, [plain.index(name) for name in feature_set]
    raise OtherFeaturesError(
        f"{path.stem}: asks for features with the options {changed}, which no table holds; use a "
        f"model with those of {', '.join(feature_set.name for feature_set in alike)}."
    )


def _correction(path: Path, model: dict[str, Any], feature_set: FeatureSet) -> Correction | None:
    """What stands in for a chroma that could not be measured, where the model says so."""
    factor = float(model.get("chroma_correction_parameter") or 0.0)
    if not factor:
        return None
    names = np.array(feature_set.names)
    corrected, guides = np.char.startswith(names, "speed_chroma"), names == "adm3"
    if not np.isfinite(factor) or not (corrected.sum() == guides.sum() == 1):
        raise InputError(
            f"{path}: chroma_correction_parameter {factor} needs the features speed_chroma and "
            f"adm3; it is damaged."
        )
    return Correction(factor * corrected.astype(np.float64), guides.astype(np.float64))


def _vector(path: Path, key: str, values: Any, n: int) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,) or not np.isfinite(array).all():
        raise InputError(f"{path}: {key} has shape {array.shape}, expected {n} finite numbers.")
    if key == "slopes" and (array == 0).any():
        raise InputError(f"{path}: a slope is 0, so a value cannot be scaled back.")
    return array


def _libsvm(
    path: Path, text: Any, n_features: int
) -> tuple[dict[str, str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Header, support vectors `[s, features]` in the file's order, coefficients `[s]`."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    start = lines.index(["SV"])
    header = {line[0]: " ".join(line[1:]) for line in lines[:start]}
    if (header["svm_type"], header["kernel_type"]) != ("nu_svr", "rbf"):
        raise InputError(
            f"{path}: {header['svm_type']} with kernel {header['kernel_type']}, expected nu_svr "
            f"with rbf."
        )
    rows = lines[start + 1 :]
    if len(rows) != int(header["total_sv"]) or not rows:
        raise InputError(
            f"{path}: {len(rows)} support vectors, total_sv says {header['total_sv']}; it is cut."
        )
    vectors = np.zeros((len(rows), n_features))
    coefficients = np.array([float(row[0]) for row in rows])
    for k, row in enumerate(rows):
        last = 0
        for entry in row[1:]:
            index, value = entry.split(":")
            if not last < int(index) <= n_features:
                raise InputError(f"{path}: support vector {k} has index {index}; it is damaged.")
            last = int(index)
            vectors[k, last - 1] = float(value)
    numbers = [float(header["gamma"]), float(header["rho"])]
    finite = all(np.isfinite(part).all() for part in (vectors, coefficients, numbers))
    if not finite or numbers[0] <= 0:
        raise InputError(f"{path}: a number is not finite, or gamma not positive; it is damaged.")
    return header, vectors, coefficients


def _truth(value: Any) -> bool:
    """JSON models write booleans as booleans or as text."""
    return value is True or value == "true"


def _transform(path: Path, entry: Any) -> tuple[ScoreTransform | None, bool]:
    if entry is None:
        return None, False
    if not isinstance(entry, dict):
        raise InputError(f"{path}: score_transform is {type(entry).__name__}, expected keys.")
    if "knots" in entry:
        raise InputError(f"{path}: score_transform has knots, which are not supported.")
    terms = [entry.get(key) for key in ("p0", "p1", "p2")]
    present = any(term is not None for term in terms)
    p0, p1, p2 = (float(term or 0.0) for term in terms)
    if not np.isfinite([p0, p1, p2]).all():
        raise InputError(f"{path}: score_transform has a term that is not finite; it is damaged.")
    transform = ScoreTransform(
        polynomial=(p0, p1, p2) if present else None,
        at_least_input=_truth(entry.get("out_gte_in")),
        at_most_input=_truth(entry.get("out_lte_in")),
    )
    return transform, _truth(entry.get("enabled"))
