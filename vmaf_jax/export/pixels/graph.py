"""An ONNX graph that is written operator by operator, with each constant stored once.

    g = Graph()
    x, y = g.input("x", (None, 4)), g.input("y", (None, 4))
    g.output("z", x * y + 1, (None, 4))

A value knows its name alone; whoever writes the graph knows the shapes. Frames are on the first
axis everywhere, the only one whose length is free (`None`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

FRAMES = "N"  # the name of the free axis

Array = npt.NDArray[np.floating] | npt.NDArray[np.integer]
Operand = Union["Value", float, int, Array]
Attribute = int | float | str | Sequence[int]
Axes = tuple[int, ...]


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
