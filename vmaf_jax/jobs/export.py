"""The job `export`: from a run, a shipped model or an ensemble to verified files.

A host's model folder holds `NAME.onnx` and its sidecar `NAME.json` and, when quantised,
`NAME.int8.onnx` and `NAME.int8.json`. Sidecars are written last: a host that finds one finds its
file.

Members are runs or shipped models over the same features and labels, such as one configuration
trained with several seeds (`--set "training.seeds=[k]"`). The file's calibration is of the mean of
their held-out predictions, row by row, never of one of them.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError, InputError, check_choice
from vmaf_jax.evaluation import all_metrics
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.evaluation.metrics import Distance, score_distance
from vmaf_jax.evaluation.title_process import VoteCurve
from vmaf_jax.export.contract import OUTPUT_NAME, SPREAD_NAME
from vmaf_jax.export.libvmaf_json import LibvmafProof, rbf_document, write_verified
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import (
    LARGE_BATCH,
    SMALL_BATCHES,
    Parity,
    check_parity,
    clip_rows,
    measure_parity,
    parity_rows,
)
from vmaf_jax.export.pixels.model_file import Frame, parse_size
from vmaf_jax.export.quantize import QuantisationCost, compare, quantize
from vmaf_jax.export.sidecar import (
    Identity,
    Member,
    Origin,
    TrainingMetrics,
    TrainingRecord,
    check_sidecar,
    int8_path,
    read_sidecar,
    sidecar_path,
    teacher_origin,
    write_models,
)
from vmaf_jax.export.teacher_onnx import LIMIT as TEACHER_LIMIT
from vmaf_jax.export.teacher_onnx import (
    TeacherParity,
    measure_float64_parity,
    teacher_onnx,
    teacher_parity,
)
from vmaf_jax.files import check_output, work_folder
from vmaf_jax.jobs.calibrated_folder import LIBVMAF
from vmaf_jax.models import Deployed, deploy
from vmaf_jax.models.student import MAX_MEMBERS, MIN_MEMBERS, deploy_ensemble
from vmaf_jax.models.viewing_distance import ViewingDistance
from vmaf_jax.runs.conclude import calibration_of
from vmaf_jax.runs.locate import find_run
from vmaf_jax.runs.problem import Problem, load_problem
from vmaf_jax.runs.run_folder import OpenRun, open_run
from vmaf_jax.scoring.model import CLIPS_FILE, is_teacher, load_model
from vmaf_jax.scoring.pixels import ExportedPixels, export_pixels, pixels_files
from vmaf_jax.teacher import Teacher, load_teacher
from vmaf_jax.training.batches import draw_queries
from vmaf_jax.training.masks import masked_scalers
from vmaf_jax.training.quantisation_aware import fine_tune

_N_QUERIES = 4096
_N_SMALL = 2000  # rows of an ensemble's small batches
_MAX_ABS = 1e-4  # VMAF points, of both outputs of an ensemble
_SUFFIXES = {"onnx": ".onnx", "libvmaf": ".json", "pixels": ".onnx"}


@dataclasses.dataclass(frozen=True)
class Exported:
    """The outcome of the verification.

    Attributes:
        parity, int8: of a student's ONNX file, and of its 8-bit form where there is one.
        libvmaf: of a libvmaf JSON file.
        pixels: of a graph from pictures.
        teacher: of an ONNX file of one of VMAF's own models.
        pooling: by which a libvmaf JSON file's frames become a clip's score.
    """

    parity: Parity | None = None
    int8: QuantisationCost | None = None
    libvmaf: LibvmafProof | None = None
    pixels: ExportedPixels | None = None
    teacher: TeacherParity | None = None
    pooling: str = "mean"

    def files(self, out: Path) -> list[Path]:
        """Lists the files written: each model and then its sidecar; libvmaf's JSON has none."""
        if self.libvmaf is not None:
            return [out]
        if self.pixels is not None:
            return pixels_files(out)
        models = [out] if self.int8 is None else [out, int8_path(out)]
        return [file for model in models for file in (model, sidecar_path(model))]

    def lines(self, out: Path) -> list[str]:
        """Returns the result for people, a line a file."""
        lines = []
        if self.parity is not None:
            lines.append(
                f"{out}: parity over {self.parity.n} rows, at most {self.parity.max_abs:.2e} "
                f"points and {self.parity.max_ulp} ULP from 16 points up"
            )
        if self.int8 is not None:
            lines.append(
                f"{int8_path(out)}: PLCC {self.int8.plcc_drop:.1e} lower over {self.int8.n} rows "
                f"(limit {self.int8.budget_plcc:.0e}), RMSE {self.int8.added_rmse:+.3f} points "
                f"(limit {self.int8.budget_rmse:g}); batch size moves scores by at most "
                f"{self.int8.batch_dependence:.3f}"
            )
        if self.libvmaf is not None:
            lines.append(
                f"{out}: ffmpeg within {self.libvmaf.max_abs:.2e} points over {self.libvmaf.n} "
                f"frames"
            )
        if self.libvmaf is not None and self.pooling != "mean":
            lines.append(
                f"{out}: scores frames; libvmaf pools them by the mean, this model by the "
                f"{self.pooling} of the frames in its log"
            )
        if self.teacher is not None:
            lines.append(
                f"{out}: at most {self.teacher.max_abs:.2e} points from the model in float64 over "
                f"{self.teacher.n} rows"
            )
        if self.pixels is not None:
            lines.append(self.pixels.line(out))
        return lines


def export(
    model: str,
    out: Path,
    format_: str = "onnx",
    quantize_mode: str | None = None,
    *,
    size: str | None = None,
    samples: str = "float32",
    distance: float | None = None,
) -> Exported:
    """Writes `out` in `format_` and verifies it.

    A VMAF model, by name or `.json` file, can be written back as libvmaf JSON, unchanged in effect,
    and as ONNX over its features.

    Args:
        quantize_mode: `dynamic` or `static` (which fine-tunes the network where that helps), or
            None.
        size: of the pictures that a pixels model takes, `WxH`.
        samples: their type, `float32` or `uint8`.
        distance: of the viewers, in picture heights, that the file is for; by default the model's.

    Raises:
        InputError: not a model this can be done with, an unknown format, or a wrong suffix.
        GateError: the file missed its limit against JAX, or its accuracy budget; nothing is
            written then.
    """
    _check_request(out, format_, quantize_mode)
    check_output(out, _SUFFIXES[format_], [Path(model)])
    if distance is not None and (format_ == "pixels" or is_teacher(model)):
        raise InputError("--distance goes with a student's ONNX or libvmaf file; drop it.")
    if format_ == "pixels":
        width, height = parse_size(size)
        return Exported(pixels=export_pixels(model, out, Frame(width, height, samples)))
    if size is not None or samples != "float32":
        raise InputError("--size and --samples go with --format pixels; drop them.")
    if is_teacher(model):
        return _export_teacher(load_teacher(model), out, format_, quantize_mode)
    folder = find_run(model)
    if (folder / CLIPS_FILE).is_file():
        if quantize_mode or distance is not None:
            raise InputError(
                f"{folder}: is calibrated by votes, and has no 8-bit form and no other distance; "
                f"drop --quantize and --distance."
            )
        return _export_calibrated(folder, out, format_)
    run = open_run(folder)
    if distance is not None:
        run = _seen_from(run, distance)
    if quantize_mode and run.student.spec.over_frames:
        raise InputError(f"{run.path}: {run.student.network} has no 8-bit form; drop --quantize.")
    if format_ == "onnx":
        return _export_onnx(run, out, quantize_mode)
    document = rbf_document(run.student, run.variables, run.identity.feature_set)
    return Exported(libvmaf=write_verified(document, out), pooling=run.student.pooling_name)


def _seen_from(run: OpenRun, distance: float) -> OpenRun:
    """Returns a run whose student scores for viewers at a distance, in picture heights."""
    known = run.identity.distance
    if known is None:
        raise InputError(f"--distance: {run.path} knows no viewing distances; take opinions.")
    if not known.nearest <= distance <= known.farthest:
        raise InputError(
            f"--distance {distance:g}: people voted from {known.nearest:g} to {known.farthest:g} "
            f"picture heights; choose one of these."
        )
    student = dataclasses.replace(run.student, log_distance=known.log_ratio(distance))
    only = ViewingDistance(distance, distance, distance, known.gain)
    identity = dataclasses.replace(run.identity, student=student, distance=only)
    return dataclasses.replace(run, identity=identity)


def _export_teacher(
    teacher: Teacher, out: Path, format_: str, quantize_mode: str | None
) -> Exported:
    """Writes a VMAF model as libvmaf JSON, unchanged in effect, or its SVR as ONNX."""
    if quantize_mode:
        raise InputError(f"{teacher.name}: an SVR has no 8-bit form; drop --quantize.")
    if format_ == "libvmaf":
        return Exported(libvmaf=write_verified(teacher.model.document, out))
    with work_folder() as folder:
        trial = teacher_onnx(teacher, folder / out.name)
        parity = teacher_parity(teacher, trial)
        write_models({out: trial}, teacher_origin(teacher))
    return Exported(teacher=parity)


def _export_calibrated(folder: Path, out: Path, format_: str) -> Exported:
    """Writes the curve of a folder that `calibrate` wrote, verified anew."""
    if format_ == "libvmaf":
        if not (folder / LIBVMAF).is_file():
            raise InputError(
                f"{folder}: the base model is not of libvmaf's kind, so that there is no "
                f"{LIBVMAF}; export with --format onnx."
            )
        return _export_teacher(load_teacher(folder / LIBVMAF), out, format_, None)
    source = folder / "model.onnx"
    origin = check_sidecar(source)
    if origin is None or origin.calibrated is None:
        raise InputError(f"{folder}: has no sidecar of its model (model.json); calibrate again.")
    steepest = VoteCurve(np.array(origin.calibrated.curve)).slope
    model = load_model(folder)
    rows = parity_rows(model.feature_set, [])
    limit = TEACHER_LIMIT * max(1.0, steepest)
    parity = measure_float64_parity(model.name, model, source, rows, limit)
    write_models({out: source}, origin)
    return Exported(teacher=parity)


def _check_request(out: Path, format_: str, quantize_mode: str | None) -> None:
    check_choice(f"--format {format_}", format_, _SUFFIXES)
    suffix = _SUFFIXES[format_]
    if out.suffix != suffix or out.name.endswith(".int8.onnx"):
        raise InputError(f"{out}: the name must end in {suffix}, without .int8 before it.")
    if quantize_mode not in (None, "dynamic", "static"):
        raise InputError(f"--quantize {quantize_mode}: expected dynamic or static.")
    if quantize_mode and format_ != "onnx":
        raise InputError("--quantize goes with --format onnx alone; drop one of them.")
    _check_names(out, format_)


def _check_names(out: Path, format_: str) -> None:
    """Raises InputError where a sidecar would replace a libvmaf model: both are `<name>.json`."""
    beside = sidecar_path(out)
    if format_ == "libvmaf" and out.with_suffix(".onnx").exists():
        raise InputError(
            f"{out}: hosts would take it for the sidecar of {out.with_suffix('.onnx').name}; "
            f"choose another name."
        )
    if format_ != "libvmaf" and beside.exists():
        try:
            read_sidecar(beside)
        except InputError as error:
            raise InputError(
                f"{beside}: is no sidecar, and that of {out.name} would replace it; choose another "
                f"name."
            ) from error


def _export_onnx(run: OpenRun, out: Path, quantize_mode: str | None) -> Exported:
    with work_folder() as folder:
        trial = export_onnx(deploy(run.student, run.variables), folder / out.name, run.identity)
        rows = parity_rows(run.identity.feature_set, [])
        if run.student.spec.over_frames:
            rows = clip_rows(rows)
        # `train` measured every batch size of this same function.
        quick = run.config.parity.model_copy(update={"thorough": False})
        parity = measure_parity(run.student, run.variables, OnnxModel(trial), rows, quick)
        check_parity(parity)
        files, cost = {out: trial}, None
        if quantize_mode:
            cost = _quantise(run, trial, quantize_mode)
            files[int8_path(out)] = int8_path(trial)
        write_models(files, run.identity.origin)
    return Exported(parity=parity, int8=cost)


def _quantise(run: OpenRun, fp32: Path, mode: str) -> QuantisationCost:
    """Writes the 8-bit file beside `fp32` and returns its cost, which is within its budgets.

    A static file is made twice where the network can be tuned: as it is, and fine-tuned for 8
    bits; the one with the smaller error on rows it was not tuned on stays.
    """
    problem = load_problem(run.config.data)
    calibration = _labelled_rows(run, problem, seed=0)
    test = _labelled_rows(run, problem, seed=1)
    path, model = int8_path(fp32), OnnxModel(fp32)
    quantize(fp32, path, mode=mode, calibration=calibration.features)
    cost = compare(model, OnnxModel(path), test.features, test.label)
    if mode == "static" and run.student.spec.tunable and run.student.head == "scalar":
        tuned_fp32 = export_onnx(
            _fine_tuned(run, calibration), fp32.with_name("tuned.onnx"), run.identity
        )
        tuned = quantize(
            tuned_fp32, int8_path(tuned_fp32), mode="qat", calibration=calibration.features
        )
        tuned_cost = compare(model, OnnxModel(tuned), test.features, test.label)
        if tuned_cost.rmse_int8 < cost.rmse_int8:
            path.write_bytes(tuned.read_bytes())
            cost = tuned_cost
    cost.check()
    return cost


@dataclasses.dataclass(frozen=True)
class _LabelledRows:
    """Raw features `[n, d]`, unclipped targets `[n]` and clipped labels `[n]`, VMAF points."""

    features: npt.NDArray[np.float32]
    target: npt.NDArray[np.float64]
    label: npt.NDArray[np.float64]


def _fine_tuned(run: OpenRun, rows: _LabelledRows) -> Deployed:
    deployed = deploy(run.student, run.variables)
    layers = fine_tune(
        deployed.constants,
        run.student.activation,
        jnp.asarray(rows.features),
        jnp.asarray(rows.target, jnp.float32),
    )
    return Deployed(deployed.predict, jax.tree.map(np.asarray, layers))


def _labelled_rows(run: OpenRun, problem: Problem, *, seed: int) -> _LabelledRows:
    """Returns the run's rows and, where it was trained on them, teacher queries."""
    features = problem.table.features.astype(np.float32)
    if run.config.training.strategy != "teacher_queries":
        return _LabelledRows(features, problem.target, problem.label)
    teacher, rows = problem.queried_teacher(), jnp.asarray(features)
    everything = np.ones((1, len(problem.sources)), bool)
    inv_std = masked_scalers(features, problem.source, everything)["inv_std"][0]

    def draw_rows(key: jax.Array, count: int) -> jax.Array:
        return rows[jax.random.randint(key, (count,), 0, len(rows))]

    feature_set = problem.table.feature_set
    drawn = draw_queries(jax.random.key(seed), draw_rows, inv_std, feature_set, (1, _N_QUERIES))
    queries = np.asarray(drawn[0], np.float32)
    return _LabelledRows(
        np.concatenate([features, queries]),
        np.concatenate([problem.target, teacher(queries, clip=False)]),
        np.concatenate([problem.label, teacher(queries)]),
    )


@dataclasses.dataclass(frozen=True)
class ExportedEnsemble:
    """The distance of ONNX Runtime from JAX on an ensemble's file.

    Attributes:
        members: names of the models in it.
        vmaf, vmaf_std: distances of the two outputs, over all batch sizes.
    """

    members: tuple[str, ...]
    vmaf: Distance
    vmaf_std: Distance

    def lines(self, out: Path) -> list[str]:
        """Returns the result for people."""
        return [
            f"{out}: {len(self.members)} members; parity over {self.vmaf.n} rows, mean at most "
            f"{self.vmaf.max_abs:.2e} and spread {self.vmaf_std.max_abs:.2e} points"
        ]


def export_ensemble(models: Sequence[str], out: Path) -> ExportedEnsemble:
    """Writes `out` and its sidecar, and verifies both outputs against JAX.

    Args:
        models: run folders or shipped names, two or more.

    Raises:
        InputError: too few or too many members, one twice, or members of other features, labels,
            poolings or held-out rows.
        GateError: an output is further from JAX's than the limit; nothing is written then.
    """
    check_output(out, ".onnx", [Path(model) for model in models])
    if not MIN_MEMBERS <= len(models) <= MAX_MEMBERS:
        raise InputError(
            f"--member: an ensemble has {MIN_MEMBERS} to {MAX_MEMBERS} members, {len(models)} are "
            f"named; add or drop some."
        )
    runs = [open_run(find_run(model)) for model in models]
    _check_members(runs)
    ensemble = deploy_ensemble([deploy(run.student, run.variables) for run in runs])
    held_out, external = _mean_predictions(runs)
    identity = _ensemble_identity(out.stem, runs, held_out, external)
    with work_folder() as folder:
        trial = export_onnx(
            ensemble, folder / out.name, identity, outputs=(OUTPUT_NAME, SPREAD_NAME)
        )
        exported = _measure_ensemble(runs, ensemble, OnnxModel(trial))
        write_models({out: trial}, _ensemble_origin(identity, runs))
    return exported


def _check_members(runs: Sequence[OpenRun]) -> None:
    """Raises InputError unless the runs are different ones that learnt and pool alike."""
    first = runs[0]
    seen: set[Path] = set()
    for run in runs:
        if run.student.spec.over_frames:
            raise InputError(f"{run.path}: takes whole clips; an ensemble is of models of frames.")
        if (folder := run.path.resolve()) in seen:
            raise InputError(f"{run.path}: is named twice, and would agree with itself; drop one.")
        seen.add(folder)
        for key, value, expected in (
            ("feature_set", run.identity.feature_set.name, first.identity.feature_set.name),
            ("label", run.identity.label, first.identity.label),
            ("label_scale", run.identity.label_scale, first.identity.label_scale),
        ):
            if value != expected:
                raise InputError(
                    f"{run.path}: its {key} is {value}, {first.path} has {expected}; name "
                    f"members that learnt the same."
                )
        if run.student.pooling_name != first.student.pooling_name:
            raise InputError(
                f"{run.path}: pools by {run.student.pooling_name}, {first.path} by "
                f"{first.student.pooling_name}; name members that pool alike."
            )


def _mean_predictions(runs: Sequence[OpenRun]) -> tuple[HeldOut, dict[str, HeldOut]]:
    """Averages the members' predictions of sources that they left out, row by row."""
    shared = [
        name for name in runs[0].config.external if all(name in r.config.external for r in runs)
    ]

    def mean(file: str) -> HeldOut:
        every_seed = [read_held_out(run.path / file) for run in runs]
        tables = [rows.where(rows.seed == rows.seed[0]) for rows in every_seed]
        first = tables[0]
        for run, table in zip(runs, tables, strict=True):
            if not (
                np.array_equal(table.source, first.source)
                and np.array_equal(table.clip, first.clip)
                and np.array_equal(table.index, first.index)
            ):
                raise InputError(
                    f"{run.path / file}: holds other clips than {runs[0].path / file}; train the "
                    f"members on one corpus."
                )
        predicted = np.mean([table.predicted for table in tables], axis=0)
        return dataclasses.replace(first, predicted=predicted)

    return mean("folds.parquet"), {name: mean(f"external_{name}.parquet") for name in shared}


def _ensemble_identity(
    name: str, runs: Sequence[OpenRun], held_out: HeldOut, external: dict[str, HeldOut]
) -> Identity:
    first = runs[0]
    table = load_problem(first.config.data).table
    calibration = calibration_of(held_out, external, table, first.student.pooling_name)
    digests = "".join(run.identity.training.sha256 for run in runs)
    corpora: dict[str, str] = {}
    for run in runs:
        corpora |= run.identity.training.corpora or {}
    metrics = TrainingMetrics(
        loso=all_metrics(held_out.predicted, held_out.label),
        external={k: all_metrics(rows.predicted, rows.label) for k, rows in external.items()},
    )
    training = TrainingRecord(
        config_sha256=hashlib.sha256(digests.encode()).hexdigest(), corpora=corpora, metrics=metrics
    )
    return dataclasses.replace(
        first.identity, name=name, training=training, calibration=calibration
    )


def _ensemble_origin(identity: Identity, runs: Sequence[OpenRun]) -> Origin:
    members = tuple(
        Member(
            name=run.identity.name,
            arch=run.identity.arch,
            training_sha256=run.identity.training.sha256,
        )
        for run in runs
    )
    n_params = sum(run.student.n_params() for run in runs)
    return identity.origin.model_copy(update={"n_params": n_params, "members": members})


def _measure_ensemble(
    runs: Sequence[OpenRun], ensemble: Deployed, model: OnnxModel
) -> ExportedEnsemble:
    """Measures both outputs against JAX; raises GateError where one is too far."""
    rows = parity_rows(runs[0].identity.feature_set, [])
    few = rows[:: max(1, len(rows) // _N_SMALL)]
    jitted = jax.jit(ensemble.predict)
    ours: list[npt.NDArray[np.float32]] = []
    theirs: list[npt.NDArray[np.float32]] = []
    for batch, size in ((rows, LARGE_BATCH), *((few, size) for size in SMALL_BATCHES)):
        for k in range(0, len(batch), size):
            part = batch[k : k + size]
            ours.append(np.stack([np.asarray(v) for v in jitted(ensemble.constants, part)]))
            theirs.append(np.stack(model.with_spread(part)))
    a, b = np.concatenate(ours, axis=1), np.concatenate(theirs, axis=1)
    names = tuple(run.identity.name for run in runs)
    exported = ExportedEnsemble(names, score_distance(a[0], b[0]), score_distance(a[1], b[1]))
    for name, apart in ((OUTPUT_NAME, exported.vmaf), (SPREAD_NAME, exported.vmaf_std)):
        if not apart.max_abs <= _MAX_ABS:  # NaN misses too
            raise GateError(
                f"parity: {name} is {apart.max_abs:.3g} VMAF points off, limit {_MAX_ABS:g}."
            )
    return exported
