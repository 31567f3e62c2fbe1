"""A student as an ONNX file: opset 17, raw features in, clipped scores out.

Input `features` float32 `[N, 6]`, output `vmaf` float32 `[N]` in [0, 100]; the scaler is in the
graph. The contract is in docs/onnx-contract.md and checked on every export and load.
"""

from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.export.fusion import fuse
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.files import write_bytes
from vmaf_jax.models import Deployed
from vmaf_jax.models.heads import OUTPUT_RANGE

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


def export_onnx(
    deployed: Deployed, path: Path, *, name: str, feature_set: FeatureSet, digest: str
) -> Path:
    """Writes a student's clipped prediction as ONNX, checked against the contract.

    Args:
        name: the model's, kept in the file's metadata with our version and the features' order.
        digest: of its training, kept beside them.
    Raises:
        InputError: the graph breaks the contract, or `path` cannot be written.
    """
    import onnx
    from jax2onnx import to_onnx

    def predict(features: jax.Array) -> jax.Array:
        return deployed.predict(deployed.constants, features)

    model = to_onnx(
        predict,
        inputs=[("N", len(feature_set))],
        model_name=name,
        opset=OPSET,
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
    )
    fuse(model.graph)
    model.producer_name = "vmaf-jax"
    model.producer_version = metadata.version("vmaf-jax")
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    properties = {
        "name": name,
        "version": metadata.version("vmaf-jax"),
        "features": ",".join(feature_set),
        "training_sha256": digest,
        "quant_mode": "fp32",
    }
    onnx.helper.set_model_props(model, properties)
    check_contract(model, path)
    write_bytes(path, model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path), full_check=True)
    return path


def load_onnx(path: Path) -> bytes:
    """The bytes of a model file, checked against the contract.

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
        check_contract(model, path)
        onnx.checker.check_model(model, full_check=True)
    except (
        DecodeError,
        UnicodeDecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "damaged"
        raise InputError(f"{path}: not a valid ONNX model ({reason}); export it again.") from error
    return content


def check_contract(model: Any, path: Path) -> None:
    """Raises InputError, naming the first breach, unless `model` keeps the ONNX contract."""
    import onnx

    def refuse(what: str) -> None:
        raise InputError(f"{path}: {what}; export it again with `vmaf-jax export`.")

    opsets = {each.domain: each.version for each in model.opset_import}
    if opsets != {"": OPSET}:
        refuse(f"opset {opsets}, expected {OPSET} of the default domain alone")
    if not 3 <= model.ir_version <= MAX_IR_VERSION:
        refuse(f"IR version {model.ir_version}, expected at most {MAX_IR_VERSION}")
    if model.functions:
        refuse("holds local functions")
    properties = {each.key: each.value for each in model.metadata_props}
    dynamic = properties.get("quant_mode") == "dynamic"
    admitted = ADMITTED_OPERATORS | (DYNAMIC_OPERATORS if dynamic else frozenset())
    if "features" in properties and properties["features"] != ",".join(FEATURES):
        refuse(f"takes the features {properties['features']}, expected {','.join(FEATURES)}")
    for node in model.graph.node:
        if node.domain or node.op_type not in admitted:
            refuse(f"operator {node.domain or 'default'}:{node.op_type} is not admitted")
        subgraph_kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        if any(attribute.type in subgraph_kinds for attribute in node.attribute):
            refuse(f"operator {node.op_type} holds a subgraph")
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in model.graph.initializer):
        refuse("keeps its weights in another file")
    inputs = list(model.graph.input)
    outputs = list(model.graph.output)
    if [i.name for i in inputs] != [INPUT_NAME] or [o.name for o in outputs] != [OUTPUT_NAME]:
        refuse(f"tensors are not named {INPUT_NAME} and {OUTPUT_NAME}")
    for value, rank in ((inputs[0], 2), (outputs[0], 1)):
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT or len(tensor.shape.dim) != rank:
            refuse(f"{value.name} is not float32 of rank {rank}")
        if not tensor.shape.dim[0].dim_param:
            refuse(f"{value.name} has a fixed number of rows")
    width = inputs[0].type.tensor_type.shape.dim[1].dim_value
    if width != len(FEATURES):
        refuse(f"{INPUT_NAME} has {width} columns, expected {len(FEATURES)}")


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises, by its own names."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "RuntimeException")
    return (*(getattr(state, kind) for kind in kinds), state.NotImplemented, MemoryError)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class OnnxModel:
    """An ONNX student in ONNX Runtime (CPU), called with features `[n, d]`."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        """Loads and checks `path`; `threads` 0 leaves the number to ONNX Runtime."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.path = path
        try:
            self.session = onnxruntime.InferenceSession(
                load_onnx(path), options, providers=["CPUExecutionProvider"]
            )
        except _runtime_errors() as error:
            raise InputError(f"{path}: ONNX Runtime refuses it ({_first_line(error)}).") from error

    def __call__(self, features: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Scores `[n]` in VMAF points, clipped to 0-100."""
        x = np.ascontiguousarray(features, dtype=np.float32)
        try:
            (scores,) = self.session.run([OUTPUT_NAME], {INPUT_NAME: x})
        except _runtime_errors() as error:
            raise InputError(f"{self.path}: ONNX Runtime fails ({_first_line(error)}).") from error
        low, high = OUTPUT_RANGE
        found = np.asarray(scores)
        if found.shape != (len(x),) or not ((found >= low) & (found <= high)).all():
            raise InputError(
                f"{self.path}: gives scores of shape {found.shape} that are not all in "
                f"[{low:g}, {high:g}]; export it again."
            )
        return found

    def in_batches(self, features: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
        """The same, `size` rows at a time; the last batch may be shorter."""
        parts = [self(features[k : k + size]) for k in range(0, len(features), size)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)
