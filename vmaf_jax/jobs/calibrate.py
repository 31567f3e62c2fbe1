"""A run folder's calibration, made anew from the predictions that it saved."""

import json
from pathlib import Path

from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.export.calibration import Calibration
from vmaf_jax.files import to_json, write_text
from vmaf_jax.jobs.calibration import calibration_of
from vmaf_jax.jobs.problem import load_problem
from vmaf_jax.jobs.run_folder import open_run


def calibrate(folder: Path) -> Calibration | None:
    """Writes a run folder's calibration into its sidecar anew, from the predictions saved there.

    For runs that were trained before sidecars carried one; `train` writes it itself.

    Raises:
        InputError: it is no run folder, or one of its files is damaged.
    """
    run = open_run(folder)
    problem = load_problem(run.config.data)
    external: dict[str, HeldOut] = {
        name: read_held_out(folder / f"external_{name}.parquet") for name in run.config.external
    }
    held_out = read_held_out(folder / "folds.parquet")
    calibration = calibration_of(held_out, external, problem.table, run.student.pooling_name)
    path = folder / "model.json"
    description = json.loads(path.read_text())
    description.pop("calibration", None)
    if calibration is not None:
        description["calibration"] = calibration.to_dict()
    write_text(path, to_json(description))
    return calibration
