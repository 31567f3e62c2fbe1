"""Models as ONNX files that keep the contract: deployed students, and VMAF's own models.

The graph that JAX's operations become is rewritten into fewer operators of the same bits:

    MatMul, Add                          -> Gemm
    Mul 1/4, Add 1/2, Clip to [0, 1]     -> HardSigmoid (the product by 1/4 is exact)

The bias of every Gemm is a row `[N]`, which is what quantisers and other runtimes expect.

VMAF's own SVR, and models on a curve to votes, are written operator by operator. Such a file gives
what the model gives, limited to the contract's 0-100: `vmaf_v1.0.16_3d0h_2160`, which itself
reaches 110, stops at 100 here. It is compared with the model in float64.

libvmaf's score transform takes 2 to 10 knots, between which it is linear; beyond them its first and
last piece go on. libvmaf 2.3 to that of ffmpeg 9 load these; with more they refuse the model.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError
from vmaf_jax.evaluation.title_process import KNOTS, VoteCurve
from vmaf_jax.export.contract import (
    INPUT_NAME,
    MASK_NAME,
    OPSET,
    OUTPUT_NAME,
    check_contract,
    read_onnx,
)
from vmaf_jax.export.onnx_runtime import OnnxModel, write_onnx
from vmaf_jax.export.pixels.graph import Graph, map_by_knots, student_head, teacher_head
from vmaf_jax.export.sidecar import Identity
from vmaf_jax.features.feature_set import FEATURES, OUTPUT_RANGE, FeatureSet
from vmaf_jax.files import write_text
from vmaf_jax.models import Deployed
from vmaf_jax.teacher import Teacher

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
