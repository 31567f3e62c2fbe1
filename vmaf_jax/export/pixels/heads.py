"""From features to a score, in the graph: a student's own file, or a teacher's SVR."""

import math
from typing import Any

import numpy as np

from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.teacher import Teacher
from vmaf_jax.teacher.model_file import Correction

_PREFIX = "head/"


def student_head(graph: Graph, model: Any, features: Value) -> Value:
    """The score `[N]` that a model of the ONNX contract gives to `features` `[N, 6]`.

    Args:
        model: a `ModelProto` from features to scores, whose nodes are copied.
    """
    names = {INPUT_NAME: features.name}

    def renamed(name: str) -> str:
        return names.get(name, _PREFIX + name) if name else name

    for tensor in model.graph.initializer:
        copy = type(tensor).FromString(tensor.SerializeToString())
        copy.name = renamed(tensor.name)
        graph.initializers.append(copy)
    for node in model.graph.node:
        copy = type(node).FromString(node.SerializeToString())
        copy.name = _PREFIX + node.name
        copy.input[:] = [renamed(name) for name in node.input]
        copy.output[:] = [renamed(name) for name in node.output]
        graph.nodes.append(copy)
    return Value(graph, renamed(OUTPUT_NAME))


def teacher_head(graph: Graph, teacher: Teacher, features: Value) -> Value:
    """The score `[N]` that a VMAF model gives to `features` `[N, d]`, in its range.

    As `vmaf_jax.teacher.svr`, the root of gamma in the rescaling and the rescale of the target in
    the coefficients; both folded in float64. Coefficients of hundreds of points nearly cancel, so
    they take `exp(-d) - 1 = -2 t / (1 + t)` with `t = tanh(d / 2)`, and their sum is in the
    offset: float32 then errs by a twentieth as much.
    """
    file = teacher.model
    root = math.sqrt(file.gamma)
    if file.correction is not None:
        features = _corrected(graph, file.correction, features)
    scaled = features * (file.slope * root) + file.intercept * root
    rows = graph.op("Reshape", scaled, np.array([-1, 1, len(file.slope)]))
    apart = rows - file.support_vectors * root
    distance = graph.op("ReduceSum", apart * apart, np.array([2]), keepdims=0)
    tangent = graph.op("Tanh", distance * 0.5)
    coefficients = file.coefficients / file.score_slope
    product = graph.op("MatMul", tangent / (tangent + 1), -2 * coefficients[:, None])
    offset = coefficients.sum() - (file.rho + file.score_intercept) / file.score_slope
    score = graph.op("Reshape", product, np.array([-1])) + offset
    score = _transformed(graph, score, teacher)
    return graph.op("Clip", score, *file.clip) if file.clip else score


def _corrected(graph: Graph, correction: Correction, features: Value) -> Value:
    """As `vmaf_jax.teacher.svr.corrected`; what is exactly 0 is told by a clipped product."""
    measured = graph.op("Clip", graph.op("Abs", features) * 1e30, 0.0, 1.0)
    guide = graph.op("ReduceSum", features * correction.guide, np.array([1]), keepdims=1)
    stand_in = guide * -correction.at_one + correction.at_one
    return features + (measured * -1 + 1) * stand_in


def _transformed(graph: Graph, score: Value, teacher: Teacher) -> Value:
    transform = teacher.transform
    if transform is None:
        return score
    out = score
    if transform.polynomial is not None:
        p0, p1, p2 = transform.polynomial
        out = score * score * p2 + score * p1 + p0
    if transform.at_most_input:
        out = graph.op("Min", out, score)
    if transform.at_least_input:
        out = graph.op("Max", out, score)
    return out
