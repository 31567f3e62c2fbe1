"""Models written operator by operator: VMAF's own SVR as ONNX, and models on a curve to votes.

The file gives what the model gives, limited to the contract's 0-100: `vmaf_v1.0.16_3d0h_2160`,
which itself reaches 110, stops at 100 here. It is compared with the model in float64.

libvmaf's score transform takes 2 to 10 knots, between which it is linear; beyond them its first and
last piece go on. libvmaf 2.3 to that of ffmpeg 9 load these; with more they refuse the model.

Loads no JAX: a calibration would wait a second for it.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError
from vmaf_jax.evaluation.title_process import KNOTS, VoteCurve
from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME, check_contract, read_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel, write_onnx
from vmaf_jax.export.pixels.graph import Graph, map_by_knots, student_head, teacher_head
from vmaf_jax.features.feature_set import FEATURES, OUTPUT_RANGE, FeatureSet
from vmaf_jax.files import write_text
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
    graph = Graph()
    rows = graph.input(INPUT_NAME, (None, len(teacher.feature_set)))
    score = graph.op("Clip", teacher_head(graph, teacher, rows), *OUTPUT_RANGE)
    graph.output(OUTPUT_NAME, score, (None,))
    return _write_graph(graph, teacher.name, teacher.feature_set, path)


def _write_graph(graph: Graph, name: str, feature_set: FeatureSet, path: Path) -> Path:
    import onnx

    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph.to_onnx(name), opset_imports=[opset])
    properties = {
        "name": name,
        "version": metadata.version("vmaf-jax"),
        "feature_set": feature_set.name,
        "features": ",".join(feature_set),
        "quant_mode": "fp32",
    }
    return write_onnx(model, path, properties)


def teacher_parity(teacher: Teacher, path: Path) -> TeacherParity:
    """Measures the file at `path` against the model in float64, over 100,000 rows.

    A row in ten has a 0 in a column that the model replaces, where it does.

    Raises:
        GateError: they differ by more than `LIMIT` on some row.
    """
    from vmaf_jax.export.parity import parity_rows  # loads Flax, as writing a file does not

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
    from vmaf_jax.export.parity import LARGE_BATCH

    exact = np.clip(np.asarray(model(rows), np.float64), *OUTPUT_RANGE)
    scores = OnnxModel(path).in_batches(rows, LARGE_BATCH)
    parity = TeacherParity(len(rows), float(np.abs(scores - exact).max()), limit)
    if not parity.max_abs <= limit:  # NaN misses too
        raise GateError(
            f"parity: {name} in ONNX Runtime is {parity.max_abs:.2e} VMAF points from its "
            f"float64 score, limit {limit:g}."
        )
    return parity


_FAR = 1000.0  # points beyond the knots, between which the curve is constant


def write_curve_onnx(base: Teacher | Path, curve: VoteCurve, name: str, path: Path) -> None:
    """Writes a model from features to votes, points: the base's score of a frame, on the curve.

    Args:
        base: One of VMAF's models, or an ONNX file of the contract.

    Raises:
        InputError: The base breaks the contract.
    """
    graph = Graph()
    rows = graph.input(INPUT_NAME, (None, len(FEATURES)))
    if isinstance(base, Teacher):
        score = teacher_head(graph, base, rows)
    else:
        score = student_head(graph, read_onnx(base, check_contract)[1], rows)
    votes = map_by_knots(graph.op("Clip", score, *OUTPUT_RANGE), _knots(curve)[1:-1])
    graph.output(OUTPUT_NAME, graph.op("Clip", votes, *OUTPUT_RANGE), (None,))
    _write_graph(graph, name, FEATURES, path)


def write_curve_libvmaf(base: Teacher, curve: VoteCurve, path: Path) -> None:
    """Writes a libvmaf model whose score transform is the curve.

    The base must have no transform in force.
    """
    document = json.loads(json.dumps(base.model.document))
    model = document["model_dict"]
    model["score_transform"] = {"enabled": True, "knots": [list(knot) for knot in _knots(curve)]}
    model["score_clip"] = list(OUTPUT_RANGE)
    write_text(path, json.dumps(document, indent=1) + "\n")


def _knots(curve: VoteCurve) -> Sequence[tuple[float, float]]:
    votes = curve.votes.tolist()
    inner = list(zip(KNOTS.tolist(), votes, strict=True))
    return [(-_FAR, votes[0]), *inner, (100 + _FAR, votes[-1])]
