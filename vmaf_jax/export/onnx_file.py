"""Deployed students as ONNX files that keep the contract.

The graph that JAX's operations become is rewritten into fewer operators of the same bits:

    MatMul, Add                          -> Gemm
    Mul 1/4, Add 1/2, Clip to [0, 1]     -> HardSigmoid (the product by 1/4 is exact)

The bias of every Gemm is a row `[N]`, which is what quantisers and other runtimes expect.
"""

import contextlib
import logging
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import numpy.typing as npt

from vmaf_jax.export.contract import INPUT_NAME, MASK_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import write_onnx
from vmaf_jax.export.sidecar import Identity
from vmaf_jax.models import Deployed

if TYPE_CHECKING:
    import onnx

Constants = dict[str, npt.NDArray[np.generic]]


def export_onnx(
    deployed: Deployed, path: Path, identity: Identity, outputs: tuple[str, ...] = (OUTPUT_NAME,)
) -> Path:
    """Writes a student's clipped prediction as ONNX, checked against the contract.

    Args:
        identity: kept in the file's metadata, with our version.
        outputs: names of the results; an ensemble has two.

    Raises:
        InputError: the graph breaks the contract, or `path` cannot be written.
        GateError: it does not run alike at every level of graph optimisation.
    """
    from jax2onnx import to_onnx

    # It warns of values inside the graph whose type jax2onnx leaves open; runtimes infer it.
    logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)

    def predict(*inputs: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
        return deployed.predict(deployed.constants, *inputs)

    over_frames = identity.student.spec.over_frames
    n_features = len(identity.feature_set)
    # Networks over frames run as they were trained, by Flax's modules.
    with contextlib.nullcontext() if over_frames else _converters_of_jax():
        model: onnx.ModelProto = to_onnx(
            predict,
            inputs=[("N", "T", n_features), ("N", "T")] if over_frames else [("N", n_features)],
            model_name=identity.name,
            opset=OPSET,
            input_names=[INPUT_NAME, MASK_NAME] if over_frames else [INPUT_NAME],
            output_names=list(outputs),
        )
    fuse(model.graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    properties = {
        "name": identity.name,
        "version": metadata.version("vmaf-jax"),
        "feature_set": identity.feature_set.name,
        "features": ",".join(identity.feature_set),
        "training_sha256": identity.training.sha256,
        "quant_mode": "fp32",
    }
    return write_onnx(model, path, properties, over_frames=over_frames)


@contextlib.contextmanager
def _converters_of_jax() -> Iterator[None]:
    """While open, jax2onnx loads its converters of JAX's own operations alone.

    By itself it (0.17) also imports those of Flax, Equinox and dm_pix and all of its examples,
    which takes longer than the rest of an export. A version without these names loads all.
    """
    from jax2onnx.plugins import plugin_system

    loaded = getattr(plugin_system, "_already_imported_plugins", None)
    if loaded is not False or not hasattr(plugin_system, "_import_tree"):
        yield
        return
    folder = Path(plugin_system.__file__).parent / "jax"
    plugin_system._import_tree(folder, "jax2onnx.plugins.jax")
    plugin_system._already_imported_plugins = True
    try:
        yield
    finally:
        plugin_system._already_imported_plugins = False  # other callers get all of them


def fuse(graph: "onnx.GraphProto") -> None:
    """Rewrites `graph` in place; constants that no node reads any more are removed."""
    import onnx

    constants: Constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "MatMul" and _rank(constants, node.input[1]) == 2:
            chain = _sole_readers(graph, node, ["Add"])
            if chain and (bias := _constant_operand(chain[0], constants)) is not None:
                gemm = onnx.helper.make_node("Gemm", [*node.input, bias], chain[-1].output)
                _replace(graph, [node, *chain], gemm)
        elif node.op_type == "Mul" and _number_operand(node, constants) == 0.25:
            chain = _sole_readers(graph, node, ["Add", "Clip"])
            if (
                chain
                and _number_operand(chain[0], constants) == 0.5
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


def _sole_readers(
    graph: "onnx.GraphProto", node: "onnx.NodeProto", kinds: list[str]
) -> "list[onnx.NodeProto]":
    """Returns the nodes after `node` if they are of these kinds, each the sole reader of the last.

    Otherwise none.
    """
    chain: list[onnx.NodeProto] = []
    for kind in kinds:
        output = (chain or [node])[-1].output[0]
        readers = [reader for reader in graph.node if output in reader.input]
        if [reader.op_type for reader in readers] != [kind]:
            return []
        chain.append(readers[0])
    return chain


def _flatten_biases(graph: "onnx.GraphProto", constants: Constants) -> None:
    """Makes the bias of every Gemm one-dimensional.

    `[1, N]` is valid and gives the same sums, but ONNX Runtime's quantiser gives such a bias N
    scales along its axis of length 1, which only its fused kernels run.
    """
    import onnx

    for node in graph.node:
        if node.op_type != "Gemm" or len(node.input) < 3:
            continue
        bias = constants.get(node.input[2])
        if bias is not None and bias.ndim == 2 and bias.shape[0] == 1:
            name = f"{node.input[2]}_row"  # the constant may have other readers
            if name not in constants:
                constants[name] = bias[0]
                graph.initializer.append(onnx.numpy_helper.from_array(bias[0], name))
            node.input[2] = name


def _rank(constants: Constants, name: str) -> int | None:
    return constants[name].ndim if name in constants else None


def _constant_operand(node: "onnx.NodeProto", constants: Constants) -> str | None:
    return next((name for name in node.input if name in constants), None)


def _number_operand(node: "onnx.NodeProto", constants: Constants) -> float | None:
    """Returns the constant operand of a node where it is one number."""
    name = _constant_operand(node, constants)
    return constants[name].item() if name and constants[name].size == 1 else None


def _replace(graph: "onnx.GraphProto", nodes: "list[onnx.NodeProto]", by: "onnx.NodeProto") -> None:
    position = list(graph.node).index(nodes[0])
    for node in nodes:
        graph.node.remove(node)
    graph.node.insert(position, by)
