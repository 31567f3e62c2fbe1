"""Pixels models: a MODEL with its features as one ONNX graph from pictures to scores.

The head of a student is the file that it exports to, the head of a teacher its SVR. The graph is
written for one size of picture, which takes a second, and is then verified against JAX.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.export.pixels.heads import student_head, teacher_head
from vmaf_jax.export.pixels.model_file import (
    PICTURES,
    Frame,
    Head,
    PixelsFile,
    check_pixels,
    feature_part,
    is_pixels,
    pixels_model,
    read_pixels,
)
from vmaf_jax.export.pixels.pictures import example_feed
from vmaf_jax.export.pixels.runtime import PixelsModel
from vmaf_jax.export.sidecar import (
    check_sidecar,
    file_sha256,
    label_scale,
    read_sidecar,
    sidecar_path,
    teacher_entries,
)
from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import to_json, work_folder, write_bytes, write_text
from vmaf_jax.runs.locate import checkpoints, find_run
from vmaf_jax.scoring.model import is_teacher
from vmaf_jax.tables.opinions import LabelScale
from vmaf_jax.teacher import load_teacher

if TYPE_CHECKING:
    from vmaf_jax.export.pixels.parity import PixelsParity

# Of a feature, or a share of it where it is above 1. Graphs of earlier versions round otherwise;
# another feature set or gain limit differs by more.
_FEATURE_TOLERANCE = 1e-3
MOTION2 = (
    "The last feature is motion: how far the reference is from `previous`. The score wants "
    "motion2, the lesser of a frame's motion and the next frame's (0 at a clip's start, the last "
    "frame's own at its end): replace the column and apply the head again, or give as `previous` "
    "whichever of the two neighbours is nearer."
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A MODEL that a pixels model is made of.

    Attributes:
        name: The model's name.
        feature_set: The features that its head takes.
        head: Writes the head into a graph.
        score: The head as a function: features `[n, 6]` to VMAF points.
        sidecar: Its sidecar, without the entries about the file.
    """

    name: str
    feature_set: FeatureSet
    head: Head
    score: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    sidecar: dict[str, Any]


def pixels_source(model: str) -> Source:
    """Finds a MODEL: a shipped name, a run folder, an `.onnx` file over features, or a teacher.

    Raises:
        InputError: It is none of them, takes clips and not frames, or reads more than luma.
    """
    source = _find_source(model)
    if source.feature_set.planes > 1:
        raise InputError(
            f"{model}: takes the feature set {source.feature_set.name}, of which no graph from "
            f"pictures is made; score with --backend jax or libvmaf, or export its head with "
            f"--format onnx."
        )
    return source


def _find_source(model: str) -> Source:
    if is_teacher(model):
        return _teacher_source(model)
    if model.endswith(".onnx"):
        return _onnx_source(Path(model))
    exported = checkpoints() / model / "model.onnx"
    if Path(model).name == model and exported.is_file():
        return dataclasses.replace(_onnx_source(exported), name=model)
    return _run_source(model)


def _teacher_source(model: str) -> Source:
    teacher = load_teacher(model)
    low, high = OUTPUT_RANGE
    ends = teacher.model.clip or (-math.inf, math.inf)

    def head(graph: Graph, rows: Value) -> Value:
        score = teacher_head(graph, teacher, rows)
        if low <= ends[0] <= ends[1] <= high:
            return score
        return graph.op("Clip", score, low, high)

    return Source(
        teacher.name,
        teacher.feature_set,
        head,
        lambda features: np.clip(teacher(features), low, high),
        teacher_entries(teacher),
    )


def _onnx_source(path: Path) -> Source:
    import onnx

    from vmaf_jax.export.contract import load_onnx
    from vmaf_jax.export.onnx_runtime import OnnxModel

    if is_pixels(path):
        raise InputError(f"{path}: is a pixels model; name the model that it was made of.")
    file = load_onnx(path)
    check_sidecar(path, file.feature_set)
    if file.over_frames:
        raise InputError(f"{path}: takes whole clips; only models of frames are put into a graph.")
    beside = sidecar_path(path)
    blank = {"pooling": "mean", "training": {}}
    description = read_sidecar(beside) if beside.exists() else blank
    head = onnx.load_model_from_string(file.content)
    if any(entry.key == "quant_mode" and entry.value != "fp32" for entry in head.metadata_props):
        raise InputError(f"{path}: is in 8 bits; name the float32 file beside it.")
    return Source(
        str(description.get("name", path.stem)),
        file.feature_set,
        lambda graph, rows: student_head(graph, head, rows),
        OnnxModel(path),
        description,
    )


def _run_source(model: str) -> Source:
    from vmaf_jax.export.onnx_file import export_onnx
    from vmaf_jax.export.sidecar import sidecar
    from vmaf_jax.models import deploy
    from vmaf_jax.runs.run_folder import open_run

    run = open_run(find_run(model))
    if run.student.spec.over_frames:
        raise InputError(
            f"{run.path}: {run.student.network} takes whole clips; only models of frames are put "
            f"into a graph."
        )
    with work_folder() as folder:
        deployed = deploy(run.student, run.variables)
        path = export_onnx(deployed, folder / "model.onnx", run.identity)
        source = _onnx_source(path)
        return dataclasses.replace(
            source, name=run.identity.name, sidecar=sidecar(path, run.identity)
        )


def make_pixels(source: Source, frame: Frame) -> PixelsFile:
    """Makes a pixels model for pictures of one size, in memory.

    Raises:
        InputError: The pictures are too small or too large.
    """
    properties = {"name": source.name}
    digest = source.sidecar.get("training", {}).get("config_sha256")
    if isinstance(digest, str):
        properties["training_sha256"] = digest
    model = pixels_model(source.head, source.feature_set, frame, properties)
    return check_pixels(model, Path(f"{source.name} at {frame.width}x{frame.height}"))


def open_pixels(model: str, frame: Frame, *, provider: str = "CPU") -> PixelsModel:
    """Loads a pixels model into ONNX Runtime, for pictures of one size.

    Args:
        model: A pixels file of that size, or a MODEL that one is made of on the spot.

    Raises:
        InputError: It is none, the file is for another size, or the provider cannot run it.
    """
    path = Path(model)
    if not (model.endswith(".onnx") and is_pixels(path)):
        return PixelsModel(make_pixels(pixels_source(model), frame), path, provider=provider)
    file = read_pixels(path)
    if (file.frame.width, file.frame.height) != (frame.width, frame.height):
        raise InputError(
            f"{path}: is for {file.frame.width}x{file.frame.height}, the videos are "
            f"{frame.width}x{frame.height}; export it with --size {frame.width}x{frame.height}, "
            f"or name the model that it was made of."
        )
    runtime = PixelsModel(file, path, provider=provider)
    _check_features(runtime, file.model, path)
    return runtime


def _check_features(runtime: PixelsModel, model: Any, path: Path) -> None:
    """Compares the features of a pixels file with those of a graph written now, on one picture.

    A file with the same nodes needs no picture. The distorted picture has more contrast than the
    reference, which tells feature sets of different gain limits apart.

    Raises:
        InputError: The file does not measure the feature set that it names.
    """
    frame, feature_set = runtime.frame, runtime.feature_set

    def largest(graph: Graph, rows: Value) -> Value:  # a head, which a whole graph needs
        return graph.op("Clip", graph.op("ReduceMax", rows, axes=[1], keepdims=0), *OUTPUT_RANGE)

    graph = pixels_model(largest, feature_set, frame, {"name": "features"})
    if feature_part(graph) == feature_part(model):
        return
    ours = PixelsModel(check_pixels(graph, path), path)
    triple = example_feed(frame, "contrast gained").values()
    expected, received = ours.features(*triple)[0], runtime.features(*triple)[0]
    apart = np.abs(received - expected) / np.maximum(1, np.abs(expected))
    if apart.max() > _FEATURE_TOLERANCE:
        name = feature_set.names[int(apart.argmax())]
        raise InputError(
            f"{path}: says that it measures the feature set {feature_set.name}, but its {name} of "
            f"a sample picture is {apart.max():.2g} off; export it again with `--format pixels`."
        )


@dataclasses.dataclass(frozen=True)
class Description:
    """A model's name, its pooling, and the worst and best vote of a model of votes."""

    name: str
    pooling: str
    label_scale: LabelScale | None


def describe_model(model: str) -> Description:
    """Returns the description of a pixels file, from its sidecar, or of a MODEL.

    Raises:
        InputError: It is no model, or not the file that the sidecar beside it describes.
    """
    path = Path(model)
    if model.endswith(".onnx") and is_pixels(path):
        file, beside = read_pixels(path), sidecar_path(path)
        check_sidecar(path, file.feature_set)
        name, sidecar = file.name, read_sidecar(beside) if beside.exists() else {}
    else:
        source = pixels_source(model)
        beside, name, sidecar = path, source.name, source.sidecar
    label = sidecar.get("label")
    voted = isinstance(label, dict) and label.get("name") == "mos"
    scale = label_scale(sidecar, beside) if voted else None
    return Description(name, str(sidecar.get("pooling", "mean")), scale)


@dataclasses.dataclass(frozen=True)
class ExportedPixels:
    """Parity with JAX, number of nodes and size of an exported pixels model."""

    parity: "PixelsParity"
    nodes: int
    size_bytes: int

    def line(self, out: Path) -> str:
        """Returns the result in a line for people."""
        return (
            f"{out}: {self.nodes} nodes, {self.size_bytes / 1000:.0f} kB; at most "
            f"{self.parity.max_abs:.2e} points from JAX over {self.parity.n} pictures"
        )


def export_pixels(model: str, out: Path, frame: Frame) -> ExportedPixels:
    """Writes `out`, its sidecar and `<name>.parity.json`, after verifying the graph against JAX.

    Raises:
        InputError: The model cannot be put into a graph, or there is no such size.
        GateError: The graph is farther from JAX than its limits, or does not run alike at every
            level of graph optimisation; nothing is written then.
    """
    from vmaf_jax.environment import keep_compiled_programs
    from vmaf_jax.export.onnx_runtime import check_levels
    from vmaf_jax.export.pixels.parity import check_pixels_parity, measure_pixels

    frame.check()
    source = pixels_source(model)
    file = make_pixels(source, frame)
    keep_compiled_programs()
    parity = measure_pixels(PixelsModel(file, out), source.score)
    check_pixels_parity(parity)
    content = file.model.SerializeToString(deterministic=True)
    check_levels(content, out, example_feed(frame))
    write_bytes(out, content)
    _, beside, verified = pixels_files(out)
    write_text(verified, to_json(parity))
    write_text(beside, to_json(_sidecar(source, file, out)))
    return ExportedPixels(parity, len(file.model.graph.node), len(content))


def pixels_files(out: Path) -> list[Path]:
    """Returns the files of an export: the model, its sidecar, and its parity with JAX."""
    return [out, sidecar_path(out), out.with_name(f"{out.stem}.parity.json")]


def _sidecar(source: Source, file: PixelsFile, out: Path) -> dict[str, Any]:
    from vmaf_jax.export.contract import INPUT_NAME, OPSET, OUTPUT_NAME

    return {
        **source.sidecar,
        "name": source.name,
        "kind": "fr",
        "onnx": out.name,
        "opset": OPSET,
        "input_name": PICTURES[0],
        "output_name": OUTPUT_NAME,
        "input_names": list(PICTURES),
        "output_names": [INPUT_NAME, OUTPUT_NAME],
        "features": list(source.feature_set),
        "feature_set": source.feature_set.name,
        "expected_output_range": list(OUTPUT_RANGE),
        "sha256": file_sha256(out),
        "quant_mode": "fp32",
        "pixels": {
            "width": file.frame.width,
            "height": file.frame.height,
            "samples": file.frame.samples,
            "scale": "luma as 8 bits have it, 0-255; 10 bits divided by 4",
            "gain_limit": source.feature_set.gain_limit,
            "first_frame": "previous is the reference itself: motion 0",
            "motion2": MOTION2,
        },
    }


def motion2(motion: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Computes motion2 of a clip's frames: the lesser of a frame's motion and the next frame's."""
    return np.minimum(motion, np.append(motion[1:], motion[-1:]))
