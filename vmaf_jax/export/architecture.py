"""The architecture that a sidecar names, compared with the graph of its model file.

A network is known by the shapes of the constants of its products and, where it has a choice, by the
operator of its activation. From the same shapes follows the number of parameters that were trained.
Of an ensemble each member is looked for. Loads no JAX.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import MASK_NAME
from vmaf_jax.export.sidecar import Architecture, Sidecar
from vmaf_jax.models.sizes import BINS, HIDDEN_LAYERS, N_CHANNELS, N_COLUMNS, RBF_UNITS

if TYPE_CHECKING:
    import onnx

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
