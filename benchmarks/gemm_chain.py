"""A shipped model in ONNX Runtime beside the chain of its own `Gemm` nodes, one row at a time.

    python -m benchmarks.gemm_chain [--repeats 31] [--json]

The chain is the lower bound of what the network costs. The operators that ONNX Runtime makes of
each graph show whether it fuses activations into products.
"""

import functools
import sys
import tempfile
from pathlib import Path

import onnx
import onnxruntime

from benchmarks.command import run
from vmaf_jax.benchmarks.scoring import open_rows_session
from vmaf_jax.benchmarks.timing import Figure, Figures, machine, sample
from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.runs.locate import checkpoints

_SAMPLE_S = 0.004


def bench_gemm_chain(repeats: int = 31) -> Figures:
    """Times every shipped float32 model and its chain on one thread, batches of one row."""
    row = parity_rows(FEATURES, [])[:1]
    report: dict[str, Figure] = {"machine": machine(), "onnxruntime": onnxruntime.__version__}
    for fp32 in sorted(checkpoints().glob("*/model.onnx")):
        with tempfile.TemporaryDirectory() as folder:
            chain = write_gemm_chain(fp32, Path(folder) / "chain.onnx")
            forms = {"fp32": fp32, "gemm chain": chain}
            subjects = {
                form: functools.partial(open_rows_session(path, 1), row)
                for form, path in forms.items()
            }
            times = sample(subjects, repeats, at_least_s=_SAMPLE_S)
            if (int8 := int8_path(fp32)).is_file():
                forms["int8"] = int8
            graphs = {form: optimised_operators(path) for form, path in forms.items()}
            report[fp32.parent.name] = {
                **times,
                "fp32 over gemm chain": times["fp32"].median_s / times["gemm chain"].median_s,
                "optimised graph": graphs,
                "activations fused into products": {
                    form: any(operator.startswith("Fused") for operator in graph)
                    for form, graph in graphs.items()
                },
            }
    return report


def optimised_operators(path: Path) -> list[str]:
    """Returns the operators that ONNX Runtime runs on this machine's CPU, after all fusions."""
    with tempfile.TemporaryDirectory() as name:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns that the file is for this machine alone
        options.optimized_model_filepath = str(Path(name) / "optimised.onnx")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    return [node.op_type for node in graph.node]


def write_gemm_chain(path: Path, out: Path) -> Path:
    """Writes a model of the `Gemm` nodes alone, one after the other; returns its path.

    It is the lower bound of what the network costs: no activation, no clip.
    """
    model = onnx.load(path)
    nodes, tensor = [], INPUT_NAME
    for k, gemm in enumerate(node for node in model.graph.node if node.op_type == "Gemm"):
        gemm.input[0], tensor = tensor, f"h{k}"
        gemm.output[0] = tensor
        nodes.append(gemm)
    nodes[-1].output[0] = OUTPUT_NAME
    used = {name for node in nodes for name in node.input}
    output = onnx.helper.make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, ["N", None])
    weights = [tensor for tensor in model.graph.initializer if tensor.name in used]
    graph = onnx.helper.make_graph(nodes, "gemm_chain", [*model.graph.input], [output], weights)
    opset = onnx.helper.make_opsetid("", OPSET)
    chain = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=model.ir_version)
    onnx.save(chain, out)
    return out


if __name__ == "__main__":
    sys.exit(run(bench_gemm_chain))
