"""A VMAF model's own SVR as an ONNX file that keeps the contract, compared with it in float64.

The file gives what the model gives, limited to the contract's 0-100: `vmaf_v1.0.16_3d0h_2160`,
which itself reaches 110, stops at 100 here.
"""

import dataclasses
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError
from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import OnnxModel, write_onnx
from vmaf_jax.export.parity import LARGE_BATCH, parity_rows
from vmaf_jax.export.pixels.graph import Graph
from vmaf_jax.export.pixels.heads import teacher_head
from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.teacher import Teacher

Rows = npt.NDArray[np.float32]
# VMAF points: float32 sums of terms of hundreds of points that nearly cancel. Measured: 1.4e-3 for
# vmaf_v0.6.1, 4.7e-4 for VMAF v1's.
LIMIT = 2e-3


@dataclasses.dataclass(frozen=True)
class TeacherParity:
    """The largest difference between ONNX Runtime and float64 over `n` rows, VMAF points."""

    n: int
    max_abs: float
    limit: float


def teacher_onnx(teacher: Teacher, path: Path) -> Path:
    """Writes a VMAF model as ONNX, from raw features to its score.

    Raises:
        InputError: `path` cannot be written.
        GateError: the file does not run alike at every level of graph optimisation.
    """
    import onnx

    graph = Graph()
    rows = graph.input(INPUT_NAME, (None, len(teacher.feature_set)))
    score = graph.op("Clip", teacher_head(graph, teacher, rows), *OUTPUT_RANGE)
    graph.output(OUTPUT_NAME, score, (None,))
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph.to_onnx(teacher.name), opset_imports=[opset])
    properties = {
        "name": teacher.name,
        "version": metadata.version("vmaf-jax"),
        "feature_set": teacher.feature_set.name,
        "features": ",".join(teacher.feature_set),
        "quant_mode": "fp32",
    }
    return write_onnx(model, path, properties)


def teacher_parity(teacher: Teacher, path: Path) -> TeacherParity:
    """Measures the file at `path` against the model in float64, over 100,000 rows.

    A row in ten has a 0 in a column that the model replaces, where it does.

    Raises:
        GateError: they differ by more than `LIMIT` on some row.
    """
    rows = parity_rows(teacher.feature_set, [])
    if (correction := teacher.params().correction) is not None:
        rows[::10, correction.at_one != 0] = 0
    return measure_float64_parity(teacher.name, teacher, path, rows, LIMIT)


def measure_float64_parity(
    name: str, model: Callable[[Rows], npt.ArrayLike], path: Path, rows: Rows, limit: float
) -> TeacherParity:
    """Measures the file at `path` against a model of frames, over rows of features `[n, d]`.

    Raises:
        GateError: they differ by more than `limit` points on some row.
    """
    exact = np.clip(np.asarray(model(rows), np.float64), *OUTPUT_RANGE)
    scores = OnnxModel(path).in_batches(rows, LARGE_BATCH)
    parity = TeacherParity(len(rows), float(np.abs(scores - exact).max()), limit)
    if not parity.max_abs <= limit:  # NaN misses too
        raise GateError(
            f"parity: {name} in ONNX Runtime is {parity.max_abs:.2e} VMAF points from its "
            f"float64 score, limit {limit:g}."
        )
    return parity
