"""An ONNX graph that is written operator by operator, with each constant stored once.

    g = Graph()
    x, y = g.input("x", (None, 4)), g.input("y", (None, 4))
    g.output("z", x * y + 1, (None, 4))

A value knows its name alone; whoever writes the graph knows the shapes. Frames are on the first
axis everywhere, the only one whose length is free (`None`). A score at the end of a graph is made
by a student's own file, or by a teacher's SVR.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.teacher import Teacher
from vmaf_jax.teacher.svr import Correction, ScoreTransform, bends

if TYPE_CHECKING:
    import onnx

FRAMES = "N"  # the name of the free axis

Array = npt.NDArray[np.floating] | npt.NDArray[np.integer]
Operand = Union["Value", float, int, Array]
Attribute = int | float | str | Sequence[int]
Axes = tuple[int, ...]
_PREFIX = "head/"  # of a student's names, which may be those of the graph


class Value:
    """A tensor of a graph, by name; arithmetic and methods append nodes to the graph."""

    def __init__(self, graph: "Graph", name: str) -> None:
        """Refers to a tensor that `graph` computes or is given."""
        self.graph, self.name = graph, name

    def __add__(self, other: Operand) -> "Value":
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Operand) -> "Value":
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Operand) -> "Value":
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Operand) -> "Value":
        return self.graph.op("Div", self, other)

    def abs(self) -> "Value":
        """Returns the magnitudes."""
        return self.graph.op("Abs", self)

    def relu(self) -> "Value":
        """Returns the samples, 0 in place of negative ones."""
        return self.graph.op("Relu", self)

    def minimum(self, other: Operand) -> "Value":
        """Returns the smaller of two samples."""
        return self.graph.op("Min", self, other)

    def maximum(self, other: Operand) -> "Value":
        """Returns the larger of two samples."""
        return self.graph.op("Max", self, other)

    def at_least(self, bound: Operand) -> "Value":
        """Returns booleans: where a sample is `bound` or more."""
        return self.graph.op("GreaterOrEqual", self, bound)

    def log(self) -> "Value":
        """Returns natural logarithms."""
        return self.graph.op("Log", self)

    def to_float(self) -> "Value":
        """Returns the samples, or booleans, as float32."""
        import onnx

        return self.graph.op("Cast", self, to=onnx.TensorProto.FLOAT)

    def matmul(self, other: Operand) -> "Value":
        """Returns the matrix product over the last two axes."""
        return self.graph.op("MatMul", self, other)

    def reshape(self, *shape: int) -> "Value":
        """Returns the samples in another shape; one length may be -1."""
        return self.graph.op("Reshape", self, np.array(shape))

    def sum_over(self, *axes: int) -> "Value":
        """Returns sums over axes, which go."""
        return self.graph.op("ReduceSum", self, np.array(axes), keepdims=0)

    def sum_keeping(self, axis: int) -> "Value":
        """Returns sums over an axis, which stays with length 1."""
        return self.graph.op("ReduceSum", self, np.array([axis]))

    def pad(self, before: Axes, after: Axes, mode: str) -> "Value":
        """Returns the samples with more before and after each axis, by ONNX's `reflect` or `edge`.

        `reflect` mirrors about the edge samples; `edge` repeats them.
        """
        return self.graph.op("Pad", self, np.array([*before, *after]), mode=mode)

    def cut(self, axis: int, start: int, end: int, step: int = 1) -> "Value":
        """Returns the samples `start:end:step` of an axis."""
        ends = (np.array([number]) for number in (start, end, axis, step))
        return self.graph.op("Slice", self, *ends)

    def split(self, axis: int, *sizes: int) -> list["Value"]:
        """Returns parts of these sizes along an axis."""
        return self.graph.ops("Split", len(sizes), self, np.array(sizes), axis=axis)

    def split_evenly(self, axis: int, n: int) -> list["Value"]:
        """Returns `n` parts of one size along an axis."""
        return self.graph.ops("Split", n, self, axis=axis)


class Graph:
    """Nodes, constants, inputs and outputs, in the order in which they were written."""

    def __init__(self) -> None:
        """Starts an empty graph."""
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def input(self, name: str, shape: Sequence[int | None], dtype: str = "float32") -> Value:
        """Adds an input; `dtype` is float32 or uint8."""
        self.inputs.append(_tensor_info(name, shape, dtype))
        return Value(self, name)

    def output(self, name: str, value: Value, shape: Sequence[int | None]) -> Value:
        """Adds `value` to the outputs as `name`, float32."""
        self._append("Identity", [value.name], [name], {})
        self.outputs.append(_tensor_info(name, shape, "float32"))
        return Value(self, name)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Returns values side by side along an axis."""
        return self.op("Concat", *values, axis=axis)

    def op(self, kind: str, *inputs: Operand, **attributes: Attribute) -> Value:
        """Appends a node of the default domain and returns its one output."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(
        self, kind: str, n_outputs: int, *inputs: Operand, **attributes: Attribute
    ) -> list[Value]:
        """Appends a node of the default domain and returns its outputs."""
        number = len(self.nodes)
        names = [f"{kind}_{number}_{k}" for k in range(n_outputs)]
        self._append(kind, [self._name(value) for value in inputs], names, attributes)
        return [Value(self, name) for name in names]

    def to_onnx(self, name: str) -> "onnx.GraphProto":
        """Returns the graph as an ONNX message."""
        import onnx

        return onnx.helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, self.initializers
        )

    def _append(
        self, kind: str, read: list[str], made: list[str], attributes: dict[str, Attribute]
    ) -> None:
        import onnx

        name = f"{kind}_{len(self.nodes)}"
        node = onnx.helper.make_node(kind, read, made, name=name)
        for key in sorted(attributes):  # one order of bytes, whatever the order of the call
            node.attribute.append(onnx.helper.make_attribute(key, attributes[key]))
        self.nodes.append(node)

    def _name(self, value: Operand) -> str:
        if isinstance(value, Value):
            return value.name
        if isinstance(value, np.ndarray) and value.dtype.kind == "i":
            return self._constant(value.astype(np.int64))
        return self._constant(np.asarray(value, np.float32))

    def _constant(self, array: Array) -> str:
        import onnx

        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self.initializers.append(onnx.numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]


def _tensor_info(name: str, shape: Sequence[int | None], dtype: str) -> "onnx.ValueInfoProto":
    import onnx

    kind = {"float32": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}[dtype]
    axes = [FRAMES if length is None else length for length in shape]
    return onnx.helper.make_tensor_value_info(name, kind, axes)


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
