"""Deployed students as ONNX files that keep the contract.

MatMul, Add                          -> Gemm
Mul 1/4, Add 1/2, Clip to [0, 1]     -> HardSigmoid (the product by 1/4 is exact)

The bias of every Gemm is a row `[N]`, which is what quantisers and other runtimes expect.
"""

from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vmaf_jax.export.contract import (
    INPUT_NAME,
    IR_VERSION,
    MASK_NAME,
    OPSET,
    OUTPUT_NAME,
    check_contract,
)
from vmaf_jax.export.onnx_runtime import check_levels, example_feed
from vmaf_jax.export.sidecar import Identity
from vmaf_jax.files import write_bytes
from vmaf_jax.models import Deployed

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


def export_onnx(
    deployed: Deployed, path: Path, identity: Identity, outputs: tuple[str, ...] = (OUTPUT_NAME,)
) -> Path:
    """Writes a student's clipped prediction as ONNX, checked against the contract.

    Args:
        identity: kept in the file's metadata, with our version.
        outputs: names of what it predicts; an ensemble has two.
    Raises:
        InputError: the graph breaks the contract, or `path` cannot be written.
        GateError: it does not run alike at every level of graph optimisation.
    """
    import onnx
    from jax2onnx import to_onnx

    def predict(*inputs: jax.Array) -> Any:
        return deployed.predict(deployed.constants, *inputs)

    n_features = len(identity.feature_set)
    shapes: list[tuple[str | int, ...]] = [("N", n_features)]
    names = [INPUT_NAME]
    if identity.student.spec.over_frames:
        shapes, names = [("N", "T", n_features), ("N", "T")], [INPUT_NAME, MASK_NAME]

    model = to_onnx(
        predict,
        inputs=shapes,
        model_name=identity.name,
        opset=OPSET,
        input_names=names,
        output_names=list(outputs),
    )
    fuse(model.graph)
    model.ir_version = IR_VERSION
    model.producer_name = "vmaf-jax"
    model.producer_version = metadata.version("vmaf-jax")
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    properties = {
        "name": identity.name,
        "version": metadata.version("vmaf-jax"),
        "feature_set": identity.feature_set.name,
        "features": ",".join(identity.feature_set),
        "training_sha256": identity.training_sha256,
        "quant_mode": "fp32",
    }
    onnx.helper.set_model_props(model, properties)
    check_contract(model, path)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    feed = example_feed(identity.feature_set, over_frames=identity.student.spec.over_frames)
    check_levels(content, path, feed)
    write_bytes(path, content)
    return path
