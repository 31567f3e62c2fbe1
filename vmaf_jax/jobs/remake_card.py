"""A run folder's card, made anew from the predictions and figures that it saved."""

import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.behaviour import Deviation
from vmaf_jax.evaluation.distances import BatchDistance, Distance
from vmaf_jax.export.sidecar_file import label_scale, read_sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.files import write_text
from vmaf_jax.jobs.run_folder import read_config
from vmaf_jax.jobs.saved_run import read_run
from vmaf_jax.reporting.card import card


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
