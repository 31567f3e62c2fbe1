"""The job `report`: the page of a run, or a page that compares several."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.behaviour import Deviation
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.evaluation.metrics import BatchDistance, Distance
from vmaf_jax.export.sidecar import Calibration, label_scale, read_sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.files import check_output, to_json, write_bytes, write_text
from vmaf_jax.reporting.card import card
from vmaf_jax.reporting.comparison_page import comparison_page
from vmaf_jax.reporting.run_page import run_page
from vmaf_jax.reporting.run_view import RunView
from vmaf_jax.runs.conclude import calibration_of
from vmaf_jax.runs.locate import checkpoints, find_run
from vmaf_jax.runs.problem import load_problem
from vmaf_jax.runs.run_folder import open_run, read_config, read_run


def report(runs: Sequence[str | Path], out: Path | None = None, *, png: Path | None = None) -> Path:
    """Writes the page of a run, or of the comparison of several, the first being the standard.

    Args:
        runs: run folders or shipped names.
        out: the `.html` file; by default `report.html` in the run's folder, `<name>.html` here for
            a shipped name, `comparison.html` here for several.
        png: a picture of the held-out agreement of one run, for a README.

    Returns:
        The page's file.

    Raises:
        InputError: a folder is no run, its predictions are damaged, the runs have no rows in
            common or other labels, or a file cannot be written.
    """
    if not runs:
        raise InputError("no run to report on; name at least one run folder.")
    if png is not None and len(runs) > 1:
        raise InputError("--png draws one run; name one.")
    folders = [find_run(str(run)) for run in runs]
    target = out or _place(folders)
    inputs = [folder / "folds.parquet" for folder in folders]
    check_output(target, ".html", inputs)
    if png is not None:
        check_output(png, ".png", inputs)
    views = [read_run(folder) for folder in folders]
    if len(views) > 1:
        write_text(target, comparison_page(_named(views, folders)))
        return target
    write_text(target, run_page(views[0]))
    if png is not None:
        from vmaf_jax.reporting.plots import agreement

        write_bytes(png, agreement(views[0].held_out, "held-out sources"))
    return target


def _place(folders: Sequence[Path]) -> Path:
    if len(folders) > 1:
        return Path("comparison.html")
    shipped = folders[0].parent == checkpoints()
    return Path(f"{folders[0].name}.html") if shipped else folders[0] / "report.html"


def _named(views: Sequence[RunView], folders: Sequence[Path]) -> dict[str, RunView]:
    """The runs by their names, or by their folders where two have one name."""
    names = [view.name for view in views]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"{folders[0]}: named twice; a run is not compared with itself.")
    return dict(zip(names, views, strict=True))


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


def remake_card(folder: Path, *, predictions: Path | None = None) -> None:
    """Writes `card.md` of a run folder or a shipped model's anew; nothing is trained.

    Args:
        predictions: the run folder that holds its predictions, where `folder` has none.

    Raises:
        InputError: it is no run folder, or one of its files is missing or damaged.
    """
    config = read_config(folder)
    view = read_run(predictions or folder)
    sidecar = read_sidecar(folder / "model.json")
    metrics, parity = (_document(folder / f"{name}.json") for name in ("metrics", "parity"))
    sweep = folder / "sweep.json"
    try:
        text = card(
            config=config.model_dump(mode="json"),
            features=tuple(FEATURE_SETS[config.data.feature_set]),
            student=config.make_student(),
            held_out=view.held_out,
            external={name: view.external[name] for name in config.external},
            intervals=view.intervals,
            behaviour=metrics["behaviour"]
            and {name: Deviation(**entry) for name, entry in metrics["behaviour"].items()},
            parity=BatchDistance(**parity["batches"][0]),
            trained=Distance(**parity["trained_against_deployed"]),
            config_sha256=sidecar["training"]["config_sha256"],
            label_scale=label_scale(sidecar, folder / "model.json"),
            n_swept=len(_document(sweep)["points"]) if sweep.is_file() else 1,
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{folder}: a file lacks what its card says ({error}); train again."
        ) from error
    write_text(folder / "card.md", text)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); train again.") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds no record; train again.")
    return document
