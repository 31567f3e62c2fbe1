"""The run folder: written whole, opened again, and read for pages.

Only `folds.parquet` has to be there: every figure of a page is computed from predictions. What else
is missing, damaged or of an older schema is named on the page.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import HeldOutIntervals
from vmaf_jax.evaluation.cross_validation import HeldOut, SweepTable, read_predictions
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.export.parity import Parity
from vmaf_jax.export.sidecar import Identity, Sidecar, TrainingRecord, read_sidecar, write_sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.files import (
    MAX_YAML_BYTES,
    atomic_path,
    parse_yaml,
    read_limited,
    read_yaml,
    to_json,
    write_bytes,
    write_text,
)
from vmaf_jax.models import Student, Variables
from vmaf_jax.reporting.card import card
from vmaf_jax.reporting.notebook import run_html
from vmaf_jax.reporting.run_page import run_page
from vmaf_jax.reporting.run_view import Curves, RunView
from vmaf_jax.runs.config import Config, validate
from vmaf_jax.runs.state import load_checkpoint, save_checkpoint

_MOST_BYTES = 64 << 20
_MOST_LOSS, _MOST_FIGURE = 1e30, 1e15  # beyond, a file is damaged
_EXTERNAL = "external_"


def read_run(folder: Path, written: "Run | None" = None) -> RunView:
    """Reads a run's files for its page.

    Args:
        written: the run that was just written there; its predictions are taken as they are, since
            ten million rows need 0.4 GiB once more when they are read again.

    Raises:
        InputError: its predictions are missing or damaged.
    """
    missing: list[str] = []
    if written is not None:
        held_out, external = written.held_out, dict(sorted(written.external.items()))
    else:
        held_out, external = _predictions(folder / "folds.parquet"), {}
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
    sidecar = _read_sidecar(folder / "model.json")
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
        label_scale=None if sidecar is None else sidecar.label_scale,
        pooling=None if sidecar is None else sidecar.pooling,
    )


def _read_sidecar(path: Path) -> Sidecar | None:
    try:
        return read_sidecar(path)
    except InputError:  # an older run's; what it says is said in points alone
        return None


def _predictions(path: Path) -> HeldOut:
    if not path.is_file():
        raise _no_predictions(path)
    return read_predictions(path)


def _no_predictions(path: Path) -> InputError:
    """Returns the error of a folder without predictions, which names what else it lacks.

    Raises:
        InputError: It is no run folder, or its configuration or sidecar is damaged.
    """
    folder = path.parent
    read_config(folder)
    if (folder / "model.json").is_file():
        read_sidecar(folder / "model.json")
    names = ("metrics.json", "model.json", "model.onnx", "checkpoint")
    others = [name for name in names if not (folder / name).exists()]
    also = f" ({', '.join(others)} {'is' if len(others) == 1 else 'are'} missing too)"
    return InputError(
        f"{path}: missing, and every figure comes from it{also if others else ''}; restore it, or "
        f"train again."
    )


def _text(path: Path, missing: list[str], most: int = _MOST_BYTES) -> str:
    try:
        return read_limited(path, "REPORT_BYTES", most).decode(errors="replace")
    except InputError:
        missing.append(f"{path.name} is missing; what it holds is not shown.")
        return ""


def _figures(text: str) -> object:
    """Parses a JSON document; a number that no run has becomes None, as a missing one is."""

    def number(digits: str) -> float | int | None:
        value = float(digits)
        if not abs(value) <= _MOST_FIGURE:
            return None
        return value if any(letter in digits for letter in ".eE") else int(digits)

    return json.loads(text, parse_float=number, parse_int=number, parse_constant=lambda _: None)


def _mapping(
    text: str, parse: Callable[[str], object], path: Path, missing: list[str]
) -> Mapping[str, Any]:
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
    """Reads the logged losses; None where there are none to draw."""
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


_LOGGED_STEPS = 50


@dataclasses.dataclass(frozen=True)
class Run:
    """The content of a run folder.

    Attributes:
        path: its folder.
        config: the resolved configuration.
        identity: what the model is.
        variables: of the final student.
        held_out: every held-out prediction.
        external: predictions of the final student on other corpora, by name.
        metrics, parity: figures, computed from these.
        onnx: the exported file.
        losses: of each member, by name, one value a step.
        sweep: what it is the best of; None for a run of its own.
    """

    path: Path
    config: Config
    identity: Identity
    variables: Variables
    held_out: HeldOut
    external: dict[str, HeldOut]
    metrics: RunMetrics
    parity: Parity
    onnx: bytes
    losses: dict[str, npt.NDArray[np.float32]]
    sweep: SweepTable | None = None

    def with_sweep(self) -> dict[str, object]:
        """Returns the figures, with those of the sweep beside them."""
        sweep = None if self.sweep is None else self.sweep.to_dict()
        return {**vars(self.metrics), "sweep": sweep}

    def _repr_html_(self) -> str:
        return run_html(self.identity.name, self.held_out)


def write_run(run: Run) -> None:
    """Writes the run's folder whole or not at all; replaces an earlier one.

    Raises:
        InputError: the place cannot be written.
    """
    with atomic_path(run.path) as folder:
        folder.mkdir()
        write_text(folder / "config.yaml", run.config.to_yaml())
        run.held_out.write(folder / "folds.parquet")
        for name, rows in run.external.items():
            rows.write(folder / f"external_{name}.parquet")
        save_checkpoint(folder / "checkpoint", run.variables)
        write_bytes(folder / "model.onnx", run.onnx)
        write_sidecar(folder / "model.onnx", run.identity.origin)
        write_text(folder / "parity.json", to_json(run.parity))
        write_text(folder / "metrics.json", to_json(run.metrics))
        write_text(folder / "log.jsonl", _log(run.losses))
        if run.sweep is not None:
            write_text(folder / "sweep.json", to_json(run.sweep.to_dict()))
            run.sweep.write_predictions(folder / "sweep.parquet")
        view = read_run(folder, run)
        write_text(folder / "card.md", _card(run, view.intervals))
        write_text(folder / "report.html", run_page(view))


def _card(run: Run, intervals: HeldOutIntervals | str) -> str:
    return card(
        config=run.config.model_dump(mode="json"),
        features=tuple(run.identity.feature_set),
        student=run.identity.student,
        held_out=run.held_out,
        external=run.external,
        intervals=intervals,
        behaviour=run.metrics.behaviour,
        experiments=run.metrics.experiments,
        distance=run.identity.distance,
        parity=run.parity.batches[0],
        trained=run.parity.trained_against_deployed,
        config_sha256=run.config.digest(),
        label_scale=run.identity.label_scale,
        n_swept=1 if run.sweep is None else len(run.sweep.points),
    )


def _log(losses: dict[str, npt.NDArray[np.float32]]) -> str:
    """Returns one JSON line per logged step or epoch: the loss of every member."""
    n_steps = len(next(iter(losses.values())))
    stride = max(1, n_steps // _LOGGED_STEPS)
    logged = sorted({*range(0, n_steps, stride), n_steps - 1})
    lines = [
        json.dumps({"step": k, "loss": {name: float(v[k]) for name, v in losses.items()}})
        for k in logged
    ]
    return "\n".join(lines) + "\n"


@dataclasses.dataclass(frozen=True)
class OpenRun:
    """A run folder, or a shipped model's, opened for use.

    Attributes:
        identity: what the model is.
        variables: of the student.
    """

    path: Path
    config: Config
    identity: Identity
    variables: Variables

    @property
    def student(self) -> Student:
        """The student, without its numbers."""
        return self.identity.student


def read_config(path: Path) -> Config:
    """The configuration in a run folder.

    Raises:
        InputError: it is no run folder, or the file is damaged.
    """
    if not (path / "config.yaml").is_file():
        raise InputError(f"{path}: not a run folder (no config.yaml); name one that train wrote.")
    return validate(Config, read_yaml(path / "config.yaml"), path / "config.yaml")


def open_run(path: Path) -> OpenRun:
    """Opens a run folder or a shipped model's.

    Raises:
        InputError: it is no run folder, or one of its files is damaged.
    """
    config = read_config(path)
    student = config.make_student()
    variables = load_checkpoint(path / "checkpoint", student)
    sidecar = read_sidecar(path / "model.json")
    identity = Identity(
        name=config.name,
        student=student,
        feature_set=FEATURE_SETS[config.data.feature_set],
        label=config.data.label_column,
        training=sidecar.training or TrainingRecord(),
        label_scale=sidecar.label_scale,
        calibration=sidecar.read_calibration(),
        distance=sidecar.distance,
    )
    return OpenRun(path, config, identity, variables)
