"""A run folder as a page shows it, read with patience.

Only `folds.parquet` has to be there: every figure of a page is computed from predictions. What else
is missing, damaged or of an older schema is named on the page.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.export.sidecar_file import label_scale, read_sidecar
from vmaf_jax.limits import read_limited
from vmaf_jax.models.pooled import check_pooling
from vmaf_jax.plain_yaml import MAX_BYTES as MAX_YAML_BYTES
from vmaf_jax.plain_yaml import parse_yaml
from vmaf_jax.reporting.run_view import Curves, RunView

_MOST_BYTES = 64 << 20
_MOST_SCORE, _MOST_LOSS, _MOST_FIGURE = 1e9, 1e30, 1e15  # beyond, a file is damaged
_EXTERNAL = "external_"


def read_run(folder: Path) -> RunView:
    """What a run's files say.

    Raises:
        InputError: its predictions are missing or damaged.
    """
    missing: list[str] = []
    held_out = _predictions(folder / "folds.parquet")
    external = {}
    for path in sorted(folder.glob(f"{_EXTERNAL}*.parquet")):
        try:
            external[path.stem.removeprefix(_EXTERNAL)] = _predictions(path)
        except InputError as error:
            missing.append(f"Not shown: {error}")
    text = _text(folder / "config.yaml", missing, MAX_YAML_BYTES)
    config = _mapping(text, parse_yaml, folder / "config.yaml", missing)
    documents = {
        name: _mapping(_text(folder / name, missing), _figures, folder / name, missing)
        for name in ("metrics.json", "parity.json")
    }
    parity = documents["parity.json"] or documents["metrics.json"].get("parity")
    return RunView(
        name=str(config.get("name") or folder.name),
        config=config,
        config_text=text,
        held_out=held_out,
        external=external,
        metrics=documents["metrics.json"],
        parity=parity if isinstance(parity, Mapping) else {},
        curves=_curves(folder / "log.jsonl", missing),
        missing=tuple(missing),
        label_scale=_label_scale(folder / "model.json"),
        pooling=_pooling(folder / "model.json"),
    )


def _label_scale(path: Path) -> tuple[float, float] | None:
    try:
        return label_scale(read_sidecar(path), path)
    except InputError:  # an older run's; what it says is said in points alone
        return None


def _pooling(path: Path) -> str | None:
    try:
        return check_pooling(read_sidecar(path).get("pooling"), str(path))
    except InputError:
        return None


def _predictions(path: Path) -> HeldOut:
    if not path.is_file():
        raise InputError(f"{path}: missing, and every figure comes from it; train again.")
    rows = read_held_out(path)
    if not rows.label.size:
        raise InputError(f"{path}: holds no rows; train again.")
    try:
        scores = [np.asarray(values, np.float64) for values in (rows.label, rows.predicted)]
        numbers = [np.asarray(values, np.int32) for values in (rows.index, rows.seed)]
        source, clip = (_as_texts(values) for values in (rows.source, rows.clip))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: a column has other values ({error}); train again.") from error
    for name, values in zip(("label", "predicted"), scores, strict=True):
        sound = np.abs(values) <= _MOST_SCORE  # which no NaN is
        if not sound.all():
            row = int(np.argmin(sound))
            what = "no score" if np.isfinite(values[row]) else "not a number"
            raise InputError(f"{path}: {name} of row {row} is {what}; train again.")
    index, seed = numbers
    label, predicted = scores
    return HeldOut(source, clip, index, seed, label, predicted)


def _as_texts(values: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    """Names as text, where a file has numbers in their place; texts as they are."""
    if values.dtype == object and all(isinstance(value, str) for value in values):
        return values
    return values.astype(str).astype(object)


def _text(path: Path, missing: list[str], most: int = _MOST_BYTES) -> str:
    try:
        return read_limited(path, "REPORT_BYTES", most).decode(errors="replace")
    except InputError:
        missing.append(f"{path.name} is missing; what it holds is not shown.")
        return ""


def _figures(text: str) -> Any:
    """A JSON document; a number that no run has is None, as a missing one is."""

    def number(digits: str) -> float | int | None:
        value = float(digits)
        if not abs(value) <= _MOST_FIGURE:
            return None
        return value if any(letter in digits for letter in ".eE") else int(digits)

    return json.loads(text, parse_float=number, parse_int=number, parse_constant=lambda _: None)


def _mapping(text: str, parse: Any, path: Path, missing: list[str]) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        document = parse(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, Mapping):
        return document
    missing.append(f"{path.name} is damaged; what it holds is not shown.")
    return {}


def _curves(path: Path, missing: list[str]) -> Curves | None:
    """The logged losses; None where there are none to draw."""
    lines = _text(path, missing).splitlines()
    steps, losses = [], []
    try:
        for line in lines:
            entry = json.loads(line)
            steps.append(int(entry["step"]))
            losses.append(
                {str(k): float("nan" if v is None else v) for k, v in entry["loss"].items()}
            )
        members = tuple(losses[0]) if losses else ()
        values = np.array([[entry[name] for entry in losses] for name in members], np.float64)
        values[~(np.abs(values) <= _MOST_LOSS)] = np.nan
        numbers = np.array(steps, np.int64)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        missing.append(f"{path.name} is damaged; the training's losses are not shown.")
        return None
    if len(steps) < 2 or not np.any(np.isfinite(values) & (values > 0)):
        return None
    return Curves(numbers, members, values)
