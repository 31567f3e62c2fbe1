"""Runs models in one runtime, in a process of its own that needs that runtime and NumPy alone.

    python -S matrix_worker.py PACKAGES RUNTIME LISTING.json

PACKAGES is the folder of `pip install --target`. LISTING names each model's file, its inputs (raw
little-endian float32 files with their shapes) and where its first output is to be written. Prints
as JSON the version, and for each model None or why it was refused.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.float32]]
Session = Callable[[str, Arrays], npt.NDArray[np.float32]]


def onnxruntime_session() -> tuple[str, Session]:
    """Returns ONNX Runtime's version and a function that runs a file there."""
    import onnxruntime

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["vmaf"], dict(feed))[0])

    return onnxruntime.__version__, run


def openvino_session(hint: str | None) -> tuple[str, Session]:
    """Returns OpenVINO's version and a function that runs a file there.

    Args:
        hint: INFERENCE_PRECISION_HINT; None leaves the precision to OpenVINO.
    """
    import openvino  # type: ignore[import-not-found]

    settings = {} if hint is None else {"INFERENCE_PRECISION_HINT": hint}

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        return np.asarray(compiled(dict(feed))["vmaf"])

    return openvino.__version__, run


def reference_session() -> tuple[str, Session]:
    """Returns onnx's version and a function that runs a file in its reference evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        (scores,) = ReferenceEvaluator(path).run(["vmaf"], dict(feed))
        return np.asarray(scores)

    return onnx.__version__, run


def opencv_session() -> tuple[str, Session]:
    """Returns OpenCV's version and a function that runs a file in its `dnn` module."""
    import cv2  # type: ignore[import-not-found]

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        try:
            net = cv2.dnn.readNetFromONNX(path)
            for name, array in feed.items():
                net.setInput(array, name)
            return np.asarray(net.forward("vmaf"))
        except cv2.error as error:  # its text starts with the path of a source file
            raise RuntimeError(error.err) from error

    return cv2.__version__, run


def tract_session() -> tuple[str, Session]:
    """Returns tract's version and a function that runs a file there."""
    import tract  # type: ignore[import-not-found]

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        model = tract.onnx().load(path).into_model()
        inputs = [feed[model.input_name(k)] for k in range(model.input_count())]
        outputs = [tensor.to_numpy() for tensor in model.into_runnable().run(inputs)]
        # tract keeps no names of outputs; the score is the first that has one number for each row.
        return next(np.asarray(output) for output in outputs if output.ndim == 1)

    return version("tract"), run


def mnn_session() -> tuple[str, Session]:
    """Returns MNN's version and a function that converts a file and runs it there."""
    import MNN.expr  # type: ignore[import-not-found]
    import MNN.nn  # type: ignore[import-not-found]

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder:
            converted = Path(folder) / "model.mnn"
            # A process of its own: a converter that dies is told as a refusal.
            line = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "MNN"]
            line += ["--modelFile", path, "--MNNModel", str(converted)]
            environment = {**os.environ, "PYTHONPATH": sys.path[0]}
            subprocess.run(line, env=environment, capture_output=True, check=False)
            if not converted.exists():
                raise RuntimeError("the converter writes no file")
            module = MNN.nn.load_module_from_file(str(converted), list(feed), ["vmaf"])
        inputs = []
        for array in feed.values():
            inputs.append(MNN.expr.placeholder(list(array.shape), MNN.expr.NCHW))
            inputs[-1].write(array)
        return np.array(module.forward(inputs)[0].read())

    return MNN.version(), run


def iree_session() -> tuple[str, Session]:
    """Returns IREE's version and a function that compiles a file for this processor and runs it."""
    import iree.compiler  # type: ignore[import-not-found]
    import iree.runtime  # type: ignore[import-not-found]
    import onnx

    def run(path: str, feed: Arrays) -> npt.NDArray[np.float32]:
        graph = onnx.load(path).graph
        with tempfile.TemporaryDirectory() as folder:
            imported = str(Path(folder) / "model.mlir")
            line = [sys.executable, "-m", "iree.compiler.tools.import_onnx", path, "-o", imported]
            environment = {**os.environ, "PYTHONPATH": sys.path[0]}
            done = subprocess.run(
                line, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError((done.stderr.strip().splitlines() or ["not imported"])[-1])
            host = ["--iree-llvmcpu-target-cpu=host"]
            try:
                compiled = iree.compiler.compile_file(
                    imported, target_backends=["llvm-cpu"], input_type="onnx", extra_args=host
                )
            except iree.compiler.CompilerToolError as error:  # its first lines name the tool alone
                reasons = [line for line in str(error).splitlines() if "error: " in line]
                raise RuntimeError(reasons[0].partition("error: ")[2]) from error
        module = iree.runtime.load_vm_flatbuffer(compiled, driver="local-task")
        outputs = module[graph.name](*(feed[value.name] for value in graph.input))
        if len(graph.output) == 1:
            return np.asarray(outputs)
        return np.asarray(outputs[[value.name for value in graph.output].index("vmaf")])

    return version("iree-base-runtime"), run


RUNTIMES: dict[str, Callable[[], tuple[str, Session]]] = {
    "onnxruntime": onnxruntime_session,
    "openvino": lambda: openvino_session("f32"),
    "openvino by default": lambda: openvino_session(None),
    "onnx": reference_session,
    "opencv": opencv_session,
    "tract": tract_session,
    "mnn": mnn_session,
    "iree": iree_session,
}


def main(runtime: str, listing: Path) -> None:
    """Runs every model of the listing."""
    version, run = RUNTIMES[runtime]()
    refusals: dict[str, str | None] = {}
    for name, model in json.loads(listing.read_text()).items():
        feed = {
            key: np.fromfile(file, "<f4").reshape(shape)
            for key, (file, shape) in model["inputs"].items()
        }
        try:
            run(model["path"], feed).astype("<f4").tofile(model["output"])
            refusals[name] = None
        except (
            Exception
        ) as error:  # each runtime has exceptions of its own; the reason is the result
            refusals[name] = str(error).strip().splitlines()[0][:200]
    print(json.dumps({"version": version, "refusals": refusals}))


if __name__ == "__main__":
    main(sys.argv[2], Path(sys.argv[3]))
