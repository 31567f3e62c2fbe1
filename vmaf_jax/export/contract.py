"""The ONNX contract: opset 17, raw features in, clipped scores out; checked on export and on load.

Input `features` float32 `[N, d]`, output `vmaf` float32 `[N]` in [0, 100]; the scaler is in the
graph. The file's metadata names the feature set; a file without a name takes the plain one. The
contract for readers is in docs/onnx-contract.md.
"""

import dataclasses
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet

OPSET = 17
MAX_IR_VERSION = 10
MAX_BYTES = 50_000_000
INPUT_NAME, OUTPUT_NAME = "features", "vmaf"

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
    """A model file that keeps the contract: its bytes, and the features that it takes."""

    content: bytes
    feature_set: FeatureSet


def load_onnx(path: Path) -> OnnxFile:
    """Reads a model file and checks it against the contract.

    Raises:
        InputError: missing, too large, not ONNX, or outside the contract.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise InputError(f"{path}: no such model; check the name.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES // 10**6} MB; no student is.")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
        feature_set = check_contract(model, path)
        onnx.checker.check_model(model, full_check=True)
    except (
        DecodeError,
        UnicodeDecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "damaged"
        raise InputError(f"{path}: not a valid ONNX model ({reason}); export it again.") from error
    return OnnxFile(content, feature_set)


def check_contract(model: Any, path: Path) -> FeatureSet:
    """The features that `model` takes; raises InputError, naming its first breach."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        _refuse(path, f"opset {opsets}, expected {OPSET} of the default domain alone")
    if not 3 <= model.ir_version <= MAX_IR_VERSION:
        _refuse(path, f"IR version {model.ir_version}, expected at most {MAX_IR_VERSION}")
    if model.functions:
        _refuse(path, "holds local functions")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    feature_set = _feature_set(properties, path)
    _check_graph(model.graph, properties.get("quant_mode") == "dynamic", path)
    _check_tensors(model.graph, len(feature_set), path)
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


def _check_tensors(graph: Any, n_features: int, path: Path) -> None:
    import onnx

    names = [tensor.name for tensor in (*graph.input, *graph.output)]
    if names != [INPUT_NAME, OUTPUT_NAME]:
        _refuse(path, f"tensors are not named {INPUT_NAME} and {OUTPUT_NAME}")
    for value, rank in ((graph.input[0], 2), (graph.output[0], 1)):
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT or len(tensor.shape.dim) != rank:
            _refuse(path, f"{value.name} is not float32 of rank {rank}")
        if not tensor.shape.dim[0].dim_param:
            _refuse(path, f"{value.name} has a fixed number of rows")
    width = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    if width != n_features:
        _refuse(path, f"{INPUT_NAME} has {width} columns, expected {n_features}")
