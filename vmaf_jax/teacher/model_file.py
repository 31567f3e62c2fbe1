"""VMAF's JSON model files, found by name, read and validated, and teachers to call.

The file lists features in an order of its own, and its LIBSVM text leaves zero entries out; both
are mapped by name and index onto our order. Files may come from strangers, so everything is
checked before it is used.
"""

import contextlib
import dataclasses
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, OtherFeaturesError, did_you_mean
from vmaf_jax.features.feature_set import (
    DEFAULT_OPTIONS,
    FEATURE_SETS,
    FEATURES,
    FeatureSet,
    Option,
    check_features,
    is_option_of,
)
from vmaf_jax.files import read_limited, unique_keys
from vmaf_jax.teacher.svr import Correction, ScoreTransform, SvrParams, score_rows

Entries = dict[str, Any]  # of a JSON object, unchecked
DEFAULT_TEACHER = "vmaf_v0.6.1"
_MOST_KNOTS = 10  # libvmaf of 2.3 to today refuses a file with more
MAX_BYTES = 8 << 20
_FEATURE = re.compile(r"(?:VMAF_(?:integer_)?|Cambi_|Speed_\w+?_)feature_(?P<name>\w+)_score")
# Of the names that begin with VMAF, those that libvmaf still computes since its version 2.
_COMPUTED = re.compile(r"adm[23]|aim|adm_scale[0-3]|motion[23]?|vif_scale[0-3]")
_NEVER_NULL = frozenset(
    {"score_transform", "score_clip", "chroma_correction_parameter", "feature_opts_dicts"}
    | {"knots", "p0", "p1", "p2"}
)
_PICKLED = re.compile(r"\.pkl(\.\d+)?(\.model)?$")
_COLLECTION = re.compile(r"vmaf_(float_|4k_)*r?b_v[\w.]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A model as read.

    Attributes:
        name: the file's, without `.json`.
        feature_set: the features that it takes.
        params: the SVR in float64, features in the order of `feature_set`.
        transform: the file's score transform, or None.
        transform_enabled: whether it applies unasked.
        clip: the score range, or None.
        document: the parsed JSON.
    """

    name: str
    feature_set: FeatureSet
    params: SvrParams
    transform: ScoreTransform | None
    transform_enabled: bool
    clip: tuple[float, float] | None
    document: Entries

    def __repr__(self) -> str:
        count = len(self.params.coefficients)
        features = self.feature_set.name
        return f"ModelFile({self.name!r}, features {features}, {count} support vectors)"


def known_teachers() -> dict[str, Path]:
    """Finds the model files of ffmpeg-quality-metrics, by name."""
    spec = importlib.util.find_spec("ffmpeg_quality_metrics")
    folders = [
        Path(place) / "vmaf_models" for place in (spec and spec.submodule_search_locations) or []
    ]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.json"))}


def find_model_file(name_or_path: str | Path) -> Path:
    """Finds a model file: as given, or by name among those of ffmpeg-quality-metrics.

    Raises:
        InputError: there is no such file; the message lists the names there are.
    """
    text = str(name_or_path)
    refuse_old_kinds(text)
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


def refuse_old_kinds(model: str) -> None:
    """Raises InputError where a model's name or path is of a kind that cannot be read or run."""
    if _PICKLED.search(model):
        raise InputError(
            f"{model}: a pickled model of VMAF before version 2, which is code and not read; take "
            f"the JSON file of the same name from the model folder of Netflix's repository."
        )
    if _COLLECTION.fullmatch(model):
        raise _collection_error(model)


def _collection_error(name: str) -> InputError:
    return InputError(
        f"{name}: a bootstrap collection, many models for one interval, which neither ffmpeg's "
        f"libvmaf filter nor this program runs (docs/traps.md); take {DEFAULT_TEACHER}, or a "
        f"model with --interval."
    )


def read_model_file(path: Path) -> ModelFile:
    """Reads and validates a nu-SVR model over the features of one of our sets.

    Raises:
        InputError: unreadable, of another kind, inconsistent, or over other features; the message
            names the file, the key and what was expected.
    """
    content = read_limited(path, "MODEL_BYTES", MAX_BYTES)
    try:
        # Of equal keys libvmaf takes the first, Python the last.
        document = json.loads(content.decode(), object_pairs_hook=unique_keys)
        if not isinstance(document, dict):
            raise TypeError("it holds no JSON object")
        return _parse(path, document)
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


def _parse(path: Path, document: Entries) -> ModelFile:
    if "model_dict" not in document and "0" in document:
        raise _collection_error(str(path))
    model = document["model_dict"]
    _refuse_nulls(path, model, "model_dict")
    names = [str(name) for name in model["feature_names"]]
    options = model.get("feature_opts_dicts", [])
    options = [*options, *[{}] * (len(names) - len(options))]
    kind, norm = model["model_type"], model["norm_type"]
    _check_names(path, names, options)
    if kind != "LIBSVMNUSVR" or norm not in ("linear_rescale", "none"):
        raise InputError(
            f"{path}: model_type {kind!r}, norm_type {norm!r}; expected LIBSVMNUSVR with "
            f"linear_rescale or none."
        )
    slopes, intercepts = _read_rescale(path, model, len(names) + 1)
    header, vectors, coefficients = _read_libsvm(path, model["model"], len(names))
    clip = model.get("score_clip")
    if clip is not None and not float(clip[0]) < float(clip[1]):
        raise InputError(f"{path}: score_clip {clip} is no range; it is damaged.")
    transform, enabled = _read_transform(path, model.get("score_transform"))
    # Last: a sound model may ask for other features.
    feature_set, order = _find_feature_set(path, names, options)
    return ModelFile(
        name=path.stem,
        feature_set=feature_set,
        params=SvrParams(
            slope=slopes[1:][order],
            intercept=intercepts[1:][order],
            support_vectors=vectors[:, order],
            coefficients=coefficients,
            gamma=np.float64(header["gamma"]),
            rho=np.float64(header["rho"]),
            score_slope=slopes[0],
            score_intercept=intercepts[0],
            correction=_read_correction(path, model, feature_set),
        ),
        transform=transform,
        transform_enabled=enabled,
        clip=None if clip is None else (float(clip[0]), float(clip[1])),
        document=document,
    )


def _refuse_nulls(path: Path, entries: object, where: str) -> None:
    """Raises InputError where an entry is no object, or a key of it that libvmaf reads is null."""
    if not isinstance(entries, Mapping):
        raise InputError(f"{path}: {where} is no JSON object; get the file again.")
    for key in _NEVER_NULL & entries.keys():
        if entries[key] is None:
            raise InputError(
                f"{path}: {key} in {where} is null, and no libvmaf loads that; remove the key."
            )


def _check_names(path: Path, names: list[str], options: Any) -> None:
    bad = [name for name in names if not _FEATURE.fullmatch(name)]
    if bad or not names or len(set(names)) < len(names):
        raise InputError(f"{path}: feature_names {names} are damaged; get the file again.")
    plain = [name.split("_feature_", 1) for name in names if name.startswith("VMAF_")]
    gone = [n for _, n in plain if not _COMPUTED.fullmatch(n.removesuffix("_score"))]
    if gone:
        raise InputError(
            f"{path}: asks for {', '.join(n.removesuffix('_score') for n in gone)}, features of "
            f"the first VMAF that no libvmaf since 2.0 computes; take {DEFAULT_TEACHER}."
        )
    if len(options) != len(names) or not all(isinstance(entry, dict) for entry in options):
        raise InputError(f"{path}: feature_opts_dicts are not one a feature; it is damaged.")
    for value in (value for entry in options for value in entry.values()):
        if not isinstance(value, (bool, int, float, str)) or not np.isfinite(
            value if isinstance(value, (int, float)) else 0
        ):
            raise InputError(f"{path}: feature option {value!r} is no number or word.")


def _find_feature_set(
    path: Path, names: list[str], options: list[Entries]
) -> tuple[FeatureSet, list[int]]:
    """Finds the feature set of a file, and the position of each of its features in the file.

    A feature set is one family of extractors, and each entry's options are of its feature alone.
    """
    by_label = f"Let libvmaf run it, as a label column: --teacher {path}."
    alike = [s for s in FEATURE_SETS.values() if sorted(s.model_names) == sorted(names)]
    if not alike:
        raise OtherFeaturesError(
            f"{path.stem}: uses the features {', '.join(names)}, expected "
            f"{', '.join(FEATURES.model_names)}. {by_label}"
        )
    order = [names.index(name) for name in alike[0].model_names]
    asked = [_changed_options(path, options[k], alike[0].names[i]) for i, k in enumerate(order)]
    for feature_set in alike:
        if asked == [feature_set.options_of(name) for name in feature_set]:
            return feature_set, order
    by_name = {name: entry for name, entry in zip(alike[0], asked, strict=True) if entry}
    raise OtherFeaturesError(
        f"{path.stem}: asks for features with the options {by_name}, which no feature set has; "
        f"those near it are {', '.join(feature_set.name for feature_set in alike)}. {by_label}"
    )


def _changed_options(path: Path, options: Entries, name: str) -> dict[str, Option]:
    """Returns the options of a feature that are not libvmaf's defaults; numbers in text parsed."""
    changed: dict[str, Option] = {}
    for key, value in options.items():
        if not is_option_of(key, name):
            raise InputError(
                f"{path}: feature_opts_dicts gives {name} the option {key}, which is not one of "
                f"{name}'s and which libvmaf drops or stumbles over; remove it."
            )
        default = DEFAULT_OPTIONS.get(key)
        if isinstance(value, str) and not isinstance(default, str):
            with contextlib.suppress(ValueError):
                value = {"true": True, "false": False}.get(value, value)
                value = float(value) if isinstance(value, str) else value
        if value != default or isinstance(value, bool) != isinstance(default, bool):
            changed[key] = value
    return changed


def _read_correction(path: Path, model: Entries, feature_set: FeatureSet) -> Correction | None:
    """Reads the substitute for a chroma that could not be measured, where the model has one."""
    factor = float(model.get("chroma_correction_parameter") or 0.0)
    if not factor:
        return None
    names = np.array(feature_set.names)
    chroma, guides = np.char.startswith(names, "speed_chroma"), names == "adm3"
    if not np.isfinite(factor) or not (chroma.sum() == guides.sum() == 1):
        raise InputError(
            f"{path}: chroma_correction_parameter {factor} needs the features speed_chroma and "
            f"adm3; it is damaged."
        )
    return Correction(factor * chroma.astype(np.float64), guides.astype(np.float64))


def _read_rescale(
    path: Path, model: Entries, n: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Reads slopes and intercepts `[n]`: the score's, then the features' in the file's order."""
    if model["norm_type"] == "none":
        return np.ones(n), np.zeros(n)
    slopes = _read_vector(path, "slopes", model["slopes"], n)
    return slopes, _read_vector(path, "intercepts", model["intercepts"], n)


def _read_vector(path: Path, key: str, values: object, n: int) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,) or not np.isfinite(array).all():
        raise InputError(f"{path}: {key} has shape {array.shape}, expected {n} finite numbers.")
    if key == "slopes" and (array == 0).any():
        raise InputError(f"{path}: a slope is 0, so a value cannot be scaled back.")
    return array


def _read_libsvm(
    path: Path, text: Any, n_features: int
) -> tuple[dict[str, str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Reads header, support vectors `[s, features]` in the file's order, coefficients `[s]`."""
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


def _read_flag(path: Path, entry: Entries, key: str) -> bool:
    """Reads a rectification's flag: libvmaf takes the text "true" alone for true."""
    value = entry.get(key, "false")
    if not isinstance(value, str):
        raise InputError(
            f"{path}: score_transform has {key} {json.dumps(value)}, and no libvmaf loads that "
            f'(docs/traps.md); write it as text, "true" or "false".'
        )
    return value == "true"


def _check_knots(path: Path, knots: object) -> None:
    """Raises InputError unless knots are points with rising x, as many as libvmaf loads."""
    points = np.asarray(knots, dtype=np.float64)
    sound = points.ndim == 2 and points.shape[1] == 2 and len(points) > 1
    if not sound or not np.isfinite(points).all() or not (np.diff(points[:, 0]) > 0).all():
        raise InputError(f"{path}: knots are {knots!r}, expected pairs with rising x; fix them.")
    if len(points) > _MOST_KNOTS:
        raise InputError(
            f"{path}: score_transform has {len(points)} knots, and no libvmaf loads more than "
            f"{_MOST_KNOTS} (docs/traps.md); use fewer."
        )


def _read_transform(path: Path, entry: object) -> tuple[ScoreTransform | None, bool]:
    if entry is None:
        return None, False
    if not isinstance(entry, dict):
        raise InputError(f"{path}: score_transform is {type(entry).__name__}, expected keys.")
    _refuse_nulls(path, entry, "score_transform")
    knots = None
    if "knots" in entry:
        _check_knots(path, entry["knots"])
        knots = tuple((float(x), float(y)) for x, y in entry["knots"])
    terms = [entry.get(key) for key in ("p0", "p1", "p2")]
    present = any(term is not None for term in terms)
    if any(isinstance(term, (str, bool)) for term in terms):
        raise InputError(f"{path}: score_transform has p0, p1, p2 {terms}; expected numbers.")
    p0, p1, p2 = (float(term or 0.0) for term in terms)
    if not np.isfinite([p0, p1, p2]).all():
        raise InputError(f"{path}: score_transform has a term that is not finite; it is damaged.")
    transform = ScoreTransform(
        polynomial=(p0, p1, p2) if present else None,
        knots=knots,
        at_least_input=_read_flag(path, entry, "out_gte_in"),
        at_most_input=_read_flag(path, entry, "out_lte_in"),
    )
    enabled = entry.get("enabled", False)
    if not isinstance(enabled, bool):
        raise InputError(
            f"{path}: score_transform has enabled {json.dumps(enabled)}, and no libvmaf loads "
            f"that (docs/traps.md); write true or false, without quotes."
        )
    return transform, enabled


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A VMAF model over the features of one of our feature sets.

    Attributes:
        model: the file it was read from.
        transform: the score transform in force, or None.
    """

    model: ModelFile
    transform: ScoreTransform | None

    @property
    def name(self) -> str:
        """Name of the model, e.g. `vmaf_v0.6.1`."""
        return self.model.name

    @property
    def feature_set(self) -> FeatureSet:
        """Features that it must be called with; NEG models need theirs under a gain limit of 1."""
        return self.model.feature_set

    def __call__(self, features: npt.ArrayLike, *, clip: bool = True) -> npt.NDArray[np.float64]:
        """Returns scores `[n]` in VMAF points, computed in float64, of raw features `[n, d]`.

        Args:
            features: no unit, in the order of `feature_set`.
            clip: limit to the model's range (0-100 for most); False gives the score before that.

        Raises:
            InputError: the array has another shape or a value that is not finite.
        """
        x = check_features(features, self.feature_set)
        out = score_rows(self.model.params, x, self.transform)
        return np.clip(out, *self.model.clip) if clip and self.model.clip else out

    def params(self) -> SvrParams:
        """Returns the parameters of `svr_score` in float64, as NumPy arrays."""
        return self.model.params


def load_teacher(name_or_path: str | Path, *, phone: bool = False) -> Teacher:
    """Loads a VMAF model, by name or from a JSON file.

    Called with features in the order of `FEATURES`:

    Examples:
        >>> teacher = load_teacher("vmaf_v0.6.1")
        >>> features = [[0.95, 0.6, 0.9, 0.94, 0.96, 3.2], [1, 1, 1, 1, 1, 0]]
        >>> teacher(features).round(2)
        array([84.75, 97.43])

    Args:
        name_or_path: e.g. `vmaf_v0.6.1`, `vmaf_4k_v0.6.1`, `vmaf_v1.0.16_3d0h`, or a `.json` path.
        phone: apply the file's score transform even where it is not enabled (small screens).

    Raises:
        InputError: unknown name, unreadable file, other features, or no transform to apply.
    """
    model = read_model_file(find_model_file(name_or_path))
    if phone and model.transform is None:
        raise InputError(f"{model.name}: has no score transform, so no phone scores; drop phone.")
    return Teacher(model, model.transform if phone or model.transform_enabled else None)
