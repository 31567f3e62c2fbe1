"""`vmaf-jax export`: a run or shipped model to files elsewhere, verified and described.

A host's model folder holds `NAME.onnx`, its sidecar `NAME.json` and, when quantised,
`NAME.int8.onnx`. The sidecar is written last: a host that finds it finds the rest.
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.data import labels_and_targets, load_data, queried_teacher
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.export.libvmaf_json import rbf_document, write_libvmaf
from vmaf_jax.export.onnx_file import OnnxModel, export_onnx
from vmaf_jax.export.parity import check_parity, measure_parity, parity_rows
from vmaf_jax.export.quantize import BUDGET_PLCC, compare, quantize
from vmaf_jax.export.sidecar import file_sha256, int8_path, read_sidecar, sidecar, training_digest
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import write_bytes, write_text
from vmaf_jax.load import Run, find_run, load_run
from vmaf_jax.models import Deployed, deploy
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training.masks import masked_scaler
from vmaf_jax.training.quantisation_aware import fine_tune
from vmaf_jax.training.queries import draw_queries

N_QUERIES = 4096


def export_model(
    model: str, out: Path, format_: str = "onnx", quantize_mode: str | None = None
) -> dict[str, Any]:
    """Writes `out` in `format_`; returns the report of its verification.

    A libvmaf `.json` model can be written back as libvmaf JSON, unchanged in effect.

    Args:
        quantize_mode: `dynamic` or `static` (which fine-tunes the network if it has to), or None.
    Raises:
        InputError: not a model this can be done with, an unknown format, or a wrong suffix.
        GateError: the file missed its limit against JAX, or its accuracy budget; nothing is
            written then.
    """
    suffix = {"onnx": ".onnx", "libvmaf": ".json"}.get(format_)
    if suffix is None:
        raise InputError(f"--format {format_}: expected onnx or libvmaf.")
    if out.suffix != suffix or out.name.endswith(".int8.onnx"):
        raise InputError(f"{out}: the name must end in {suffix}, without .int8 before it.")
    if quantize_mode not in (None, "dynamic", "static"):
        raise InputError(f"--quantize {quantize_mode}: expected dynamic or static.")
    if quantize_mode and format_ != "onnx":
        raise InputError("--quantize goes with --format onnx alone; drop one of them.")
    _check_names(out, format_)
    if format_ == "libvmaf" and model.endswith(".json"):
        return write_libvmaf(load_teacher(model).model.document, out)
    folder = find_run(model)
    if folder is None:
        raise InputError(f"model {model!r}: no run folder and no shipped name; check the name.")
    run = load_run(folder)
    if format_ == "libvmaf":
        return write_libvmaf(_rbf_document(run), out)
    return _export_onnx(run, out, quantize_mode)


def _check_names(out: Path, format_: str) -> None:
    """A sidecar and a libvmaf model would both be `<name>.json`: neither may replace the other."""
    beside = out.with_suffix(".json")
    if format_ == "libvmaf" and out.with_suffix(".onnx").exists():
        raise InputError(
            f"{out}: hosts would take it for the sidecar of {out.with_suffix('.onnx').name}; "
            f"choose another name."
        )
    if format_ == "onnx" and beside.exists():
        try:
            read_sidecar(beside)
        except InputError as error:
            raise InputError(
                f"{beside}: is no sidecar, and that of {out.name} would replace it; choose another "
                f"name."
            ) from error


def _rbf_document(run: Run) -> dict[str, Any]:
    if run.config.data.feature_set != FEATURES.name:
        raise InputError(
            f"{run.path}: takes the feature set {run.config.data.feature_set}; only "
            f"{FEATURES.name} is written as libvmaf JSON."
        )
    return rbf_document(run.student, run.variables, FEATURES)


def _export_onnx(run: Run, out: Path, quantize_mode: str | None) -> dict[str, Any]:
    feature_set = FEATURE_SETS[run.config.data.feature_set]
    training = read_sidecar(run.path / "model.json")["training"]
    deployed = deploy(run.student, run.variables)
    identity: dict[str, Any] = {
        "name": run.config.name,
        "feature_set": feature_set,
        "digest": training_digest(training),
    }
    with tempfile.TemporaryDirectory() as name:
        trial = export_onnx(deployed, Path(name) / out.name, **identity)
        rows = parity_rows(feature_set, [])
        # Every batch size was tried when it was trained; this is the same function again.
        quick = run.config.parity.model_copy(update={"thorough": False})
        report = measure_parity(deployed, OnnxModel(trial), rows, quick)
        check_parity(report)
        mode, int8 = "fp32", None
        if quantize_mode:
            mode, int8, report["int8"] = _quantised(run, deployed, trial, quantize_mode, identity)
        described = sidecar(
            trial,
            name=run.config.name,
            student=run.student,
            feature_set=feature_set,
            training=training,
            quant_mode=mode,
            int8_sha256=file_sha256(int8) if int8 else None,
        )
        if int8:
            write_bytes(int8_path(out), int8.read_bytes())
        write_bytes(out, trial.read_bytes())
        write_text(out.with_suffix(".json"), to_json(described))
    return report


def _quantised(
    run: Run, deployed: Deployed, fp32: Path, mode: str, identity: dict[str, Any]
) -> tuple[str, Path, dict[str, Any]]:
    """The quantised file within its budget: its mode, its place and what it costs."""
    table = load_data(run.config.data)
    calibration, targets, _ = _labelled_rows(run, table, seed=0)
    test, _, label = _labelled_rows(run, table, seed=1)
    path = int8_path(fp32)
    model = OnnxModel(fp32)
    quantize(fp32, path, mode=mode, calibration=calibration)
    report = compare(model, OnnxModel(path), test, label)
    if mode == "static" and not report["plcc_drop"] <= BUDGET_PLCC and _can_be_tuned(run):
        mode = "qat"
        layers = fine_tune(
            deployed.constants,
            run.student.activation,
            jnp.asarray(calibration),
            jnp.asarray(targets, jnp.float32),
        )
        tuned = Deployed(deployed.predict, jax.tree.map(np.asarray, layers))
        between = export_onnx(tuned, fp32.with_name("tuned.onnx"), **identity)
        quantize(between, path, mode=mode, calibration=calibration)
        report = compare(model, OnnxModel(path), test, label)
    if not report["plcc_drop"] <= BUDGET_PLCC:  # NaN misses too
        raise GateError(
            f"int8: PLCC falls by {report['plcc_drop']:.2e}, limit {BUDGET_PLCC:.0e}; export "
            f"without --quantize."
        )
    return mode, path, report


def _can_be_tuned(run: Run) -> bool:
    return run.student.network in ("nano", "tiny") and run.student.head == "scalar"


def _labelled_rows(
    run: Run, table: FeatureTable, *, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Raw features, unclipped targets and clipped labels: the run's rows, and teacher queries."""
    data = run.config.data
    label, target = labels_and_targets(table, data)
    features = table.features.astype(np.float32)
    if run.config.training.strategy != "teacher_queries":
        return features, target, label
    everything = jnp.ones(len(features))
    rows = jnp.asarray(features)
    asked = np.asarray(
        draw_queries(
            jax.random.key(seed),
            rows,
            everything,
            masked_scaler(rows, everything)["inv_std"],
            table.feature_set,
            N_QUERIES,
        )
    )
    teacher = queried_teacher(table, data)
    return (
        np.concatenate([features, asked]),
        np.concatenate([target, teacher(asked, clip=False)]),
        np.concatenate([label, teacher(asked)]),
    )
