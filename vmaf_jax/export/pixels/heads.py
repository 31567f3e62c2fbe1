"""From features to a score, in the graph: a student's own file, or a teacher's SVR."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.teacher import Teacher
from vmaf_jax.teacher.svr import Correction, ScoreTransform, bends

if TYPE_CHECKING:
    import onnx

_PREFIX = "head/"  # of a student's names, which may be those of the graph


def student_head(graph: Graph, model: "onnx.ModelProto", features: Value) -> Value:
    """Returns the score `[N]` that a model of the ONNX contract gives to `features` `[N, 6]`.

    Args:
        model: from features to scores; its nodes are copied.
    """
    names = {INPUT_NAME: features.name, "": ""}  # an input that is left out has no name

    def rename(name: str) -> str:
        return names.get(name, _PREFIX + name)

    for tensor in model.graph.initializer:
        constant = type(tensor)()
        constant.CopyFrom(tensor)
        constant.name = rename(tensor.name)
        graph.initializers.append(constant)
    for node in model.graph.node:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name = _PREFIX + node.name
        copy.input[:] = [rename(name) for name in node.input]
        copy.output[:] = [rename(name) for name in node.output]
        graph.nodes.append(copy)
    return Value(graph, rename(OUTPUT_NAME))


def teacher_head(graph: Graph, teacher: Teacher, features: Value) -> Value:
    """Returns the score `[N]` that a VMAF model gives to `features` `[N, d]`, in its range.

    The function is `teacher.svr.svr_score`. The root of gamma is folded into the rescaling, and the
    rescale of the target into the coefficients, both in float64. Coefficients of hundreds of points
    nearly cancel, so they take `exp(-d) - 1 = -2 t / (1 + t)` with `t = tanh(d / 2)`, and their sum
    is in the offset: float32 then errs by a twentieth as much.
    """
    svr, ends = teacher.params(), teacher.model.clip
    root = math.sqrt(svr.gamma)
    if svr.correction is not None:
        features = _correct(svr.correction, features)
    scaled = features * (svr.slope * root) + svr.intercept * root
    rows = scaled.reshape(-1, 1, len(svr.slope))
    apart = rows - svr.support_vectors * root
    distance = (apart * apart).sum_over(2)
    tangent = graph.op("Tanh", distance * 0.5)
    coefficients = svr.coefficients / svr.score_slope
    product = (tangent / (tangent + 1)).matmul(-2 * coefficients[:, None])
    offset = float(coefficients.sum() - (svr.rho + svr.score_intercept) / svr.score_slope)
    score = product.reshape(-1) + offset
    if teacher.transform is not None:
        score = _transform(teacher.transform, score)
    return graph.op("Clip", score, ends[0], ends[1]) if ends else score


def _correct(correction: Correction, features: Value) -> Value:
    """Returns features as `teacher.svr.correct_features` does.

    A clipped product tells values that are exactly 0: the contract admits no `Equal` or `Where`.
    """
    graph = features.graph
    measured = graph.op("Clip", features.abs() * 1e30, 0.0, 1.0)
    guide = graph.op("ReduceSum", features * correction.guide, np.array([1]), keepdims=1)
    stand_in = guide * -correction.at_one + correction.at_one
    return features + (measured * -1 + 1) * stand_in


def _transform(transform: ScoreTransform, score: Value) -> Value:
    out = score
    if transform.polynomial is not None:
        p0, p1, p2 = transform.polynomial
        out = score * score * p2 + score * p1 + p0
    if transform.knots is not None:
        out = map_by_knots(out, transform.knots)
    if transform.at_most_input:
        out = out.minimum(score)
    if transform.at_least_input:
        out = out.maximum(score)
    return out


def map_by_knots(score: Value, knots: Sequence[tuple[float, float]]) -> Value:
    """Returns scores mapped as `teacher.svr.transform_score` maps them by knots."""
    (first, bend), *others = bends(knots)
    out = (score - first) * bend + knots[0][1]
    for at, change in others:
        out = out + (score - at).relu() * change
    return out
