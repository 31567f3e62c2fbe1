"""Proof that the ONNX file computes what the JAX model does.

Both run over the same rows: real corpora, the corners of the feature box, and random rows in it.
Rows whose output is clipped on either side agree trivially and are counted apart. Near zero on a
0-100 scale a ULP is far finer than float32 arithmetic on that scale can be, so ULP limits hold
from 16 points up and an absolute limit holds everywhere.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError
from vmaf_jax.export.onnx_file import OUTPUT_RANGE, OnnxModel
from vmaf_jax.export.ulp import ulp_distance
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Student, Variables

N_ROWS = 100_000
LARGE_BATCH, SMALL_BATCHES = 4096, (1, 7)
N_SMALL = 10_000
ULP_FROM = 16.0  # VMAF points; the ULP limit holds from here up
_OCTAVES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)


@dataclasses.dataclass(frozen=True)
class Limits:
    """`max_abs` in VMAF points everywhere inside (0, 100); `max_ulp` for outputs of 16 and more."""

    max_abs: float = 1e-4
    max_ulp: int = 64


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
    student: Student,
    variables: Variables,
    model: OnnxModel,
    rows: npt.NDArray[np.float32],
    limits: Limits | None = None,
) -> dict[str, Any]:
    """The content of `parity.json`: distances overall, by batch size and by octave of the output.

    JAX runs jitted on its default device, at the same batch size as ONNX Runtime.
    """
    limits = limits or Limits()
    jitted = jax.jit(student.predict)
    constants = jax.device_put(dict(variables))

    def in_jax(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(jitted(constants, batch))

    # Small batches cost a call each; they see an even share of all rows.
    few = rows[:: max(1, len(rows) // N_SMALL)]
    if len(few) < N_SMALL:
        few = rows[:N_SMALL]
    every = (_in_batches(in_jax, rows, LARGE_BATCH), model.in_batches(rows, LARGE_BATCH))
    runs = [{"batch": LARGE_BATCH, **_distances(*every)}]
    for size in SMALL_BATCHES:
        pair = (_in_batches(in_jax, few, size), model.in_batches(few, size))
        runs.append({"batch": size, **_distances(*pair)})
    return {
        "n": sum(run["n"] for run in runs),
        "clipped": sum(run["clipped"] for run in runs),
        "max_abs": max(run["max_abs"] for run in runs),
        "max_ulp": max(run["max_ulp"] for run in runs),
        "ulp_from": ULP_FROM,
        "limits": dataclasses.asdict(limits),
        "batches": runs,
        "octaves": _octaves(*every),
        "device": jax.devices()[0].device_kind,
    }


def check_parity(report: dict[str, Any]) -> None:
    """Raises GateError, with figure and limit, if the report misses one of its limits."""
    for name, unit in (("max_abs", "VMAF points"), ("max_ulp", "ULP")):
        if not report[name] <= report["limits"][name]:  # NaN misses too
            raise GateError(
                f"parity: {name} is {report[name]:.3g} {unit}, limit {report['limits'][name]:.3g}."
            )


def _in_batches(
    function: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    rows: npt.NDArray[np.float32],
    size: int,
) -> npt.NDArray[np.float32]:
    """`function` over `rows`, always `size` at a time, so that it compiles once."""
    padding = -len(rows) % size
    padded = np.concatenate([rows, np.repeat(rows[-1:], padding, axis=0)])
    parts = [function(padded[k : k + size]) for k in range(0, len(padded), size)]
    return np.concatenate(parts)[: len(rows)]


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
