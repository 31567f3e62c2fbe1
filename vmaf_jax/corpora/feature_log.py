"""A log of libvmaf's, of any age, as features: JSON, XML or CSV of ffmpeg, `vmaf` or vmafossexec.

What differs between them are the names. Today's integer extractors log `integer_adm2`, the float
ones and every libvmaf before 2.0 log `adm2`, the Python package `VMAF_integer_feature_adm2_score`;
an option that changes a feature is part of its name (`integer_adm2_egl_1`: enhancement gain limit
1, of the NEG models). libvmaf writes no digit for a value that it does not have: CSV rows are then
shorter, JSON has null, and such logs are refused.
Source: libvmaf's `src/output.c` and `src/feature/alias.c`.
"""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.records import check_size
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet

MAX_BYTES = 512 * 2**20
Frames = list[tuple[Any, Mapping[str, Any]]]  # number of each frame, and its values by name


def read_log(path: Path, feature_set: FeatureSet) -> npt.NDArray[np.float64]:
    """The features of every frame that a log has, `[frames, features]`, in its frames' order.

    Args:
        path: `.json`, `.xml` or `.csv`.
        feature_set: which; those of a NEG set are the ones logged with a gain limit of 1.

    Raises:
        InputError: missing, too large, not such a log, a feature it does not have, a frame that is
            missing, comes twice or lacks a value.
    """
    check_size(path, MAX_BYTES, "log")
    try:
        match path.suffix.lower():
            case ".json":
                frames = _json_frames(path)
            case ".xml":
                frames = _xml_frames(path)
            case ".csv":
                frames = _csv_frames(path)
            case _:
                raise InputError(f"{path}: unknown kind of log; expected .json, .xml or .csv.")
    except (OSError, ValueError, RecursionError, csv.Error, expat.ExpatError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable ({error}); log again.") from error
    if not frames:
        raise InputError(f"{path}: holds no frame of a libvmaf log; log again.")
    numbers = [_number(number, path) for number, _ in frames]
    check_numbers(np.array(numbers, dtype=np.float64), str(path))
    names = [_logged_name(key, frames[0][1], feature_set, path) for key in feature_set.libvmaf_keys]
    values = [
        [_value(frame, name, k, path) for name in names] for k, (_, frame) in enumerate(frames)
    ]
    return np.array(values, dtype=np.float64)


def check_numbers(numbers: npt.NDArray[np.float64], where: str) -> None:
    """Raises InputError, beginning with `where`, unless frames count up by one from 0 or 1."""
    expected = np.arange(len(numbers)) + (numbers[0] == 1)
    if (odd := np.flatnonzero(numbers != expected)).size:
        k = odd[0]
        before = f"after frame {numbers[k - 1]:g}" if k else "at the start"
        raise InputError(
            f"{where}: frame {numbers[k]:g} stands {before}, expected {expected[k]}; frames are "
            f"missing or mixed up, measure every frame (no n_subsample)."
        )


def _json_frames(path: Path) -> Frames:
    document = json.loads(path.read_text(encoding="utf-8"))
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f"{path}: no log of libvmaf's (it has no list of frames); log again.")
    rows = [(frame.get("frameNum"), frame.get("metrics", frame)) for frame in frames]
    if not all(isinstance(values, dict) for _, values in rows):
        raise InputError(f"{path}: a frame's metrics are no object of names and values; log again.")
    return rows


def _xml_frames(path: Path) -> Frames:
    rows: Frames = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "frame":
            rows.append((attributes.get("frameNum"), attributes))

    def refuse(*_: object) -> None:
        raise InputError(f"{path}: declares a document type, which no log does; log again.")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse  # no entities, so nothing expands
    with path.open("rb") as file:
        parser.ParseFile(file)
    return rows


def _csv_frames(path: Path) -> Frames:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines, [])]
        if not header or header[0] != "Frame":
            raise InputError(f"{path}: no log of libvmaf's (its first column is not Frame).")
        rows: Frames = []
        for line in lines:
            if len(line) != len(header):
                raise InputError(
                    f"{path}: frame {line[0] if line else ''} has {len(line)} cells for "
                    f"{len(header)} columns, so values are missing; log again, best as JSON."
                )
            rows.append((line[0], dict(zip(header, line, strict=True))))
    return rows


def _number(value: Any, path: Path) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number < 2**31:
        raise InputError(
            f"{path}: frame number {str(value)[:20]!r}: expected 0, 1, ...; log again."
        )
    return number


def _logged_name(key: str, frame: Mapping[str, Any], feature_set: FeatureSet, path: Path) -> str:
    """The name under which a log has the feature that libvmaf's JSON calls `key`."""
    stem = key.removeprefix("integer_")
    stems = (stem,) if "_egl_" in stem else (stem, f"{stem}_egl_100")
    integer, bare = (("integer_", ""), ("VMAF_integer_feature_", "_score")), (
        ("", ""), ("VMAF_feature_", "_score"),
    )  # fmt: skip
    styles = (*integer, *bare) if key.startswith("integer_") else bare
    for before, after in styles:
        for variant in stems:
            if (name := before + variant + after) in frame:
                return name
    base = stem.removesuffix("_egl_1")
    near = sorted(name for name in frame if re.search(rf"(^|_){base}(_|$)", name))
    mend = f"it has {', '.join(near)}" if near else "log features and no scores alone"
    if any("_egl_1" in name for name in near):
        mend += "; NEG features are read with --features vmaf_neg"
    raise InputError(f"{path}: has no {base} of the feature set {feature_set.name}; {mend}.")


def _value(frame: Mapping[str, Any], name: str, k: int, path: Path) -> float:
    value = frame.get(name)
    try:
        number = float("nan") if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not np.isfinite(number):
        raise InputError(
            f"{path}: frame {k} has no {name} ({str(value)[:20]}), expected a number; log again."
        )
    return number
