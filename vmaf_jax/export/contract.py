"""The ONNX contract: opset 17, raw features in, clipped scores out; checked on export and on load.

Input `features` float32 `[N, d]`, output `vmaf` float32 `[N]` in [0, 100]; the scaler is in the
graph. A model over the frames of clips takes `features` `[N, T, d]` and `mask` `[N, T]`. The file's
metadata names the feature set; a file without a name takes the plain one. An ensemble gives
`vmaf_std` `[N]` too. The contract for readers is in docs/onnx-contract.md.
"""

import dataclasses
import math
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.files import limit, read_limited

if TYPE_CHECKING:
    import onnx

Checked = TypeVar("Checked")
OPSET = 17
# Of what is written: the one that came with opset 17; ONNX Runtime 1.17 and older read no later.
IR_VERSION = 8
MAX_IR_VERSION = 10  # of what is read
MAX_BYTES = 50_000_000
MAX_NODES = 20_000
MAX_VALUES = 4_000_000  # held at once, for two rows
MAX_OPERATIONS = 100_000_000  # multiplications or other steps, for two rows; `tiny` takes 70,000
# Operators that make values from a shape, or more of them than they take.
_GROWING = ("ConstantOfShape", "Pad", "Expand", "Concat", "Gather")
INPUT_NAME, MASK_NAME, OUTPUT_NAME = "features", "mask", "vmaf"
SPREAD_NAME = "vmaf_std"  # an ensemble's second output

# The operators that libvmaf-side loaders admit.
ADMITTED_OPERATORS = frozenset(
    """
    Identity Reshape Flatten Squeeze Unsqueeze Transpose Concat Slice Gather Cast Shape Expand
    Add Sub Mul Div Neg Abs Sqrt Pow Exp Log Clip Min Max Sum Mean ReduceMean ReduceSum ReduceMax
    ReduceMin Gemm MatMul Relu LeakyRelu Sigmoid Tanh Softmax Elu Selu Softplus Softsign Gelu Erf
    HardSigmoid HardSwish Dropout QuantizeLinear DequantizeLinear Constant ConstantOfShape Pad
    Reciprocal
    """.split()  # noqa: SIM905 (a list of 51 strings reads worse)
)

# Only ONNX Runtime runs these; files that hold them say `quant_mode: dynamic` in their metadata.
DYNAMIC_OPERATORS = frozenset({"DynamicQuantizeLinear", "MatMulInteger"})


@dataclasses.dataclass(frozen=True)
class OnnxFile:
    """A model file that keeps the contract.

    Attributes:
        content: its bytes.
        feature_set: the features that it takes.
        over_frames: whether it takes clips, with a mask of their frames.
        has_spread: whether it is an ensemble, which gives `vmaf_std` too.
    """

    content: bytes
    feature_set: FeatureSet
    over_frames: bool = False
    has_spread: bool = False


def load_onnx(path: Path) -> OnnxFile:
    """Reads a model file and checks it against the contract.

    Raises:
        InputError: missing, too large, not ONNX, or outside the contract.
    """
    content, model, feature_set = read_onnx(path, check_contract)
    over_frames = any(tensor.name == MASK_NAME for tensor in model.graph.input)
    return OnnxFile(content, feature_set, over_frames, len(model.graph.output) > 1)


def read_onnx(
    path: Path, check: Callable[["onnx.ModelProto", Path], Checked]
) -> tuple[bytes, "onnx.ModelProto", Checked]:
    """Reads a model file and checks it; returns its bytes, the model, and what `check` returns.

    Args:
        check: runs before ONNX's own checker, whose cost a hostile graph could drive up.

    Raises:
        InputError: missing, too large, not ONNX, or refused by `check`.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.exists():
        raise InputError(f"{path}: no such model; check the name.")
    content = read_limited(path, "ONNX_BYTES", MAX_BYTES)
    if not content:  # a valid message without fields
        raise InputError(f"{path}: empty file; export it again.")
    try:
        model = onnx.load_model_from_string(content)
        checked = check(model, path)
        onnx.checker.check_model(model, full_check=True)
    except (
        DecodeError,
        UnicodeDecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "damaged"
        raise InputError(f"{path}: not a valid ONNX model ({reason}); export it again.") from error
    return content, model, checked


def check_contract(model: "onnx.ModelProto", path: Path) -> FeatureSet:
    """Returns the features that `model` takes; raises InputError, naming its first breach."""
    if [tensor.name for tensor in model.graph.input] == ["reference", "distorted", "previous"]:
        raise InputError(f"{path}: takes pictures, not features; score with --backend onnx.")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        _refuse(path, f"opset {opsets}, expected {OPSET} of the default domain alone")
    if not 3 <= model.ir_version <= MAX_IR_VERSION:
        _refuse(
            path,
            f"IR version {model.ir_version}, expected at most {MAX_IR_VERSION} (docs/traps.md)",
        )
    if model.functions:
        _refuse(path, "holds local functions")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    feature_set = read_feature_set(properties, path)
    is_dynamic = properties.get("quant_mode") == "dynamic"
    admitted = ADMITTED_OPERATORS | (DYNAMIC_OPERATORS if is_dynamic else frozenset())
    check_operators(model.graph, admitted, path)
    _check_tensors(model.graph, len(feature_set), path)
    check_cost(model, row_budget(), path)
    return feature_set


def _refuse(path: Path, breach: str) -> NoReturn:
    raise InputError(f"{path}: {breach}; export it again with `vmaf-jax export`.")


def read_feature_set(properties: dict[str, str], path: Path) -> FeatureSet:
    """Returns the feature set that a file's metadata names; the plain one where it names none.

    Raises:
        InputError: it is not a known one, or names other features.
    """
    name = properties.get("feature_set", FEATURES.name)
    if name not in FEATURE_SETS:
        _refuse(path, f"takes the feature set {name!r}, expected one of {', '.join(FEATURE_SETS)}")
    expected = ",".join(FEATURE_SETS[name])
    if properties.get("features", expected) != expected:
        _refuse(path, f"takes the features {properties['features']}, expected {expected}")
    return FEATURE_SETS[name]


def check_operators(graph: "onnx.GraphProto", admitted: frozenset[str], path: Path) -> None:
    """Refuses operators outside `admitted`, subgraphs, and weights in other files.

    Raises:
        InputError: the first of them.
    """
    import onnx

    if len(graph.node) > (most := limit("ONNX_NODES", MAX_NODES)):
        _refuse(path, f"has {len(graph.node)} nodes, at most {most} (VMAF_JAX_MAX_ONNX_NODES)")
    subgraph_kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.domain or node.op_type not in admitted:
            _refuse(path, f"operator {node.domain or 'default'}:{node.op_type} is not admitted")
        if any(attribute.type in subgraph_kinds for attribute in node.attribute):
            _refuse(path, f"operator {node.op_type} holds a subgraph")
        tensors += [attribute.t for attribute in node.attribute if attribute.HasField("t")]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        _refuse(path, "keeps its weights in another file")
    if graph.sparse_initializer:
        _refuse(path, "holds sparse weights")


@dataclasses.dataclass(frozen=True)
class Budget:
    """The most that a graph may take for two rows, or two frames.

    Attributes:
        values: numbers that it holds at once, in the order in which its nodes are written.
        operations: multiplications, or other steps.
    """

    values: int
    operations: int


def row_budget() -> Budget:
    """Returns the budget of a graph over features, which the environment can raise."""
    return Budget(limit("ONNX_VALUES", MAX_VALUES), limit("ONNX_OPERATIONS", MAX_OPERATIONS))


Shape = tuple[int, ...]


def value_shapes(model: "onnx.ModelProto") -> dict[str, Shape | None]:
    """Infers the shape of every value for two rows (clips, frames); None where it is unknown."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for tensor in copy.graph.input:  # two rows, or two clips of two frames
        for axis in tensor.type.tensor_type.shape.dim:
            axis.dim_value = axis.dim_value or 2
    for tensor in copy.graph.output:  # as it is, not as it is declared
        for axis in tensor.type.tensor_type.shape.dim:
            axis.Clear()
    graph = onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True).graph
    shapes: dict[str, Shape | None] = {t.name: tuple(t.dims) for t in copy.graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        is_static = value.type.HasField("tensor_type") and all(
            dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims
        )
        shapes[value.name] = tuple(dim.dim_value for dim in dims) if is_static else None
    return shapes


def check_cost(
    model: "onnx.ModelProto", budget: Budget, path: Path, *, growing: Container[str] = _GROWING
) -> None:
    """Refuses a graph that takes more than its budget, or whose cost cannot be inferred.

    Args:
        growing: operators whose results must have a known size.

    Raises:
        InputError: it names the operator at which the budget is passed.
    """
    import onnx

    onnx.checker.check_model(model)  # every operator has the inputs and attributes that it needs
    shapes = value_shapes(model)
    nodes = list(model.graph.node)
    last_read = {name: k for k, node in enumerate(nodes) for name in node.input}
    made: set[str] = set()
    held = operations = 0
    for k, node in enumerate(nodes):
        outputs = [shapes.get(name) for name in node.output if name]
        if None in outputs and node.op_type in growing:
            _refuse(path, f"operator {node.op_type} makes a value of unknown size")
        held += sum(math.prod(shape) for shape in outputs if shape is not None)
        steps, scratch = _work(node, shapes)
        operations += steps
        for figure, most, what, name in (
            (held + scratch, budget.values, "values are held at once", "VALUES"),
            (operations, budget.operations, "operations are done", "OPERATIONS"),
        ):
            if figure > most:
                _refuse(
                    path,
                    f"at operator {node.op_type} {figure} {what} for two rows, at most {most} "
                    f"(VMAF_JAX_MAX_ONNX_{name})",
                )
        made.update(node.output)
        for name in set(node.input) & made:
            if last_read[name] == k:
                held -= math.prod(shapes.get(name) or (0,))


def _work(node: "onnx.NodeProto", shapes: dict[str, Shape | None]) -> tuple[int, int]:
    """Returns the operations that a node takes, and the values it holds besides its results."""
    reads = [shapes.get(name) or (0,) for name in node.input]
    makes = shapes.get(node.output[0]) or (0,)
    size = math.prod(makes)
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Conv":
        taps = math.prod(reads[1][1:])
        # Runtimes lay all windows side by side, once for all output channels, and multiply.
        return size * taps, size // max(1, math.prod(reads[1][:1])) * taps
    if node.op_type == "AveragePool":
        return size * math.prod(attributes["kernel_shape"].ints), 0
    if node.op_type in ("MatMul", "MatMulInteger", "Gemm"):
        by_rows = "transA" in attributes and attributes["transA"].i
        return size * math.prod(reads[0][:1] if by_rows else reads[0][-1:]), 0
    return max(size, *map(math.prod, reads)) if reads else size, 0


def _check_tensors(graph: "onnx.GraphProto", n_features: int, path: Path) -> None:
    import onnx

    names = [tensor.name for tensor in (*graph.input, *graph.output)]
    ranks = {
        (INPUT_NAME, OUTPUT_NAME): (2, 1),
        (INPUT_NAME, OUTPUT_NAME, SPREAD_NAME): (2, 1, 1),
        (INPUT_NAME, MASK_NAME, OUTPUT_NAME): (3, 2, 1),
    }
    if tuple(names) not in ranks:
        _refuse(path, f"tensors are not named {INPUT_NAME} (and {MASK_NAME}) and {OUTPUT_NAME}")
    values = (*graph.input, *graph.output)
    for value, rank in zip(values, ranks[tuple(names)], strict=True):
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT or len(tensor.shape.dim) != rank:
            _refuse(path, f"{value.name} is not float32 of rank {rank}")
        free = tensor.shape.dim[:-1] if value.name == INPUT_NAME else tensor.shape.dim
        if not all(axis.dim_param for axis in free):
            _refuse(path, f"{value.name} has a fixed number of rows")
    width = graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    if width != n_features:
        _refuse(path, f"{INPUT_NAME} has {width} columns, expected {n_features}")
