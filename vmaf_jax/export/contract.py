"""The ONNX contract: opset 17, raw features in, clipped scores out; checked on export and on load.

Input `features` float32 `[N, d]`, output `vmaf` float32 `[N]` in [0, 100]; the scaler is in the
graph. A model over the frames of clips takes `features` `[N, T, d]` and `mask` `[N, T]`. The file's
metadata names the feature set; a file without a name takes the plain one. An ensemble gives
`vmaf_std` `[N]` too. The contract for readers is in docs/onnx-contract.md.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.limits import limit, read_limited

Checked = TypeVar("Checked")
OPSET = 17
IR_VERSION = (
    8  # of what is written: the one that came with opset 17, which every runtime of it reads
)
MAX_IR_VERSION = 10  # of what is read: earlier exports have it
MAX_BYTES = 50_000_000
MAX_NODES = 20_000
MAX_VALUES = 4_000_000  # of one intermediate result, for two rows
# What makes values from a shape, or more of them than it takes.
_GROWING = ("ConstantOfShape", "Pad", "Expand", "Concat", "Gather")
INPUT_NAME, MASK_NAME, OUTPUT_NAME = "features", "mask", "vmaf"
SPREAD_NAME = "vmaf_std"  # an ensemble's second output

# What libvmaf-side loaders admit.
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
    return OnnxFile(content, feature_set, takes_clips(model), len(model.graph.output) > 1)


def read_onnx(path: Path, check: Callable[[Any, Path], Checked]) -> tuple[bytes, Any, Checked]:
    """A model file's bytes, the model, and what `check` made of it before ONNX's own checker ran.

    Raises:
        InputError: missing, too large, not ONNX, or refused by `check`.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.exists():
        raise InputError(f"{path}: no such model; check the name.")
    content = read_limited(path, "ONNX_BYTES", MAX_BYTES)
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


def takes_clips(model: Any) -> bool:
    """Whether a model takes the frames of clips, with a mask."""
    return any(tensor.name == MASK_NAME for tensor in model.graph.input)


def check_contract(model: Any, path: Path) -> FeatureSet:
    """The features that `model` takes; raises InputError, naming its first breach."""
    if [tensor.name for tensor in model.graph.input] == ["reference", "distorted", "previous"]:
        raise InputError(f"{path}: takes pictures, not features; score with --backend onnx.")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        _refuse(path, f"opset {opsets}, expected {OPSET} of the default domain alone")
    if not 3 <= model.ir_version <= MAX_IR_VERSION:
        _refuse(path, f"IR version {model.ir_version}, expected at most {MAX_IR_VERSION}")
    if model.functions:
        _refuse(path, "holds local functions")
    if len(model.graph.node) > (most := limit("ONNX_NODES", MAX_NODES)):
        _refuse(
            path, f"has {len(model.graph.node)} nodes, at most {most} (VMAF_JAX_MAX_ONNX_NODES)"
        )
    properties = {entry.key: entry.value for entry in model.metadata_props}
    feature_set = _feature_set(properties, path)
    _check_graph(model.graph, properties.get("quant_mode") == "dynamic", path)
    _check_tensors(model.graph, len(feature_set), path)
    _check_cost(model, path)
    return feature_set


def _refuse(path: Path, breach: str) -> None:
    raise InputError(f"{path}: {breach}; export it again with `vmaf-jax export`.")


def _feature_set(properties: dict[str, str], path: Path) -> FeatureSet:
    name = properties.get("feature_set", FEATURES.name)
    if name not in FEATURE_SETS:
        _refuse(path, f"takes the feature set {name!r}, expected one of {', '.join(FEATURE_SETS)}")
    expected = ",".join(FEATURE_SETS[name])
    if properties.get("features", expected) != expected:
        _refuse(path, f"takes the features {properties['features']}, expected {expected}")
    return FEATURE_SETS[name]


def _check_graph(graph: Any, dynamic: bool, path: Path) -> None:
    import onnx

    admitted = ADMITTED_OPERATORS | (DYNAMIC_OPERATORS if dynamic else frozenset())
    subgraph_kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    for node in graph.node:
        if node.domain or node.op_type not in admitted:
            _refuse(path, f"operator {node.domain or 'default'}:{node.op_type} is not admitted")
        if any(attribute.type in subgraph_kinds for attribute in node.attribute):
            _refuse(path, f"operator {node.op_type} holds a subgraph")
    if any(entry.data_location == onnx.TensorProto.EXTERNAL for entry in graph.initializer):
        _refuse(path, "keeps its weights in another file")


def _check_cost(model: Any, path: Path) -> None:
    """Refuses a graph in which a value is large, or may grow to any size, for two rows."""
    import onnx

    most = limit("ONNX_VALUES", MAX_VALUES)
    copy = type(model).FromString(model.SerializeToString())
    del copy.graph.value_info[:]
    for tensor in copy.graph.input:  # two rows, or two clips of two frames
        for axis in tensor.type.tensor_type.shape.dim:
            axis.dim_value = axis.dim_value or 2
    for tensor in copy.graph.output:
        tensor.type.tensor_type.shape.dim[0].Clear()
    graph = onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True).graph
    sizes: dict[str, int | None] = {}
    for value in (*graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        is_static = all(dim.HasField("dim_value") for dim in dims)
        sizes[value.name] = math.prod(dim.dim_value for dim in dims) if is_static else None
    for node in model.graph.node:
        for name in node.output:
            size = sizes.get(name)
            if size is None and node.op_type in _GROWING:
                _refuse(path, f"operator {node.op_type} makes a value whose size cannot be told")
            if size is not None and size > most:
                _refuse(
                    path,
                    f"operator {node.op_type} makes {size} values of two rows, at most {most} "
                    f"(VMAF_JAX_MAX_ONNX_VALUES)",
                )


def _check_tensors(graph: Any, n_features: int, path: Path) -> None:
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
