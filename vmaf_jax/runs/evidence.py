"""The evidence for what a sidecar says: its model's graph, and the other files of its run folder.

A network is known by the shapes of the constants of its products and, where it has a choice, by the
operator of its activation. From the same shapes follows the number of parameters that were trained.
Of an ensemble each member is looked for.

Figures of the training follow from the saved predictions, the configuration's digest from its file,
and the number of parameters from the checkpoint's shapes. A file that a folder does not have tells
nothing: predictions of people's votes are not shipped. Loads no JAX.
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import OVER_FRAMES
from vmaf_jax.evaluation.conformal import MAX_CLIPS, ConformalProfile, pool_held_out
from vmaf_jax.evaluation.cross_validation import HeldOut, read_predictions
from vmaf_jax.evaluation.metrics import Metrics, all_metrics
from vmaf_jax.export.contract import MASK_NAME
from vmaf_jax.export.sidecar import Architecture, Sidecar, TrainingMetrics
from vmaf_jax.files import (
    MAX_YAML_BYTES,
    check_json_keys,
    holds_plain_files,
    read_limited,
    read_yaml,
)
from vmaf_jax.models.sizes import BINS, HIDDEN_LAYERS, N_CHANNELS, N_COLUMNS, RBF_UNITS

if TYPE_CHECKING:
    import onnx

# The files of a run that are exported under these names; another file beside them is no run's.
RUN_FILES = ("model.onnx", "model.int8.onnx")
_SAME = 1e-6  # of a figure: sums of another machine; calibrations have six decimals
_MAX_METRICS_BYTES, _MAX_SHAPE_BYTES = 64 << 20, 1 << 16

Shape = tuple[int, int]
_PRODUCTS = ("Gemm", "MatMul", "MatMulInteger")
# The operator that each activation of a perceptron becomes; `gelu` is the one whose Tanh follows a
# product of numbers.
GATES = {
    "silu": "Sigmoid",
    "relu": "Relu",
    "gelu": "Tanh of Mul",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "elu": "Elu",
    "hard_gate": "HardSigmoid",
}
_HEADS = {"scalar": 1, "distribution": len(BINS)}  # and their outputs


class _Layout(NamedTuple):
    """What a network leaves in a graph.

    Attributes:
        products: shapes of the constants of its products.
        gates: operators of its activation, one a hidden layer.
        n_params: trained parameters behind them.
    """

    products: list[Shape]
    gates: list[str]
    n_params: int


def check_architecture(sidecar: Sidecar, model: "onnx.ModelProto", path: Path) -> None:
    """Compares `arch`, `members` and `n_params` of a complete sidecar with its model file.

    Args:
        path: the sidecar, for messages.

    Raises:
        InputError: the graph is of another architecture, or of another number of parameters.
    """
    if sidecar.arch is None:
        _refuse(path, "has no arch")
    named = [member.arch for member in sidecar.members or ()] or [sidecar.arch]
    if named[0] != sidecar.arch:
        _refuse(path, "arch is not that of the first of its members")
    constants, d = _shapes(model.graph), len(sidecar.features)
    vectors = next((shape[0] for shape in constants.values() if shape[1] == d), 0)
    layouts = [_layout(arch, d, vectors, path) for arch in named]
    products, gates = _products(model.graph, constants), _gates(model.graph, constants)
    expected = [shape for layout in layouts for shape in layout.products]
    words = ", ".join(arch.network for arch in named)
    if sorted(products) != sorted(expected):
        _refuse(path, f"arch is {words}, whose products are {expected}; the file's are {products}")
    of_perceptrons = Counter(gate for layout in layouts for gate in layout.gates)
    if of_perceptrons and of_perceptrons != gates:
        _refuse(
            path,
            f"arch.activation gives {_words(of_perceptrons)}; the file has {_words(gates)}",
        )
    over_frames = any(tensor.name == MASK_NAME for tensor in model.graph.input)
    if over_frames != any(arch.network == "attention" for arch in named):
        _refuse(path, f"arch is {words}, and the file takes {'clips' if over_frames else 'frames'}")
    n_params = sum(layout.n_params for layout in layouts)
    # The gain of viewing distance is in no graph; only of the first member is it known.
    gains = 0 if sidecar.distance is None else len(named)
    if not n_params + min(gains, 1) <= (sidecar.n_params or 0) <= n_params + gains:
        _refuse(
            path, f"n_params is {sidecar.n_params}, of the file it is {n_params + min(gains, 1)}"
        )


def check_origin(sidecar: Sidecar, model: "onnx.ModelProto", path: Path) -> None:
    """Compares the digest of configuration and corpora in a sidecar with that in its model file.

    Raises:
        InputError: the file was made by another training.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    written = properties.get("training_sha256")
    if written is None or sidecar.training is None:
        return  # one of VMAF's own models
    if sidecar.training.sha256 != written:
        _refuse(path, "training.config_sha256 or training.corpora is of another training")


def _refuse(path: Path, fault: str) -> NoReturn:
    raise InputError(f"{path}: {fault}; export the model again.")


def _words(gates: Counter[str]) -> str:
    return ", ".join(f"{n} {gate}" for gate, n in sorted(gates.items())) or "none"


def _layout(arch: Architecture, d: int, vectors: int, path: Path) -> _Layout:
    """Returns what a network over `d` features leaves in a graph.

    Args:
        vectors: of a nu-SVR, which a graph may hold any number of.
    """
    make = _LAYOUTS.get(arch.network)
    if make is None or arch.head not in _HEADS:
        known = ", ".join(_LAYOUTS)
        _refuse(path, f"arch is {arch.network!r} with head {arch.head!r}, expected one of {known}")
    if arch.hidden is not None and arch.network != "mlp":
        _refuse(path, f"arch.hidden is {arch.hidden}, and {arch.network} has layers of its own")
    if arch.network in HIDDEN_LAYERS and arch.activation not in GATES:
        known = ", ".join(GATES)
        _refuse(path, f"arch.activation is {arch.activation!r}, expected one of {known}")
    return make(arch, d, vectors)


def _perceptron(arch: Architecture, d: int, _vectors: int) -> _Layout:
    sizes = (d, *(arch.hidden or HIDDEN_LAYERS[arch.network]))
    outputs = _HEADS[arch.head]
    last = (sizes[-1], N_COLUMNS) if arch.head == "scalar" else (sizes[-1], outputs)
    return _Layout(
        [*itertools.pairwise(sizes), last, *_bins(arch.head)],
        [GATES[arch.activation]] * (len(sizes) - 1),
        sum((a + 1) * b for a, b in itertools.pairwise((*sizes, outputs))),
    )


def _rbf(arch: Architecture, d: int, _vectors: int) -> _Layout:
    units, outputs = RBF_UNITS, _HEADS[arch.head]
    # With another head it runs as it was trained, and its first products are of no constants.
    first = [(d, units), (d, 1)] if arch.head == "scalar" else []
    n_params = units * d + d + units * outputs + outputs
    return _Layout([*first, (units, outputs), *_bins(arch.head)], [], n_params)


def _attention(_arch: Architecture, _d: int, vectors: int) -> _Layout:
    n = N_CHANNELS  # keys and weights of each, then the bias and both ends of the scale
    return _Layout([(vectors, 1), (n, n), (n, 1)], [], n * n + n + 3)


def _svr(_arch: Architecture, d: int, vectors: int) -> _Layout:
    return _Layout([(vectors, 1)], [], vectors * d + vectors)


_LAYOUTS: dict[str, Callable[[Architecture, int, int], _Layout]] = {
    **dict.fromkeys(HIDDEN_LAYERS, _perceptron),
    "rbf": _rbf,
    "attention": _attention,
    "nu-svr": _svr,
}


def _bins(head: str) -> list[Shape]:
    """Returns the product by which a head makes a score of a distribution."""
    return [] if head == "scalar" else [(len(BINS), 1)]


def _shapes(graph: "onnx.GraphProto") -> dict[str, Shape]:
    """Returns shapes of constants of two axes, those of 8 bits by their dequantised name too."""
    shapes = {t.name: (t.dims[0], t.dims[1]) for t in graph.initializer if len(t.dims) == 2}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    return shapes


def _products(graph: "onnx.GraphProto", constants: dict[str, Shape]) -> list[Shape]:
    return [constants[node.input[1]] for node in graph.node if _is_product(node, constants)]


def _is_product(node: "onnx.NodeProto", constants: dict[str, Shape]) -> bool:
    return node.op_type in _PRODUCTS and node.input[1] in constants


def _gates(graph: "onnx.GraphProto", constants: dict[str, Shape]) -> Counter[str]:
    """Counts the operators of activations up to the last product, after which scores are shaped."""
    nodes: Sequence[onnx.NodeProto] = graph.node
    last = max((k for k, node in enumerate(nodes) if _is_product(node, constants)), default=0)
    made_by = {name: node.op_type for node in nodes for name in node.output}
    found: Counter[str] = Counter()
    for node in nodes[:last]:
        gate = node.op_type
        if gate == "Tanh" and made_by.get(node.input[0]) == "Mul":
            gate = GATES["gelu"]
        if gate in GATES.values():
            found[gate] += 1
    return found


def check_links(folder: Path, root: Path) -> None:
    """Checks that what lies in a model's folder, its checkpoint included, stands below `root`.

    Raises:
        InputError: something is a link out of `root`.
    """
    for path in sorted([*folder.iterdir(), *folder.glob("checkpoint/**/*")]):
        if not path.resolve().is_relative_to(root):
            raise InputError(f"{path}: is a link out of {root}; copy that file.")


def check_evidence(folder: Path, sidecar: Sidecar, path: Path) -> None:
    """Compares what a sidecar says of the training with the other files of its run folder.

    Args:
        path: the sidecar, for messages.

    Raises:
        InputError: a figure is another than those files tell, or one of them is damaged.
    """
    training = sidecar.training
    config = folder / "config.yaml"
    if training is not None and config.is_file():
        digest = hashlib.sha256(read_limited(config, "CONFIG_BYTES", MAX_YAML_BYTES)).hexdigest()
        _compare(path, "training.config_sha256", training.config_sha256, digest, config)
        _check_configuration(path, sidecar, config)
    if (folder / "checkpoint").is_dir():
        n = _count_parameters(folder / "checkpoint")
        _compare(path, "n_params", sidecar.n_params, n, folder / "checkpoint")
    if training is None or training.metrics is None:
        return
    figures = folder / "metrics.json"
    if figures.is_file():
        _check_metrics(path, training.metrics, _read_metrics(figures), figures)
    folds = folder / "folds.parquet"
    if not folds.is_file():
        return
    held_out = read_predictions(folds)
    external = {}
    # Looked up among files: a name may be none that a file system takes, or lead elsewhere.
    places = {path.name: path for path in folder.glob("external_*.parquet")}
    for name, metrics in training.metrics.external.items():
        place = places.get(f"external_{name}.parquet")
        if place is not None and place.is_file():
            external[name] = read_predictions(place)
            found = all_metrics(external[name].predicted, external[name].label)
            _compare_figures(path, f"training.metrics.external.{name}", metrics, found, place)
    found = all_metrics(held_out.predicted, held_out.label)
    _compare_figures(path, "training.metrics.loso", training.metrics.loso, found, folds)
    if external.keys() == training.metrics.external.keys():
        _check_calibration(path, sidecar, held_out, external, folds)


def _compare(path: Path, key: str, said: object, found: object, by: Path) -> None:
    if said != found:
        raise InputError(
            f"{path}: {key} is {said}, by {by.name} beside it {found}; restore the file that was "
            f"changed, or train again."
        )


def _check_configuration(path: Path, sidecar: Sidecar, config: Path) -> None:
    """Compares the label, pooling and activation that a sidecar names with those trained for."""
    document = read_yaml(config)
    data, student = document.get("data"), document.get("student")
    if not isinstance(data, Mapping) or not isinstance(student, Mapping):
        raise InputError(f"{config}: no configuration of a training; restore it or train again.")
    # Configurations of earlier versions lack some keys.
    if data.get("label") == "mos":
        _compare(path, "label.name", sidecar.label_name, "mos", config)
    elif (teacher := data.get("teacher")) is not None:
        name = str(teacher)
        label = Path(name).stem if name.endswith(".json") else name
        _compare(path, "label.name", sidecar.label_name, label, config)
    pooling, level = student.get("pooling"), student.get("percentile")
    if isinstance(pooling, str) and sidecar.pooling != OVER_FRAMES:
        by_level = isinstance(level, int | float) and pooling.endswith("percentile")
        full_name = f"{pooling} {level:g}" if by_level else pooling
        _compare(path, "pooling", sidecar.pooling, full_name, config)
    if sidecar.arch is not None and (activation := student.get("activation")) is not None:
        _compare(path, "arch.activation", sidecar.arch.activation, activation, config)


def _check_metrics(path: Path, said: TrainingMetrics, found: TrainingMetrics, by: Path) -> None:
    _compare_figures(path, "training.metrics.loso", said.loso, found.loso, by)
    names, own = sorted(said.external), sorted(found.external)
    _compare(path, "training.metrics.external", names, own, by)
    for name, metrics in said.external.items():
        key = f"training.metrics.external.{name}"
        _compare_figures(path, key, metrics, found.external[name], by)


def _compare_figures(path: Path, key: str, said: Metrics, found: Metrics, by: Path) -> None:
    own = dict(_leaves(dataclasses.asdict(found)))
    for name, value in _leaves(dataclasses.asdict(said)):
        other = own[name]
        both_undefined = math.isnan(value) and math.isnan(other)
        if not both_undefined and not math.isclose(value, other, rel_tol=_SAME, abs_tol=_SAME):
            _compare(path, f"{key}.{name}", f"{value:g}", f"{other:g}", by)
            _compare(path, f"{key}.{name}", value, other, by)  # alike in six digits


def _leaves(document: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, float]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}{key}.")
        else:
            yield f"{name}{key}", float(value)


def _read_metrics(path: Path) -> TrainingMetrics:
    content = read_limited(path, "REPORT_BYTES", _MAX_METRICS_BYTES)
    try:
        document = json.loads(content)
        check_json_keys(content)
        return TrainingMetrics(
            loso=document["loso"]["pooled"], external=document.get("external", {})
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: no figures of a training; restore it or train again.") from error


def _count_parameters(checkpoint: Path) -> int:
    """Counts trained parameters by the shapes of a checkpoint's arrays, without their numbers."""
    if not holds_plain_files(checkpoint):
        raise InputError(f"{checkpoint}: holds something other than files; copy it again.")
    total = 0
    for path in sorted(checkpoint.glob("params.*/.zarray")):
        content = read_limited(path, "REPORT_BYTES", _MAX_SHAPE_BYTES)
        try:
            total += math.prod(int(size) for size in json.loads(content)["shape"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(f"{path}: damaged; train again.") from error
    return total


def _check_calibration(
    path: Path, sidecar: Sidecar, held_out: HeldOut, external: Mapping[str, HeldOut], by: Path
) -> None:
    """Compares the stored profile of errors with that of the saved predictions."""
    residuals = pool_held_out(held_out, external, sidecar.pooling)
    if residuals is None or sidecar.quant_mode != "fp32":  # integer models have no calibration
        return
    calibration = sidecar.read_calibration()
    if calibration is None:
        raise InputError(
            f"{path}: has no calibration, which {by.name} beside it gives; restore the file that "
            f"was changed, or train again."
        )
    said, n_clips = calibration.profile, len(residuals.label)
    _compare(path, "calibration.n_clips", said.n_clips, n_clips, by)
    _compare(path, "calibration.n_sources", said.n_sources, residuals.n_sources, by)
    if n_clips > MAX_CLIPS:
        return  # so many take long to profile again
    found = residuals.profile
    for key in ("quantile", "difficulty"):
        differs = ~np.isclose(_numbers(said, key), _numbers(found, key), rtol=1e-5, atol=1e-5)
        if differs.any():
            k = int(np.argmax(differs))
            was, is_ = (_numbers(profile, key)[k] for profile in (said, found))
            _compare(path, f"calibration.{key}.{k}", f"{was:.6f}", f"{is_:.6f}", by)


def _numbers(profile: ConformalProfile, key: str) -> npt.NDArray[np.float64]:
    return np.asarray(getattr(profile, key), np.float64)
