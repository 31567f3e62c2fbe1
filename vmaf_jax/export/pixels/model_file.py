"""A whole pixels model: pictures in, features and score out, and what its file promises.

Inputs `reference`, `distorted` and `previous`, `[N, H, W]`, luma on the 8-bit scale, float32 (10
bits are quarters) or uint8; `previous` is the reference's frame before, and at a clip's start the
frame itself. Outputs `features` `[N, 6]`, whose last is motion, and `vmaf` `[N]` of those. H and W
are fixed: blocks, borders and masks follow from them, and a graph that computed those would need
what runtimes run slowly or not at all. Writing one for another size takes a second.
"""

import dataclasses
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import (
    INPUT_NAME,
    IR_VERSION,
    MAX_BYTES,
    MAX_IR_VERSION,
    OPSET,
    OUTPUT_NAME,
    Budget,
    check_cost,
    check_operators,
    read_feature_set,
    read_onnx,
    row_budget,
    value_shapes,
)
from vmaf_jax.export.pixels.features import frame_features
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.features.feature_set import MIN_SIZE, FeatureSet
from vmaf_jax.files import limit

if TYPE_CHECKING:
    import onnx

PICTURES = ("reference", "distorted", "previous")
SAMPLES = ("float32", "uint8")
MAX_SIDE = 16_384  # pixels
HEAD_ROWS = 1024  # features that the head takes at once; ours hold some 5,000 values for two
_HEAD_SHARE = 16  # what it may hold is a part of a student's, which is for a few rows: 512 MB
# For each sample of a picture; ours hold 11 values at once and take 670 operations.
_HELD_VALUES, _SAMPLE_OPERATIONS, _MARGIN = 32, 3000, 64
ADMITTED_OPERATORS = frozenset(
    """
    Abs Add And AveragePool Cast Clip Concat Conv DepthToSpace Div Exp Gemm GreaterOrEqual
    HardSigmoid Identity Log MatMul Max Min Mul Neg Pad Pow ReduceMean ReduceSum Relu Reshape
    Sigmoid Slice Softmax Softplus Split Squeeze Sub Sum Tanh Transpose Unsqueeze Sqrt ReduceMax
    Reciprocal
    """.split()  # noqa: SIM905
)

Head = Callable[[Graph, Value], Value]


@dataclasses.dataclass(frozen=True)
class Frame:
    """Pictures that a model takes: their size in pixels, and the type of their samples."""

    width: int
    height: int
    samples: str = "float32"

    def check(self) -> None:
        """Raises InputError unless a model can be made for such pictures."""
        if not MIN_SIZE <= min(self.width, self.height) <= max(self.width, self.height) <= MAX_SIDE:
            raise InputError(
                f"--size {self.width}x{self.height}: expected {MIN_SIZE} to {MAX_SIDE} pixels each "
                f"way."
            )
        if self.samples not in SAMPLES:
            raise InputError(f"--samples {self.samples}: expected {' or '.join(SAMPLES)}.")


def parse_size(text: str | None) -> tuple[int, int]:
    """Returns width and height from `WxH`, such as `1920x1080`.

    Raises:
        InputError: missing, or written otherwise.
    """
    width, by, height = (text or "").lower().partition("x")
    numerals = all(part.isascii() and part.isdigit() and len(part) < 6 for part in (width, height))
    if not by or not numerals:
        raise InputError(f"--size {text or '(missing)'}: expected WxH in pixels, as 1920x1080.")
    return int(width), int(height)


def pixels_model(
    head: Head, feature_set: FeatureSet, frame: Frame, properties: Mapping[str, str]
) -> "onnx.ModelProto":
    """Writes a pixels model as an ONNX message.

    Args:
        head: writes the score of features into a graph.
        feature_set: the features that the head takes; its gain limit is in the graph.
        properties: for the file's metadata, beside those that every pixels model has.

    Raises:
        InputError: the pictures are too small or too large.
    """
    import onnx

    frame.check()
    graph = Graph()
    shape = (None, frame.height, frame.width)
    pictures = [graph.input(name, shape, frame.samples) for name in PICTURES]
    if frame.samples != "float32":
        pictures = [picture.to_float() for picture in pictures]
    reference, distorted, previous = pictures
    size = frame.height, frame.width
    rows = frame_features(reference, distorted, previous, size, feature_set.gain_limit)
    rows = graph.output(INPUT_NAME, rows, (None, len(feature_set)))
    graph.output(OUTPUT_NAME, head(graph, rows), (None,))
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(
        graph.to_onnx("vmaf_from_pixels"), opset_imports=[opset], ir_version=IR_VERSION
    )
    model.producer_name = "vmaf-jax"
    model.producer_version = metadata.version("vmaf-jax")
    onnx.helper.set_model_props(model, {**properties, **_own_properties(feature_set, frame)})
    return model


def _own_properties(feature_set: FeatureSet, frame: Frame) -> dict[str, str]:
    return {
        "version": metadata.version("vmaf-jax"),
        "kind": "pixels",
        "feature_set": feature_set.name,
        "features": ",".join(feature_set),
        "outputs": ",".join((*feature_set.names[:-1], "motion")),
        "width": str(frame.width),
        "height": str(frame.height),
        "samples": frame.samples,
        "quant_mode": "fp32",
    }


@dataclasses.dataclass(frozen=True)
class PixelsFile:
    """A pixels model that keeps the contract: its features and the pictures that it takes."""

    model: "onnx.ModelProto"
    feature_set: FeatureSet
    frame: Frame

    @property
    def name(self) -> str:
        """Name of the model in its metadata."""
        return _properties(self.model).get("name", "pixels")


def is_pixels(path: Path) -> bool:
    """Returns whether a file is an ONNX model of pictures, by the names of its inputs alone."""
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file() or path.stat().st_size > limit("ONNX_BYTES", MAX_BYTES):
        return False
    try:
        graph = onnx.load_model_from_string(path.read_bytes()).graph
    except (DecodeError, UnicodeDecodeError):
        return False
    return tuple(tensor.name for tensor in graph.input) == PICTURES


def read_pixels(path: Path) -> PixelsFile:
    """Reads a pixels model and holds it against the contract.

    Raises:
        InputError: missing, too large, not ONNX, or outside the contract.
    """
    return read_onnx(path, check_pixels)[2]


def check_pixels(model: "onnx.ModelProto", path: Path) -> PixelsFile:
    """Holds a model against the contract; raises InputError, naming its first breach."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET} or not 3 <= model.ir_version <= MAX_IR_VERSION:
        _refuse(path, f"opset {opsets} and IR version {model.ir_version} are not supported")
    if model.functions:
        _refuse(path, "holds local functions")
    check_operators(model.graph, ADMITTED_OPERATORS, path)
    feature_set = read_feature_set(_properties(model), path)
    if feature_set.planes > 1:
        _refuse(path, f"takes the feature set {feature_set.name}, which is not of luma alone")
    frame = _frame(model.graph, path)
    check_cost(model, _frame_budget(frame), path, growing=ADMITTED_OPERATORS)
    rows = row_budget()
    head = dataclasses.replace(rows, values=rows.values // _HEAD_SHARE)
    check_cost(head_model(model), head, path)
    shapes = value_shapes(model)
    for name, shape in ((INPUT_NAME, (2, len(feature_set))), (OUTPUT_NAME, (2,))):
        if shapes[name] != shape:
            _refuse(path, f"{name} has shape {shapes[name]} for two frames, expected {shape}")
    return PixelsFile(model, feature_set, frame)


def _frame_budget(frame: Frame) -> Budget:
    """Returns the limits of a graph from pictures, of which exported ones take a fraction.

    The margin is for small pictures, which are mostly the mirrored samples around them.
    """
    samples = 2 * (frame.width + _MARGIN) * (frame.height + _MARGIN)
    rows = row_budget()
    return Budget(
        rows.values + _HELD_VALUES * samples, rows.operations + _SAMPLE_OPERATIONS * samples
    )


def feature_part(model: "onnx.ModelProto") -> bytes:
    """Returns the nodes of a pixels model up to its features, and the constants they read."""
    parts, read = [], set()
    for node in model.graph.node:
        parts.append(node.SerializeToString(deterministic=True))
        read.update(node.input)
        if INPUT_NAME in node.output:
            break
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in read}
    parts += [constants[name].SerializeToString(deterministic=True) for name in sorted(constants)]
    return b"".join(parts)


def head_model(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Returns the part of a pixels model from its features to the score, as a model."""
    import onnx

    makers = {name: node for node in model.graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [OUTPUT_NAME]
    while waiting:
        name = waiting.pop()
        if name in needed or name == INPUT_NAME:
            continue
        needed.add(name)
        waiting += makers[name].input if name in makers else []
    graph = onnx.helper.make_graph(
        [node for node in model.graph.node if needed.intersection(node.output)],
        "head",
        [tensor for tensor in model.graph.output if tensor.name == INPUT_NAME],
        [tensor for tensor in model.graph.output if tensor.name == OUTPUT_NAME],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return onnx.helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version
    )


def _properties(model: "onnx.ModelProto") -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _frame(graph: "onnx.GraphProto", path: Path) -> Frame:
    import onnx

    named = tuple(tensor.name for tensor in (*graph.input, *graph.output))
    if named != (*PICTURES, INPUT_NAME, OUTPUT_NAME):
        _refuse(path, f"is no pixels model; its tensors are {', '.join(named)}")
    kinds = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
    frames = set()
    for tensor in graph.input:
        kind, axes = tensor.type.tensor_type.elem_type, tensor.type.tensor_type.shape.dim
        if kind not in kinds or len(axes) != 3 or not axes[0].dim_param:
            _refuse(path, f"{tensor.name} is not [N, H, W] of float32 or uint8")
        frames.add(Frame(axes[2].dim_value, axes[1].dim_value, kinds[kind]))
    if len(frames) > 1:
        _refuse(path, "takes pictures of several sizes or types")
    (frame,) = frames
    frame.check()
    return frame


def _refuse(path: Path, breach: str) -> NoReturn:
    raise InputError(f"{path}: {breach}; export it again with `--format pixels`.")
