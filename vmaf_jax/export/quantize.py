"""An exported student with 8-bit weights and activations, through ONNX Runtime's quantiser.

The scaler and the first product stay in float32: folded together they put motion2 and adm2 under
one 8-bit scale. So does the last product, whose sum is the score. Between them, `static` files
hold weights per channel and activations between QuantizeLinear and DequantizeLinear at scales
calibrated once, with admitted operators only; `dynamic` files choose their scales from each batch,
so that a row's score depends on its neighbours, and run in ONNX Runtime alone.
"""

import dataclasses
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.evaluation.metrics import RANGES, plcc, range_rmse, rmse
from vmaf_jax.export.contract import INPUT_NAME
from vmaf_jax.export.onnx_runtime import OnnxModel, write_onnx

if TYPE_CHECKING:
    from onnxruntime.quantization import CalibrationDataReader

BUDGET_PLCC = 1e-3  # a quantised model may lose so much PLCC against the labels,
BUDGET_RMSE = 0.25  # and add so many VMAF points of RMSE
_BATCHES = (1, 7, 64, 4096)


def quantize(source: Path, path: Path, *, mode: str, calibration: npt.NDArray[np.float32]) -> Path:
    """Writes the quantised form of the float32 file `source` to `path`.

    Args:
        mode: `dynamic`, `static`, or `qat` (static, of a network that was fine-tuned for it).
        calibration: raw features `[n, d]` over which static scales are chosen.

    Raises:
        InputError: the network has no product between its first and last, or `path` cannot be
            written.
        GateError: the file does not run alike at every level of graph optimisation.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    logging.getLogger().addFilter(_no_advice)
    model = onnx.load(source)
    products = [node.name for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    if len(products) < 3:
        raise InputError(
            f"{source.name}: has no product between its first and its last to quantise; train a "
            f"network with two hidden layers or more, or drop --quantize."
        )
    in_float32 = [products[0], products[-1]]
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "int8.onnx"
        if mode == "dynamic":
            # It splits Gemm into a product of this name and a sum before it looks at names.
            quantize_dynamic(
                source,
                trial,
                per_channel=True,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[f"{n}_MatMul" if n.startswith("Gemm") else n for n in in_float32],
            )
        else:
            quantize_static(
                source,
                trial,
                _reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,  # 7 bits, or sums saturate on processors without VNNI
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Gemm", "MatMul"],
                nodes_to_exclude=in_float32,
                extra_options={
                    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
                    "QDQDisableWeightAdjustForInt32Bias": True,
                },
            )
        quantised = onnx.load(trial)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    return write_onnx(quantised, path, properties | {"quant_mode": mode})


@dataclasses.dataclass(frozen=True)
class RangeCost:
    """RMSE added over the `n` rows whose label is in [low, high], VMAF points."""

    low: float = dataclasses.field(metadata={"json": "from"})
    high: float = dataclasses.field(metadata={"json": "to"})
    n: int
    added_rmse: float


@dataclasses.dataclass(frozen=True)
class QuantisationCost:
    """The cost of 8 bits over `n` labelled rows; RMSE in VMAF points.

    Attributes:
        batch_dependence: by how much scores move, VMAF points, when the same rows come in batches
            of other sizes.
        bytes: of both files.
    """

    n: int
    plcc_fp32: float
    plcc_int8: float
    plcc_drop: float
    budget_plcc: float
    rmse_fp32: float
    rmse_int8: float
    added_rmse: float
    budget_rmse: float
    ranges: list[RangeCost]
    batch_dependence: float
    bytes: dict[str, int]

    def check(self) -> None:
        """Raises GateError, with figure and limit, if a budget is passed."""
        if not self.plcc_drop <= self.budget_plcc:
            raise GateError(
                f"int8: PLCC falls by {self.plcc_drop:.2e}, limit {self.budget_plcc:.0e}; export "
                f"without --quantize."
            )
        if not self.added_rmse <= self.budget_rmse:
            raise GateError(
                f"int8: RMSE grows by {self.added_rmse:.3f} points, limit {self.budget_rmse:g}; "
                f"export without --quantize."
            )


def compare(
    fp32: OnnxModel,
    int8: OnnxModel,
    features: npt.NDArray[np.float32],
    label: npt.NDArray[np.float64],
) -> QuantisationCost:
    """Measures the cost of quantisation on labelled rows."""
    whole = len(features)
    before, after = fp32.in_batches(features, whole), int8.in_batches(features, whole)
    batched = [int8.in_batches(features, size) for size in _BATCHES]

    def cost(low: float, high: float) -> RangeCost:
        ours, theirs = (range_rmse(scores, label, low, high) for scores in (after, before))
        return RangeCost(low, high, ours.n, ours.rmse - theirs.rmse)

    return QuantisationCost(
        n=whole,
        plcc_fp32=plcc(before, label),
        plcc_int8=plcc(after, label),
        plcc_drop=plcc(before, label) - plcc(after, label),
        budget_plcc=BUDGET_PLCC,
        rmse_fp32=rmse(before, label),
        rmse_int8=rmse(after, label),
        added_rmse=rmse(after, label) - rmse(before, label),
        budget_rmse=BUDGET_RMSE,
        ranges=[cost(*ends) for ends in RANGES],
        batch_dependence=float(max(np.abs(s.astype(np.float64) - after).max() for s in batched)),
        bytes={"fp32": fp32.path.stat().st_size, "int8": int8.path.stat().st_size},
    )


def _no_advice(record: logging.LogRecord) -> bool:
    """Drops the quantiser's advice to pre-process, which comes on the root logger."""
    return "pre-processing before quantization" not in record.getMessage()


def _reader(rows: npt.NDArray[np.float32]) -> "CalibrationDataReader":
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """All rows in one batch."""

        batches = iter([{INPUT_NAME: rows}])

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            return next(self.batches, None)

    return Reader()
