"""How far two computations of the same scores lie apart, in VMAF points and in float32 ULP.

Rows whose score is clipped on either side agree trivially and are counted apart. Near zero on a
0-100 scale a ULP is far finer than float32 arithmetic on that scale can be, so ULP are counted
from 16 points up.
"""

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.ulp import ulp_distance

Scores = npt.NDArray[np.float32]

RANGE = (0.0, 100.0)  # VMAF points; scores at its ends are clipped
ULP_FROM = 16.0  # VMAF points
_OCTAVES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)
_ULP_EDGES = (0, 1, 2, 4, 8, 16, 64)


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far two sets of scores are apart over the `n` rows where neither is clipped.

    Attributes:
        clipped: rows counted apart.
        max_abs: VMAF points; a row clipped on one side only counts by how far it is past the end.
        max_ulp: over scores of `ULP_FROM` and more.
    """

    n: int
    clipped: int
    max_abs: float
    max_ulp: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchDistance(Distance):
    """The same, with rows fed `batch` at a time."""

    batch: int


@dataclasses.dataclass(frozen=True)
class Octave:
    """Distances of the scores in [low, high), VMAF points; from 1 up one octave of float32."""

    low: float = dataclasses.field(metadata={"json": "from"})
    high: float = dataclasses.field(metadata={"json": "to"})
    n: int
    max_ulp: int
    mean_ulp: float
    max_abs: float


@dataclasses.dataclass(frozen=True)
class WorstRow:
    """The row where the two are farthest apart, and what each says, VMAF points."""

    features: list[float]
    jax: float
    onnxruntime: float
    float64: float


@dataclasses.dataclass(frozen=True)
class Rounding:
    """How far scores are from the same function in float64, VMAF points."""

    max_abs: float
    mean_abs: float


def distance(a: Scores, b: Scores) -> Distance:
    """The distance of two sets of scores `[n]`."""
    inside = _inside(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    large = inside & (np.minimum(a, b) >= ULP_FROM)
    return Distance(
        n=int(inside.sum()),
        clipped=int((~inside).sum()),
        max_abs=float(difference.max(initial=0.0)),
        max_ulp=int(ulp_distance(a, b)[large].max(initial=0)),
    )


def ulp_counts(a: Scores, b: Scores) -> dict[str, int]:
    """How many rows lie how far apart, for scores of `ULP_FROM` and more."""
    ulp = ulp_distance(a, b)[_inside(a, b) & (np.minimum(a, b) >= ULP_FROM)]
    counts = {"0": int((ulp == 0).sum())}
    for low, high in itertools.pairwise(_ULP_EDGES):
        counts[f"{low + 1}-{high}" if high > low + 1 else f"{high}"] = int(
            ((ulp > low) & (ulp <= high)).sum()
        )
    return counts | {"more": int((ulp > _ULP_EDGES[-1]).sum())}


def octaves(a: Scores, b: Scores) -> list[Octave]:
    """Distances by the size of the score."""
    inside, ulp = _inside(a, b), ulp_distance(a, b)
    difference = np.abs(a.astype(np.float64) - b)
    entries = []
    for low, high in itertools.pairwise(_OCTAVES):
        rows = inside & (a >= low) & (a < high)
        entries.append(
            Octave(
                low=low,
                high=high,
                n=int(rows.sum()),
                max_ulp=int(ulp[rows].max(initial=0)),
                mean_ulp=float(ulp[rows].mean()) if rows.any() else 0.0,
                max_abs=float(difference[rows].max(initial=0.0)),
            )
        )
    return entries


def worst_row(
    rows: npt.NDArray[np.float32], in_jax: Scores, in_onnx: Scores, exact: npt.NDArray[np.float64]
) -> WorstRow:
    """The row `[d]` of `rows` where the two are farthest apart, in points."""
    k = int(np.argmax(np.abs(in_jax.astype(np.float64) - in_onnx)))
    return WorstRow(rows[k].tolist(), float(in_jax[k]), float(in_onnx[k]), float(exact[k]))


def rounding(scores: Scores, exact: npt.NDArray[np.float64]) -> Rounding:
    """How far `scores` are from `exact`."""
    error = np.abs(scores - exact)
    return Rounding(float(error.max(initial=0.0)), float(error.mean()))


def _inside(a: Scores, b: Scores) -> npt.NDArray[np.bool_]:
    low, high = RANGE
    return (a > low) & (a < high) & (b > low) & (b < high)
