"""An ensemble's processor time in ONNX Runtime beside a single model's, alternating.

python -m docs.experiments.ensemble_time

Members are the shipped model with its weights moved a little: time does not depend on weights.
"""

import dataclasses
import statistics
import time
from pathlib import Path

import jax
import numpy as np

from vmaf_jax.export.contract import OUTPUT_NAME, SPREAD_NAME
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import work_folder
from vmaf_jax.models import Deployed, deploy
from vmaf_jax.models.student import deploy_ensemble
from vmaf_jax.runs.locate import find_run
from vmaf_jax.runs.run_folder import open_run

TURNS, CALLS = 60, {1: 200, 256: 40, 4096: 4}


def moved(deployed: Deployed, seed: int) -> Deployed:
    """The same with every number moved by a thousandth of itself."""
    rng = np.random.default_rng(seed)

    def move(leaf: np.ndarray) -> np.ndarray:
        return (leaf * (1 + 1e-3 * rng.normal(size=leaf.shape))).astype(np.float32)

    return dataclasses.replace(deployed, constants=jax.tree.map(move, deployed.constants))


def seconds(model: OnnxModel, rows: np.ndarray, calls: int) -> float:
    """Processor time of the thread that computes `calls` calls, all outputs."""
    names = [OUTPUT_NAME, SPREAD_NAME] if model.has_spread else [OUTPUT_NAME]
    started = time.thread_time()
    for _ in range(calls):
        model.session.run(names, {"features": rows})
    return time.thread_time() - started


if __name__ == "__main__":
    every = parity_rows(FEATURES, [])
    for name in ("nano", "tiny"):
        run = open_run(find_run(name))
        single = deploy(run.student, run.variables)
        for k in (4, 5):
            members = deploy_ensemble([moved(single, seed) for seed in range(k)])
            with work_folder() as folder:
                single_file = export_onnx(single, Path(folder) / "one.onnx", run.identity)
                outputs = (OUTPUT_NAME, SPREAD_NAME)
                ensemble_file = export_onnx(
                    members, Path(folder) / "many.onnx", run.identity, outputs
                )
                models = [OnnxModel(path, threads=1) for path in (single_file, ensemble_file)]
            for batch, calls in CALLS.items():
                ratios = []
                for _ in range(TURNS):
                    pair = [seconds(model, every[:batch], calls) for model in models]
                    ratios.append(pair[1] / pair[0])
                print(f"{name}, {k} members, {batch} rows: {statistics.median(ratios):.2f} times")
