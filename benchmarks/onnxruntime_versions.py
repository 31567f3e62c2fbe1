"""The shipped files under older versions of ONNX Runtime: their scores and their speed.

    python -m benchmarks.onnxruntime_versions [--repeats 15] [--json]

Each version gets a virtual environment of its own in the cache folder, filled by pip. The versions
run in turn, in processes of their own, and are compared round by round.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks import onnxruntime_worker
from benchmarks.command import run
from vmaf_jax.benchmarks.timing import Figure, Figures, machine, summarize
from vmaf_jax.errors import InputError
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import cache_dir
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import load_model

OLDER = ("1.20.1", "1.21.1")


def bench_versions(repeats: int = 15) -> Figures:
    """Runs every shipped file under `OLDER` and this environment's ONNX Runtime, on one thread.

    Scores are compared with JAX for float32 files and with this environment's ONNX Runtime for
    8-bit ones.

    Raises:
        InputError: An environment cannot be made, or a version cannot run a file.
    """
    newest = onnxruntime.__version__
    pythons = {version: make_environment(version) for version in (*OLDER, newest)}
    rows = parity_rows(FEATURES, [])
    truth: dict[str, Any] = {"rows": rows}
    models = {}
    for path in sorted(checkpoints().glob("*/model.onnx")):
        name = path.parent.name
        models[name], truth[name] = str(path), load_model(str(path.parent))(rows)
        if (int8 := int8_path(path)).is_file():
            models[f"{name} int8"], truth[f"{name} int8"] = str(int8), OnnxModel(int8)(rows)
    runs: dict[str, list[dict[str, Any]]] = {version: [] for version in pythons}
    with tempfile.TemporaryDirectory() as folder:
        listing, arrays = Path(folder) / "models.json", Path(folder) / "rows.npz"
        listing.write_text(json.dumps(models))
        np.savez(arrays, **truth)
        for _ in range(repeats):
            for version, python in pythons.items():
                runs[version].append(_run_worker(python, listing, arrays))
    return {"machine": machine(), **_compare_versions(runs, models)}


def _compare_versions(
    runs: dict[str, list[dict[str, Any]]], models: dict[str, str]
) -> dict[str, Figures]:
    """Computes the figures of each model from the workers' answers, by version and round."""
    report: dict[str, Figures] = {}
    for name in models:
        entry: dict[str, Figure] = {}
        times = {}
        for version, of_version in runs.items():
            results = [run["models"][name] for run in of_version]
            times[version] = {
                batch: [run["seconds"][batch] for run in results] for batch in results[0]["seconds"]
            }
            entry[version] = {
                "max_abs": max(run["max_abs"] for run in results),
                "rows of other bits": max(run["other_bits"] for run in results),
                **{f"batch {b}": summarize(seconds) for b, seconds in times[version].items()},
            }
        old, new = OLDER
        for batch in times[old]:
            ratios = np.divide(times[new][batch], times[old][batch])
            entry[f"batch {batch}, time of {new} over {old}"] = float(np.median(ratios))
        report[name] = entry
    return report


def make_environment(version: str) -> Path:
    """Returns the Python of an environment with one version of ONNX Runtime, made if missing."""
    folder = cache_dir() / "onnxruntime" / version
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    ready = folder / "ready"
    if not ready.exists():
        try:
            venv.create(folder, with_pip=True, clear=True)
        except subprocess.CalledProcessError as error:
            raise InputError(
                f"{folder}: cannot make a virtual environment with pip; install Python's venv."
            ) from error
        wanted = [f"onnxruntime=={version}", f"numpy=={np.__version__}"]
        line = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        result = subprocess.run([*line, *wanted], capture_output=True, text=True, check=False)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(
                f"{folder}: pip cannot install {wanted[0]} for Python "
                f"{sys.version_info.major}.{sys.version_info.minor} ({reason}); check the network."
            )
        ready.touch()
    return python


def _run_worker(python: Path, listing: Path, arrays: Path) -> dict[str, Any]:
    line = [str(python), "-I", str(onnxruntime_worker.__file__), str(listing), str(arrays)]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"ended with {result.returncode}"])[-1]
        raise InputError(f"{python}: {reason}; delete its folder.")
    return dict(json.loads(result.stdout))


if __name__ == "__main__":
    sys.exit(run(bench_versions))
