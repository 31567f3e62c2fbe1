"""The run folder: everything that a training leaves behind, written whole and opened again."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.held_out_intervals import HeldOutIntervals
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.evaluation.sweep_table import SweepTable
from vmaf_jax.export.checkpoint import load_checkpoint, save_checkpoint
from vmaf_jax.export.parity import Parity
from vmaf_jax.export.sidecar import Identity, sidecar
from vmaf_jax.export.sidecar_file import label_scale, read_sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.files import atomic_path, to_json, write_bytes, write_text
from vmaf_jax.jobs.config import Config, validate
from vmaf_jax.jobs.saved_run import read_run
from vmaf_jax.models import Student, Variables
from vmaf_jax.plain_yaml import read_yaml
from vmaf_jax.reporting.card import card
from vmaf_jax.reporting.notebook import run_html
from vmaf_jax.reporting.run_page import run_page

_LOGGED_STEPS = 50


@dataclasses.dataclass(frozen=True)
class Run:
    """A training and all that it found.

    Attributes:
        path: its folder.
        config: what was asked for.
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

    def with_sweep(self) -> dict[str, Any]:
        """The figures, with those of the sweep beside them."""
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
        write_text(folder / "model.json", to_json(sidecar(folder / "model.onnx", run.identity)))
        write_text(folder / "parity.json", to_json(run.parity))
        write_text(folder / "metrics.json", to_json(run.metrics))
        write_text(folder / "log.jsonl", _log(run.losses))
        if run.sweep is not None:
            write_text(folder / "sweep.json", to_json(run.sweep.to_dict()))
            run.sweep.write_predictions(folder / "sweep.parquet")
        view = read_run(folder)
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
        parity=run.parity.batches[0],
        trained=run.parity.trained_against_deployed,
        config_sha256=run.config.digest(),
        label_scale=run.identity.label_scale,
        n_swept=1 if run.sweep is None else len(run.sweep.points),
    )


def _log(losses: dict[str, npt.NDArray[np.float32]]) -> str:
    """One JSON line per logged step: the loss of every member."""
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
    description = read_sidecar(path / "model.json")
    identity = Identity(
        name=config.name,
        student=student,
        feature_set=FEATURE_SETS[config.data.feature_set],
        label=config.data.label_column,
        training=description["training"],
        label_scale=label_scale(description, path / "model.json"),
        calibration=description.get("calibration"),
    )
    return OpenRun(path, config, identity, variables)
