"""`vmaf-jax export --model A --member B ...`: several students as one file with mean and spread.

Members are runs or shipped models over the same features and labels, such as one configuration
trained with several seeds (`--set training.seeds=[k]`). The file's calibration is of the mean of
their held-out predictions, row by row, never of one of them.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.evaluation import all_metrics
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.evaluation.distances import Distance, distance
from vmaf_jax.export.contract import OUTPUT_NAME, SPREAD_NAME
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import LARGE_BATCH, SMALL_BATCHES, parity_rows
from vmaf_jax.export.sidecar import Identity, sidecar
from vmaf_jax.export.sidecar_file import sidecar_path
from vmaf_jax.files import check_output, to_json, work_folder, write_bytes, write_text
from vmaf_jax.jobs.calibration import calibration_of
from vmaf_jax.jobs.model import find_run
from vmaf_jax.jobs.problem import load_problem
from vmaf_jax.jobs.run_folder import OpenRun, open_run
from vmaf_jax.models import Deployed, deploy
from vmaf_jax.models.ensemble import MAX_MEMBERS, MIN_MEMBERS, deploy_ensemble

_N_SMALL = 2000  # rows of the small batches
_MAX_ABS = 1e-4  # VMAF points, of both outputs


@dataclasses.dataclass(frozen=True)
class ExportedEnsemble:
    """How JAX and ONNX Runtime compare on an ensemble's file.

    Attributes:
        members: names of the models in it.
        vmaf, vmaf_std: distances of the two outputs, over all batch sizes.
    """

    members: tuple[str, ...]
    vmaf: Distance
    vmaf_std: Distance

    def lines(self, out: Path) -> list[str]:
        """The result for people."""
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
    _check_alike(runs)
    ensemble = deploy_ensemble([deploy(run.student, run.variables) for run in runs])
    held_out, external = _mean_predictions(runs)
    identity = _identity(out.stem, runs, held_out, external)
    with work_folder() as folder:
        trial = export_onnx(
            ensemble, folder / out.name, identity, outputs=(OUTPUT_NAME, SPREAD_NAME)
        )
        exported = _parity(runs, ensemble, OnnxModel(trial))
        description = _sidecar(trial, identity, runs)
        write_bytes(out, trial.read_bytes())
        write_text(sidecar_path(out), to_json(description))
    return exported


def _check_alike(runs: Sequence[OpenRun]) -> None:
    first = runs[0]
    by_place: dict[Any, str] = {}
    for run in runs:
        if run.student.spec.over_frames:
            raise InputError(f"{run.path}: takes whole clips; an ensemble is of models of frames.")
        place = run.path.resolve()
        if place in by_place:
            raise InputError(f"{run.path}: is named twice, and would agree with itself; drop one.")
        by_place[place] = run.identity.name
        for what in ("feature_set", "label", "label_scale"):
            ours, theirs = getattr(run.identity, what), getattr(first.identity, what)
            if ours != theirs:
                name = getattr(ours, "name", ours), getattr(theirs, "name", theirs)
                raise InputError(
                    f"{run.path}: its {what} is {name[0]}, {first.path} has {name[1]}; name "
                    f"members that learnt the same."
                )
        if run.student.pooling_name != first.student.pooling_name:
            raise InputError(
                f"{run.path}: pools by {run.student.pooling_name}, {first.path} by "
                f"{first.student.pooling_name}; name members that pool alike."
            )


def _mean_predictions(runs: Sequence[OpenRun]) -> tuple[HeldOut, dict[str, HeldOut]]:
    """The members' predictions of sources they left out, averaged row by row."""
    shared = [
        name for name in runs[0].config.external if all(name in r.config.external for r in runs)
    ]

    def mean(file: str) -> HeldOut:
        tables = [_of_one_seed(read_held_out(run.path / file)) for run in runs]
        first = tables[0]
        for run, table in zip(runs, tables, strict=True):
            same = len(table.label) == len(first.label) and all(
                np.array_equal(getattr(table, name), getattr(first, name))
                for name in ("source", "clip", "index")
            )
            if not same:
                raise InputError(
                    f"{run.path / file}: holds other clips than {runs[0].path / file}; train the "
                    f"members on one corpus."
                )
        predicted = np.mean([table.predicted for table in tables], axis=0)
        return dataclasses.replace(first, predicted=predicted)

    return mean("folds.parquet"), {name: mean(f"external_{name}.parquet") for name in shared}


def _of_one_seed(rows: HeldOut) -> HeldOut:
    return rows.where(rows.seed == rows.seed[0])


def _identity(
    name: str, runs: Sequence[OpenRun], held_out: HeldOut, external: dict[str, HeldOut]
) -> Identity:
    first = runs[0]
    table = load_problem(first.config.data).table
    calibration = calibration_of(held_out, external, table, first.student.pooling_name)
    digests = "".join(run.identity.training_sha256 for run in runs)
    corpora: dict[str, str] = {}
    for run in runs:
        corpora |= run.identity.training["corpora"]
    metrics = {
        "loso": all_metrics(held_out.predicted, held_out.label),
        "external": {k: all_metrics(rows.predicted, rows.label) for k, rows in external.items()},
    }
    return dataclasses.replace(
        first.identity,
        name=name,
        training={
            "config_sha256": hashlib.sha256(digests.encode()).hexdigest(),
            "corpora": corpora,
            "metrics": metrics,
        },
        calibration=None if calibration is None else calibration.to_dict(),
    )


def _sidecar(path: Path, identity: Identity, runs: Sequence[OpenRun]) -> dict[str, Any]:
    description = sidecar(path, identity)
    description["output_names"] = [OUTPUT_NAME, SPREAD_NAME]
    description["n_params"] = sum(run.student.n_params() for run in runs)
    description["members"] = [
        {
            "name": run.identity.name,
            "arch": {
                name: getattr(run.student, name) for name in ("network", "head", "activation")
            },
            "training_sha256": run.identity.training_sha256,
        }
        for run in runs
    ]
    return description


def _parity(runs: Sequence[OpenRun], ensemble: Deployed, model: OnnxModel) -> ExportedEnsemble:
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
    exported = ExportedEnsemble(names, distance(a[0], b[0]), distance(a[1], b[1]))
    for name in (OUTPUT_NAME, SPREAD_NAME):
        if not (worst := getattr(exported, name).max_abs) <= _MAX_ABS:
            raise GateError(f"parity: {name} is {worst:.3g} VMAF points off, limit {_MAX_ABS:g}.")
    return exported
