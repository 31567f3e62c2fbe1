"""An exported student with 8-bit weights and activations, through ONNX Runtime's quantiser.

The scaler and the first product stay in float32: folded together they put motion2 and adm2 under
one 8-bit scale. So does the last product, whose sum is the score. Between them, `static` files
hold weights per channel and activations between QuantizeLinear and DequantizeLinear at scales
calibrated once, with admitted operators only; `dynamic` files choose their scales from each batch,
so that a row's score depends on its neighbours, and run in ONNX Runtime alone.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.metrics import RANGES, plcc, range_rmse
from vmaf_jax.export.onnx_file import INPUT_NAME, OnnxModel, check_contract
from vmaf_jax.files import write_bytes

QUANT_MODES = ("fp32", "dynamic", "static", "qat")
BUDGET_PLCC = 1e-3  # a quantised model may lose so much PLCC against the labels
_BATCHES = (1, 7, 64, 4096)


def quantize(source: Path, path: Path, *, mode: str, calibration: npt.NDArray[np.float32]) -> Path:
    """Writes the quantised form of the float32 file `source` to `path`.

    Args:
        mode: `dynamic`, `static`, or `qat` (static, of a network that was fine-tuned for it).
        calibration: raw features `[n, 6]` over which static scales are chosen.
    Raises:
        InputError: the network has no product between its first and last, or `path` cannot be
            written.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    logging.getLogger().addFilter(_no_advice)
    model = onnx.load(source)
    products = [node.name for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    if len(products) < 3:
        raise InputError(f"{source}: has no product between its first and last to quantise.")
    kept = [products[0], products[-1]]
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "int8.onnx"
        if mode == "dynamic":
            # It splits Gemm into a product of this name and a sum before it looks at names.
            kept = [f"{name}_MatMul" if name.startswith("Gemm") else name for name in kept]
            quantize_dynamic(
                source, trial, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=kept
            )
        else:
            quantize_static(
                source,
                trial,
                _reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,  # or processors without VNNI saturate
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Gemm", "MatMul"],
                nodes_to_exclude=kept,
                extra_options={
                    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
                    "QDQDisableWeightAdjustForInt32Bias": True,
                },
            )
        found = onnx.load(trial)
    properties = {each.key: each.value for each in model.metadata_props} | {"quant_mode": mode}
    del found.metadata_props[:]
    onnx.helper.set_model_props(found, properties)
    found.producer_name, found.producer_version = model.producer_name, model.producer_version
    check_contract(found, path)
    write_bytes(path, found.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path), full_check=True)
    return path


def compare(
    fp32: OnnxModel,
    int8: OnnxModel,
    features: npt.NDArray[np.float32],
    label: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """What quantisation costs on labelled rows.

    Returns:
        PLCC of both and its drop, RMSE added (VMAF points) in all and by range of the label, and
        by how much scores move (VMAF points) when the same rows come in batches of other sizes.
    """
    whole = len(features)
    before, after = fp32.in_batches(features, whole), int8.in_batches(features, whole)
    batched = [int8.in_batches(features, size) for size in _BATCHES]
    moved = [np.abs(each.astype(np.float64) - after).max() for each in batched]

    def added(low: float, high: float) -> dict[str, Any]:
        ours, theirs = (range_rmse(each, label, low, high) for each in (after, before))
        return {
            "from": low,
            "to": high,
            "n": ours["n"],
            "added_rmse": ours["rmse"] - theirs["rmse"],
        }

    drop = plcc(before, label) - plcc(after, label)
    return {
        "n": whole,
        "plcc_fp32": plcc(before, label),
        "plcc_int8": plcc(after, label),
        "plcc_drop": drop,
        "budget_plcc": BUDGET_PLCC,
        "added_rmse": added(*(-np.inf, np.inf))["added_rmse"],
        "ranges": [added(*each) for each in RANGES],
        "batch_dependence": float(max(moved)),
        "bytes": {"fp32": fp32.path.stat().st_size, "int8": int8.path.stat().st_size},
    }


def _no_advice(record: logging.LogRecord) -> bool:
    """The quantiser advises on its root logger to pre-process what needs none."""
    return "pre-processing before quantization" not in record.getMessage()


def _reader(rows: npt.NDArray[np.float32]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """All rows in one batch."""

        batches = iter([{INPUT_NAME: rows}])

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            return next(self.batches, None)

    return Reader()
