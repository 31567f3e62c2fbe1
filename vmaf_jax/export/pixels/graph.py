"""An ONNX graph as it is written: values with arithmetic, constants that are stored once.

    g = Graph()
    x, y = g.input("x", (None, 4)), g.input("y", (None, 4))
    g.output("z", x * y + 1, (None, 4))

A value knows its name alone; who writes the graph knows the shapes. The axis of frames is the
first one everywhere, and the only one whose length is not fixed (`None`).
"""

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

Scalar = float | int
FRAMES = "N"  # the name of the free axis


Operand = Union["Value", Scalar, npt.NDArray[Any]]


class Value:
    """A tensor of a graph, by name; `+ - * /` with values, numbers and arrays write nodes."""

    def __init__(self, graph: "Graph", name: str) -> None:
        """Names a tensor that `graph` makes."""
        self.graph, self.name = graph, name

    def __add__(self, other: "Operand") -> "Value":
        return self.graph.op("Add", self, other)

    def __sub__(self, other: "Operand") -> "Value":
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: "Operand") -> "Value":
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: "Operand") -> "Value":
        return self.graph.op("Div", self, other)


class Graph:
    """Nodes, constants, inputs and outputs, in the order in which they were written."""

    def __init__(self) -> None:
        """An empty graph."""
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def input(self, name: str, shape: Sequence[int | None], dtype: str = "float32") -> Value:
        """A tensor that the graph is given; `dtype` is float32 or uint8."""
        self.inputs.append(_described(name, shape, dtype))
        return Value(self, name)

    def output(self, name: str, value: Value, shape: Sequence[int | None]) -> Value:
        """Gives `value` out, float32, under `name`."""
        self.nodes.append(_node("Identity", [value.name], [name], len(self.nodes), {}))
        self.outputs.append(_described(name, shape, "float32"))
        return Value(self, name)

    def op(self, kind: str, *inputs: Operand, **attributes: Any) -> Value:
        """The one output of an operator of the default domain."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, n_outputs: int, *inputs: Operand, **attributes: Any) -> list[Value]:
        """The outputs of an operator that has several."""
        number = len(self.nodes)
        names = [f"{kind}_{number}_{k}" for k in range(n_outputs)]
        read = [self._name(value) for value in inputs]
        self.nodes.append(_node(kind, read, names, number, attributes))
        return [Value(self, name) for name in names]

    def _name(self, value: Operand) -> str:
        if isinstance(value, Value):
            return value.name
        if isinstance(value, np.ndarray) and value.dtype.kind == "i":
            return self._constant(value.astype(np.int64))
        return self._constant(np.asarray(value, np.float32))

    def _constant(self, array: npt.NDArray[Any]) -> str:
        import onnx

        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self.initializers.append(onnx.numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def to_onnx(self, name: str) -> Any:
        """The graph as an ONNX `GraphProto`."""
        import onnx

        return onnx.helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, self.initializers
        )


def _node(kind: str, read: list[str], made: list[str], number: int, attributes: Any) -> Any:
    import onnx

    return onnx.helper.make_node(kind, read, made, name=f"{kind}_{number}", **attributes)


def _described(name: str, shape: Sequence[int | None], dtype: str) -> Any:
    import onnx

    kind = {"float32": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}[dtype]
    axes = [FRAMES if length is None else length for length in shape]
    return onnx.helper.make_tensor_value_info(name, kind, axes)
