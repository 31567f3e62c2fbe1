"""A model on a rising curve from scores to votes, as ONNX and as libvmaf's JSON.

libvmaf's score transform takes 2 to 10 knots, between which it is linear; beyond them its first and
last piece go on. libvmaf 2.3 to that of ffmpeg 9 load these; with more they refuse the model.
"""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from vmaf_jax.evaluation.vote_curve import KNOTS, VoteCurve
from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME, check_contract, read_onnx
from vmaf_jax.export.onnx_runtime import write_onnx
from vmaf_jax.export.pixels.graph import Graph
from vmaf_jax.export.pixels.heads import map_by_knots, student_head, teacher_head
from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import write_text
from vmaf_jax.teacher import Teacher

_FAR = 1000.0  # points beyond the knots, between which the curve is constant


def write_curve_onnx(base: Teacher | Path, curve: VoteCurve, name: str, path: Path) -> None:
    """Writes a model from features to votes, points: the base's score of a frame, on the curve.

    Args:
        base: One of VMAF's models, or an ONNX file of the contract.

    Raises:
        InputError: The base breaks the contract.
    """
    import onnx

    graph = Graph()
    rows = graph.input(INPUT_NAME, (None, len(FEATURES)))
    if isinstance(base, Teacher):
        score = teacher_head(graph, base, rows)
    else:
        score = student_head(graph, read_onnx(base, check_contract).model, rows)
    votes = map_by_knots(graph.op("Clip", score, *OUTPUT_RANGE), _knots(curve)[1:-1])
    graph.output(OUTPUT_NAME, graph.op("Clip", votes, *OUTPUT_RANGE), (None,))
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph.to_onnx(name), opset_imports=[opset])
    properties = {
        "name": name,
        "version": metadata.version("vmaf-jax"),
        "feature_set": FEATURES.name,
        "features": ",".join(FEATURES),
        "quant_mode": "fp32",
    }
    write_onnx(model, path, properties)


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
