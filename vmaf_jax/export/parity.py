"""Proof that the ONNX file computes what the JAX model does.

Both run over the same rows: real corpora, the corners of the feature box, and random rows in it.
Rows whose output is clipped on either side agree trivially and are counted apart. Near zero on a
0-100 scale a ULP is far finer than float32 arithmetic on that scale can be, so ULP limits hold
from 16 points up and an absolute limit holds everywhere. Both are also held against the same
function in float64, which says whose rounding is nearer the truth.
"""

import itertools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from vmaf_jax.config import ParityConfig
from vmaf_jax.errors import GateError
from vmaf_jax.evaluation.ulp import ulp_distance
from vmaf_jax.export.onnx_file import OnnxModel
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Deployed
from vmaf_jax.models.batches import in_batches
from vmaf_jax.models.heads import OUTPUT_RANGE

N_ROWS = 100_000
LARGE_BATCH, SMALL_BATCHES, EVERY_BATCH = 4096, (1, 7), tuple(range(1, 65))
N_SMALL = 10_000
ULP_FROM = 16.0  # VMAF points; the ULP limit holds from here up
_OCTAVES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)
_ULP_EDGES = (0, 1, 2, 4, 8, 16, 64)


def parity_rows(
    feature_set: FeatureSet, corpora: list[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float32]:
    """At least `N_ROWS` rows `[n, d]`: corpora, corners of the box, then random rows in it."""
    lower, upper = np.array(feature_set.lower), np.array(feature_set.upper)
    corners = np.array(list(itertools.product(*zip(lower, upper, strict=True))))
    real = np.concatenate([*corpora, corners])
    rng = np.random.default_rng(0)
    missing = max(0, N_ROWS - len(real))
    drawn = rng.uniform(lower, upper, (missing, len(lower)))
    return np.concatenate([real, drawn]).astype(np.float32)


def measure_parity(
    deployed: Deployed,
    model: OnnxModel,
    rows: npt.NDArray[np.float32],
    config: ParityConfig,
) -> dict[str, Any]:
    """The content of `parity.json`: distances overall, by batch size and by octave of the output.

    JAX runs jitted on its default device, at the same batch size as ONNX Runtime.

    Args:
        config: the limits; if `thorough`, all rows run at every batch size from 1 to 64, instead of
            `N_SMALL` of them at 1 and 7, which takes most of a minute.
    """
    in_jax = _in_jax(deployed, jax.devices()[0])
    # Small batches cost a call each; unless asked, they see an even share of all rows.
    few = rows if config.thorough else rows[:: max(1, len(rows) // N_SMALL)]
    if len(few) < N_SMALL:
        few = rows[:N_SMALL]
    ours = in_batches(in_jax, rows, LARGE_BATCH)
    theirs = model.in_batches(rows, LARGE_BATCH)
    runs = [{"batch": LARGE_BATCH, **_distances(ours, theirs)}]
    for size in EVERY_BATCH if config.thorough else SMALL_BATCHES:
        pair = (in_batches(in_jax, few, size), model.in_batches(few, size))
        runs.append({"batch": size, **_distances(*pair)})
    exact = _in_float64(deployed, rows)
    report = {
        "n": runs[0]["n"],
        "clipped": runs[0]["clipped"],
        "max_abs": max(run["max_abs"] for run in runs),
        "max_ulp": max(run["max_ulp"] for run in runs),
        "ulp_from": ULP_FROM,
        "limits": {"max_abs": config.max_abs, "max_ulp": config.max_ulp},
        "batches": runs,
        "octaves": _octaves(ours, theirs),
        "ulp_counts": _ulp_counts(ours, theirs),
        "worst": _worst(rows, ours, theirs, exact),
        "against_float64": {
            "jax": _errors(ours, exact),
            "onnxruntime": _errors(theirs, exact),
        },
        "device": jax.devices()[0].device_kind,
        "processor": processor(),
    }
    if jax.devices()[0].platform != "cpu":
        on_cpu = in_batches(_in_jax(deployed, jax.devices("cpu")[0]), rows, LARGE_BATCH)
        report["jax_cpu_against_device"] = _distances(on_cpu, ours)
    return report


def check_parity(report: dict[str, Any]) -> None:
    """Raises GateError, with figure and limit, if the report misses one of its limits."""
    for name, unit in (("max_abs", "VMAF points"), ("max_ulp", "ULP")):
        if not report[name] <= report["limits"][name]:  # NaN misses too
            raise GateError(
                f"parity: {name} is {report[name]:.3g} {unit}, limit {report['limits'][name]:.3g}."
            )


def _in_jax(
    deployed: Deployed, device: jax.Device
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    jitted = jax.jit(deployed.predict)
    constants = jax.device_put(deployed.constants, device)

    def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(jitted(constants, jax.device_put(batch, device)))

    return run


def _in_float64(deployed: Deployed, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The same function of the same float32 constants, computed in float64 on the CPU."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        constants = jax.tree.map(lambda leaf: leaf.astype(np.float64), deployed.constants)
        return np.asarray(jax.jit(deployed.predict)(constants, rows.astype(np.float64)))


def processor() -> str:
    """The CPU's name and the vector instructions that kernels choose by."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in found.items()}
    known = [each for each in ("fma", "avx2", "avx512f") if each in fields.get("flags", "").split()]
    return f"{fields.get('model name', platform.machine())} ({' '.join(known) or 'no AVX2'})"


def _inside(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    low, high = OUTPUT_RANGE
    return (a > low) & (a < high) & (b > low) & (b < high)


def _distances(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> dict[str, Any]:
    inside = _inside(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    large = inside & (np.minimum(a, b) >= ULP_FROM)
    ulp = ulp_distance(a, b)
    return {
        "n": int(inside.sum()),
        "clipped": int((~inside).sum()),
        # A row clipped on one side only differs by as much as it stood beyond the end.
        "max_abs": float(difference.max(initial=0.0)),
        "max_ulp": int(ulp[large].max(initial=0)),
    }


def _ulp_counts(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> dict[str, int]:
    """How many rows lie how far apart, for outputs of `ULP_FROM` and more."""
    ulp = ulp_distance(a, b)[_inside(a, b) & (np.minimum(a, b) >= ULP_FROM)]
    counts = {"0": int((ulp == 0).sum())}
    for low, high in itertools.pairwise(_ULP_EDGES):
        counts[f"{low + 1}-{high}" if high > low + 1 else f"{high}"] = int(
            ((ulp > low) & (ulp <= high)).sum()
        )
    return counts | {"more": int((ulp > _ULP_EDGES[-1]).sum())}


def _worst(
    rows: npt.NDArray[np.float32],
    ours: npt.NDArray[np.float32],
    theirs: npt.NDArray[np.float32],
    exact: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """The row where the two are farthest apart, in points."""
    k = int(np.argmax(np.abs(ours.astype(np.float64) - theirs)))
    return {
        "features": rows[k].tolist(),
        "jax": float(ours[k]),
        "onnxruntime": float(theirs[k]),
        "float64": float(exact[k]),
    }


def _errors(found: npt.NDArray[np.float32], exact: npt.NDArray[np.float64]) -> dict[str, float]:
    error = np.abs(found - exact)
    return {"max_abs": float(error.max(initial=0.0)), "mean_abs": float(error.mean())}


def _octaves(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
    """Distances by the size of the output; from 1 up each entry is one octave of float32."""
    inside, ulp = _inside(a, b), ulp_distance(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    entries = []
    for low, high in itertools.pairwise(_OCTAVES):
        here = inside & (a >= low) & (a < high)
        entries.append(
            {
                "from": low,
                "to": high,
                "n": int(here.sum()),
                "max_ulp": int(ulp[here].max(initial=0)),
                "mean_ulp": float(ulp[here].mean()) if here.any() else 0.0,
                "max_abs": float(difference[here].max(initial=0.0)),
            }
        )
    return entries
