"""A deployed student as an ONNX file that keeps the contract."""

from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from vmaf_jax.export.contract import (
    INPUT_NAME,
    IR_VERSION,
    MASK_NAME,
    OPSET,
    OUTPUT_NAME,
    check_contract,
)
from vmaf_jax.export.fusion import fuse
from vmaf_jax.export.onnx_runtime import check_levels, example_feed
from vmaf_jax.export.sidecar import Identity
from vmaf_jax.files import write_bytes
from vmaf_jax.models import Deployed


def export_onnx(
    deployed: Deployed, path: Path, identity: Identity, outputs: tuple[str, ...] = (OUTPUT_NAME,)
) -> Path:
    """Writes a student's clipped prediction as ONNX, checked against the contract.

    Args:
        identity: kept in the file's metadata, with our version.
        outputs: names of what it predicts; an ensemble has two.
    Raises:
        InputError: the graph breaks the contract, or `path` cannot be written.
        GateError: it does not run alike at every level of graph optimisation.
    """
    import onnx
    from jax2onnx import to_onnx

    def predict(*inputs: jax.Array) -> Any:
        return deployed.predict(deployed.constants, *inputs)

    n_features = len(identity.feature_set)
    shapes: list[tuple[str | int, ...]] = [("N", n_features)]
    names = [INPUT_NAME]
    if identity.student.spec.over_frames:
        shapes, names = [("N", "T", n_features), ("N", "T")], [INPUT_NAME, MASK_NAME]

    model = to_onnx(
        predict,
        inputs=shapes,
        model_name=identity.name,
        opset=OPSET,
        input_names=names,
        output_names=list(outputs),
    )
    fuse(model.graph)
    model.ir_version = IR_VERSION
    model.producer_name = "vmaf-jax"
    model.producer_version = metadata.version("vmaf-jax")
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    properties = {
        "name": identity.name,
        "version": metadata.version("vmaf-jax"),
        "feature_set": identity.feature_set.name,
        "features": ",".join(identity.feature_set),
        "training_sha256": identity.training_sha256,
        "quant_mode": "fp32",
    }
    onnx.helper.set_model_props(model, properties)
    check_contract(model, path)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    feed = example_feed(identity.feature_set, over_frames=identity.student.spec.over_frames)
    check_levels(content, path, feed)
    write_bytes(path, content)
    return path
