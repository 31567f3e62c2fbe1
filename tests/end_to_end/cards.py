"""Model cards made again from the files that are shipped with a model."""

import json

from vmaf_jax.evaluation.metrics import BatchDistance, Distance
from vmaf_jax.evaluation.run_metrics import Deviation
from vmaf_jax.export.sidecar import read_sidecar
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.reporting.card import card
from vmaf_jax.runs.run_folder import read_config, read_run


def card_from_files(folder):
    """The text of `card.md`, from the other files of a run folder or of a shipped model."""
    config, view = read_config(folder), read_run(folder)
    sidecar = read_sidecar(folder / "model.json")
    metrics, parity = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("metrics", "parity")
    )
    sweep = folder / "sweep.json"
    behaviour = metrics["behaviour"]
    return card(
        config=config.model_dump(mode="json"),
        features=tuple(FEATURE_SETS[config.data.feature_set]),
        student=config.make_student(),
        held_out=view.held_out,
        external={name: view.external[name] for name in config.external},
        intervals=view.intervals,
        behaviour=behaviour and {name: Deviation(**entry) for name, entry in behaviour.items()},
        parity=BatchDistance(**parity["batches"][0]),
        trained=Distance(**parity["trained_against_deployed"]),
        config_sha256=sidecar.training.config_sha256,
        label_scale=sidecar.label_scale,
        n_swept=len(json.loads(sweep.read_text())["points"]) if sweep.is_file() else 1,
    )
