"""`vmaf-jax export`: a run or shipped model to a file elsewhere, verified and described."""

from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.export.libvmaf_json import rbf_document, write_libvmaf
from vmaf_jax.export.onnx_file import OnnxModel, export_onnx
from vmaf_jax.export.parity import Limits, check_parity, measure_parity, parity_rows
from vmaf_jax.export.sidecar import read_sidecar, sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES
from vmaf_jax.files import write_text
from vmaf_jax.load import Run, find_run, load_run
from vmaf_jax.teacher import load_teacher


def export_model(model: str, out: Path, format_: str = "onnx") -> dict[str, Any]:
    """Writes `out` in `format_`; returns the report of its verification.

    ONNX files get their sidecar `<stem>.json` beside them. A libvmaf `.json` model can be written
    back as libvmaf JSON, unchanged in effect.

    Raises:
        InputError: not a model this can be done with, an unknown format, or a wrong suffix.
        GateError: the file missed its limit against JAX.
    """
    suffix = {"onnx": ".onnx", "libvmaf": ".json"}.get(format_)
    if suffix is None:
        raise InputError(f"--format {format_}: expected onnx or libvmaf.")
    if out.suffix != suffix:
        raise InputError(f"{out}: the name must end in {suffix}.")
    if format_ == "libvmaf" and model.endswith(".json"):
        return write_libvmaf(load_teacher(model).model.document, out)
    folder = find_run(model)
    if folder is None:
        raise InputError(f"model {model!r}: no run folder and no shipped name; check the name.")
    run = load_run(folder)
    if format_ == "libvmaf":
        return write_libvmaf(_rbf_document(run), out)
    return _export_onnx(run, out)


def _rbf_document(run: Run) -> dict[str, Any]:
    if run.config.data.feature_set != FEATURES.name:
        raise InputError(
            f"{run.path}: takes the feature set {run.config.data.feature_set}; only "
            f"{FEATURES.name} is written as libvmaf JSON."
        )
    return rbf_document(run.student, run.variables, FEATURES)


def _export_onnx(run: Run, out: Path) -> dict[str, Any]:
    feature_set = FEATURE_SETS[run.config.data.feature_set]
    described = read_sidecar(run.path / "model.json")["training"]
    export_onnx(run.student, run.variables, out, name=run.config.name)
    limits = Limits(**run.config.parity.model_dump())
    rows = parity_rows(feature_set, [])
    report = measure_parity(run.student, run.variables, OnnxModel(out), rows, limits)
    description = sidecar(
        out, name=run.config.name, student=run.student, feature_set=feature_set, training=described
    )
    write_text(out.with_suffix(".json"), to_json(description))
    check_parity(report)
    return report
