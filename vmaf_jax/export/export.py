"""`vmaf-jax export`: a run or shipped model to a file elsewhere, verified and described."""

import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.export.onnx_file import OnnxModel, export_onnx
from vmaf_jax.export.parity import Limits, check_parity, measure_parity, parity_rows
from vmaf_jax.export.sidecar import sidecar
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import write_text
from vmaf_jax.load import find_run, load_run


def export_run(model: str, out: Path, format_: str = "onnx") -> dict[str, Any]:
    """Writes `out` and its sidecar `<stem>.json`; returns the parity report.

    Raises:
        InputError: not a run, an unknown format, or a name without `.onnx`.
        GateError: parity missed the run's limit.
    """
    if format_ != "onnx":
        raise InputError(f"--format {format_}: expected onnx.")
    if out.suffix != ".onnx":
        raise InputError(f"{out}: the name must end in .onnx.")
    folder = find_run(model)
    if folder is None:
        raise InputError(f"model {model!r}: no run folder and no shipped name; check the name.")
    run = load_run(folder)
    export_onnx(run.student, run.variables, out, name=run.config.name)
    limits = Limits(**run.config.parity.model_dump())
    rows = parity_rows(FEATURES, [])
    report = measure_parity(run.student, run.variables, OnnxModel(out), rows, limits)
    trained = json.loads((folder / "model.json").read_text())["training"]
    description = sidecar(
        out, name=run.config.name, student=run.student, feature_set=FEATURES, training=trained
    )
    write_text(out.with_suffix(".json"), to_json(description))
    check_parity(report)
    return report
