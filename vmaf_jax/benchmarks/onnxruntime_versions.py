"""The shipped files under older versions of ONNX Runtime: do they score alike, and how fast.

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

from vmaf_jax.benchmarks import onnxruntime_worker
from vmaf_jax.benchmarks.timing import machine, summary
from vmaf_jax.errors import InputError
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import cache_dir

OLDER = ("1.20.1", "1.21.1")


def bench_versions(repeats: int = 15) -> dict[str, Any]:
    """Every shipped file under `OLDER` and this environment's ONNX Runtime.

    Scores are held against JAX for float32 files and against this environment's ONNX Runtime for
    8-bit ones; times are of one thread.

    Raises:
        InputError: an environment cannot be made, or a version cannot run a file.
    """
    import onnxruntime

    from vmaf_jax.runs.locate import checkpoints
    from vmaf_jax.scoring.model import load_model

    newest = onnxruntime.__version__
    pythons = {version: environment(version) for version in (*OLDER, newest)}
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
                runs[version].append(_run(python, listing, arrays))
    return {"machine": machine(), **_report(runs, models)}


def _report(runs: dict[str, list[dict[str, Any]]], models: dict[str, str]) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for name in models:
        entry: dict[str, Any] = {}
        times = {}
        for version, of_version in runs.items():
            results = [run["models"][name] for run in of_version]
            times[version] = {
                batch: [run["seconds"][batch] for run in results] for batch in results[0]["seconds"]
            }
            entry[version] = {
                "max_abs": max(run["max_abs"] for run in results),
                "rows of other bits": max(run["other_bits"] for run in results),
                **{f"batch {b}": summary(seconds) for b, seconds in times[version].items()},
            }
        old, new = OLDER
        for batch in times[old]:
            ratios = np.divide(times[new][batch], times[old][batch])
            entry[f"batch {batch}, time of {new} over {old}"] = float(np.median(ratios))
        report[name] = entry
    return report


def environment(version: str) -> Path:
    """The Python of a virtual environment with one version of ONNX Runtime, made when missing."""
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


def _run(python: Path, listing: Path, arrays: Path) -> dict[str, Any]:
    line = [str(python), "-I", str(onnxruntime_worker.__file__), str(listing), str(arrays)]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"ended with {result.returncode}"])[-1]
        raise InputError(f"{python}: {reason}; delete its folder.")
    return dict(json.loads(result.stdout))
