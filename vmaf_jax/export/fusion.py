"""Chains of ONNX nodes that one admitted operator computes, to the same bits.

MatMul, Add                          -> Gemm
Mul 1/4, Add 1/2, Clip to [0, 1]     -> HardSigmoid (the product by 1/4 is exact)

The bias of every Gemm is a row `[N]`, which is what quantisers and other runtimes expect.
"""

from typing import Any

import numpy as np

_NONE = np.empty(0)


def fuse(graph: Any) -> None:
    """Rewrites `graph` in place; constants that nobody reads any more leave it."""
    import onnx

    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "MatMul" and constants.get(node.input[1], _NONE).ndim == 2:
            chain = _chain(graph, node, ["Add"])
            if chain and (bias := _constant(chain[0], constants)) is not None:
                gemm = onnx.helper.make_node("Gemm", [*node.input, bias], chain[-1].output)
                _replace(graph, [node, *chain], gemm)
        elif node.op_type == "Mul" and _value(node, constants) == 0.25:
            chain = _chain(graph, node, ["Add", "Clip"])
            if (
                chain
                and _value(chain[0], constants) == 0.5
                and [constants[name].item() for name in chain[1].input[1:]] == [0, 1]
            ):
                (x,) = [name for name in node.input if name not in constants]
                gate = onnx.helper.make_node(
                    "HardSigmoid", [x], chain[-1].output, alpha=0.25, beta=0.5
                )
                _replace(graph, [node, *chain], gate)
    _flatten_biases(graph, constants)
    read = {name for node in graph.node for name in node.input}
    still_read = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(still_read)


def _chain(graph: Any, node: Any, kinds: list[str]) -> list[Any]:
    """The nodes after `node` if they are of these kinds, each the sole reader of the one before."""
    chain: list[Any] = []
    for kind in kinds:
        output = (chain or [node])[-1].output[0]
        readers = [reader for reader in graph.node if output in reader.input]
        if [reader.op_type for reader in readers] != [kind]:
            return []
        chain.append(readers[0])
    return chain


def _flatten_biases(graph: Any, constants: dict[str, Any]) -> None:
    """Makes the bias of every Gemm one-dimensional.

    `[1, N]` is valid and gives the same sums, but ONNX Runtime's quantiser gives such a bias N
    scales along its axis of length 1, which only its fused kernels run.
    """
    import onnx

    for node in graph.node:
        if node.op_type != "Gemm" or len(node.input) < 3:
            continue
        bias = constants.get(node.input[2], _NONE)
        if bias.ndim == 2 and bias.shape[0] == 1:
            name = f"{node.input[2]}_row"  # the constant may have other readers
            if name not in constants:
                constants[name] = bias[0]
                graph.initializer.append(onnx.numpy_helper.from_array(bias[0], name))
            node.input[2] = name


def _constant(node: Any, constants: dict[str, Any]) -> str | None:
    """The name of the constant operand of a node."""
    return next((name for name in node.input if name in constants), None)


def _value(node: Any, constants: dict[str, Any]) -> float | None:
    """The constant operand of a node where it is one number."""
    name = _constant(node, constants)
    return constants[name].item() if name and constants[name].size == 1 else None


def _replace(graph: Any, nodes: list[Any], by: Any) -> None:
    position = list(graph.node).index(nodes[0])
    for node in nodes:
        graph.node.remove(node)
    graph.node.insert(position, by)
