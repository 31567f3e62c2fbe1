"""A MODEL and its features as one graph from pictures: made, proven, opened and exported.

A student's head is the file that it exports to, a teacher's its SVR. The graph is written for one
size, which takes a second. Then JAX computes the features of sample pictures, and the graph must
agree: at every export, and once for each size and gain limit where a graph is made on the spot.

`score --backend onnx` decodes in one thread a few frames ahead, while ONNX Runtime works on those
before, so that memory stays constant. The graph gives motion frame by frame; motion2, which needs
the next frame's, is computed at the end, and the head is applied to that.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from vmaf_jax.environment import keep_compiled_programs
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import apply_pooling
from vmaf_jax.export.contract import load_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel, check_levels
from vmaf_jax.export.pixels.graph import Graph, Value, student_head, teacher_head
from vmaf_jax.export.pixels.model_file import (
    Frame,
    Head,
    PixelsFile,
    check_pixels,
    feature_part,
    is_pixels,
    pixels_model,
    read_pixels,
)
from vmaf_jax.export.pixels.runtime import (
    Pictures,
    PixelsModel,
    PixelsParity,
    check_features,
    check_pixels_parity,
    check_provider,
    example_feed,
    measure_features,
    measure_pixels,
)
from vmaf_jax.export.sidecar import (
    Origin,
    PixelsEntry,
    check_sidecar,
    sidecar_path,
    teacher_origin,
    write_models,
)
from vmaf_jax.features.feature_set import OUTPUT_RANGE, FeatureSet
from vmaf_jax.files import cache_dir, to_json, work_folder, write_bytes, write_text
from vmaf_jax.runs.locate import find_run, shipped_onnx
from vmaf_jax.scoring.model import CLIPS_FILE, is_teacher
from vmaf_jax.scoring.scores import Scores
from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.alignment import measured_rows
from vmaf_jax.video.comparison import Comparison, Description
from vmaf_jax.video.decode import DecodedPair, Samples, sample_dtype
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import VideoPair, file_digest

_MEASURED_APART = 1e-3  # of a feature, or of that share of it above 1: earlier versions' roundings
MOTION2 = (
    "The last feature is motion: how far the reference is from `previous`. The score wants "
    "motion2, the lesser of a frame's motion and the next frame's (0 at a clip's start, the last "
    "frame's own at its end): replace the column and apply the head again, or give as `previous` "
    "whichever of the two neighbours is nearer."
)
_CHUNK_SAMPLES = 2**23  # of each picture: four frames of 1080p at a time
_MAX_FRAMES = 16


@dataclasses.dataclass(frozen=True)
class Source:
    """A MODEL as a pixels model needs it.

    Attributes:
        origin: what its sidecar says of it.
        feature_set: the features that its head takes.
        head: writes the head into a graph.
        score: the model's own score outside of any graph: features `[n, 6]` to VMAF points `[n]`.
    """

    origin: Origin
    feature_set: FeatureSet
    head: Head
    score: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating]]


@dataclasses.dataclass(frozen=True)
class ExportedPixels:
    """Agreement of an exported file with JAX, and its size."""

    parity: PixelsParity
    nodes: int
    size_bytes: int

    def line(self, out: Path) -> str:
        """Returns the result for people."""
        return (
            f"{out}: {self.nodes} nodes, {self.size_bytes / 1000:.0f} kB; at most "
            f"{self.parity.max_abs:.2e} points from JAX over {self.parity.n} pictures"
        )


def export_pixels(model: str, out: Path, frame: Frame) -> ExportedPixels:
    """Writes `out`, its sidecar, and `<name>.parity.json`, once JAX has agreed.

    Raises:
        InputError: not a model this can be done with, or no such size.
        GateError: the graph is farther from JAX than its limits, or does not run alike at every
            level of graph optimisation; nothing is written then.
    """
    frame.check()
    source = find_source(model)
    file = make_pixels(source, frame)
    keep_compiled_programs()
    parity = measure_pixels(PixelsModel(file, out), source.score)
    check_pixels_parity(parity)
    content = file.model.SerializeToString(deterministic=True)
    check_levels(content, out, example_feed(frame))
    entry = PixelsEntry(
        width=frame.width,
        height=frame.height,
        samples=frame.samples,
        scale="luma as 8 bits have it, 0-255; 10 bits divided by 4",
        gain_limit=source.feature_set.gain_limit,
        first_frame="previous is the reference itself: motion 0",
        motion2=MOTION2,
    )
    with work_folder() as folder:
        verified = folder / out.name
        write_bytes(verified, content)
        reports = {pixels_files(out)[2]: to_json(parity)}
        write_models({out: verified}, source.origin, pixels=entry, reports=reports)
    return ExportedPixels(parity, len(file.model.graph.node), len(content))


def pixels_files(out: Path) -> list[Path]:
    """Returns the files of an export: the model, its sidecar, and its agreement with JAX."""
    return [out, sidecar_path(out), out.with_name(f"{out.stem}.parity.json")]


def open_pixels(model: str, frame: Frame, *, provider: str = "CPU") -> PixelsModel:
    """Opens a MODEL in ONNX Runtime, for pictures of one size.

    Args:
        model: a pixels file of that size, or a MODEL that one is made of on the spot.

    Raises:
        InputError: it is none, the file is for another size, or the provider cannot run it.
        GateError: the graph that was made is farther from JAX than its limit.
    """
    path = Path(model)
    if not (model.endswith(".onnx") and is_pixels(path)):
        runtime = PixelsModel(make_pixels(find_source(model), frame), path, provider=provider)
        prove_features(runtime)
        return runtime
    file = read_pixels(path)
    if (file.frame.width, file.frame.height) != (frame.width, frame.height):
        raise InputError(
            f"{path}: is for {file.frame.width}x{file.frame.height}, the videos are "
            f"{frame.width}x{frame.height}; export it with --size {frame.width}x{frame.height}, "
            f"or name the model that it was made of."
        )
    runtime = PixelsModel(file, path, provider=provider)
    _check_measured(runtime)
    return runtime


def make_pixels(source: Source, frame: Frame) -> PixelsFile:
    """Returns a pixels model of a MODEL for pictures of one size, in memory.

    Raises:
        InputError: the pictures are too small or too large.
    """
    properties = {"name": source.origin.name}
    if source.origin.training is not None and source.origin.training.config_sha256:
        properties["training_sha256"] = source.origin.training.config_sha256
    model = pixels_model(source.head, source.feature_set, frame, properties)
    return check_pixels(model, Path(f"{source.origin.name} at {frame.width}x{frame.height}"))


def prove_features(runtime: PixelsModel) -> None:
    """Compares the features of a graph with JAX on a few pictures, unless that was done before.

    JAX takes seconds to compile for a size, so the cache keeps which graphs have agreed.

    Raises:
        GateError: a feature is farther from JAX's than its limit.
    """
    digest = hashlib.sha256(runtime.provider.encode())
    for package in ("vmaf-jax", "jax", "onnxruntime"):
        digest.update(metadata.version(package).encode())
    digest.update(feature_part(runtime.file.model))
    proof = cache_dir() / "pixels" / f"{digest.hexdigest()}.json"
    if proof.is_file():
        return
    keep_compiled_programs()
    distances = measure_features(runtime)
    check_features(distances)
    with contextlib.suppress(InputError):  # without a cache it is measured anew the next time
        write_text(proof, to_json(distances))


def _check_measured(runtime: PixelsModel) -> None:
    """Holds the features of a pixels file against those of our own graph, on one picture.

    A file that has the very nodes of our graph needs no picture. The picture has gained contrast,
    which tells feature sets of other gain limits apart.

    Raises:
        InputError: the file measures something else than its feature set.
    """
    feature_set = runtime.feature_set

    def largest(graph: Graph, rows: Value) -> Value:  # a head, which a whole graph needs
        return graph.op("Clip", graph.op("ReduceMax", rows, axes=[1], keepdims=0), *OUTPUT_RANGE)

    own = pixels_model(largest, feature_set, runtime.frame, {"name": "features"})
    if feature_part(own) == feature_part(runtime.file.model):
        return
    feed = example_feed(runtime.frame, "contrast gained")
    expected = PixelsModel(check_pixels(own, runtime.path), runtime.path).features_of(feed)[0]
    received = runtime.features_of(feed)[0]
    apart = np.abs(received - expected) / np.maximum(1, np.abs(expected))
    if apart.max() > _MEASURED_APART:
        name = feature_set.names[int(apart.argmax())]
        raise InputError(
            f"{runtime.path}: says that it measures the feature set {feature_set.name}, but its "
            f"{name} of a sample picture is {apart.max():.2g} off; export it again with "
            f"`--format pixels`."
        )


def find_origin(model: str) -> Origin:
    """Finds what the sidecar of a pixels file, or of a MODEL, says of it.

    Raises:
        InputError: it is no model, or not the file that the sidecar beside it describes.
    """
    path = Path(model)
    if model.endswith(".onnx") and is_pixels(path):
        return check_sidecar(path) or Origin(name=read_pixels(path).name)
    return find_source(model).origin


def find_source(model: str) -> Source:
    """Finds a MODEL: a shipped name, a run folder, an `.onnx` file over features, or a teacher.

    Raises:
        InputError: it is none of them, takes clips and not frames, or reads more than luma.
    """
    if is_teacher(model):
        source = _teacher_source(model)
    elif model.endswith(".onnx"):
        source = _onnx_source(Path(model))
    elif (exported := shipped_onnx(model)) is not None:
        source = _onnx_source(exported, name=model)
    elif (find_run(model) / CLIPS_FILE).is_file():
        source = _onnx_source(find_run(model) / "model.onnx")
    else:
        source = _run_source(model)
    if source.feature_set.planes > 1:
        raise InputError(
            f"{model}: takes the feature set {source.feature_set.name}, of which no graph from "
            f"pictures is made; score with --backend jax or libvmaf, or export its head with "
            f"--format onnx."
        )
    return source


def _teacher_source(model: str) -> Source:
    teacher = load_teacher(model)
    low, high = OUTPUT_RANGE
    ends = teacher.model.clip or (-math.inf, math.inf)

    def head(graph: Graph, rows: Value) -> Value:
        score = teacher_head(graph, teacher, rows)
        if low <= ends[0] <= ends[1] <= high:
            return score
        return graph.op("Clip", score, low, high)

    def score(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.clip(teacher(features), low, high)

    return Source(teacher_origin(teacher), teacher.feature_set, head, score)


def _onnx_source(path: Path, name: str | None = None) -> Source:
    if is_pixels(path):
        raise InputError(f"{path}: is a pixels model; name the model that it was made of.")
    file = load_onnx(path)
    origin = check_sidecar(path) or Origin(name=path.stem)
    if file.over_frames:
        raise InputError(f"{path}: takes whole clips; only models of frames are put into a graph.")
    model = onnx.load_model_from_string(file.content)
    if any(entry.key == "quant_mode" and entry.value != "fp32" for entry in model.metadata_props):
        raise InputError(f"{path}: is in 8 bits; name the float32 file beside it.")

    def head(graph: Graph, rows: Value) -> Value:
        return student_head(graph, model, rows)

    if name is not None:
        origin = origin.model_copy(update={"name": name})
    return Source(origin, file.feature_set, head, OnnxModel(path))


def _run_source(model: str) -> Source:
    # JAX, Flax and Orbax, which a shipped model's file does without.
    from vmaf_jax.export.onnx_file import export_onnx
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
        return dataclasses.replace(_onnx_source(path), origin=run.identity.origin)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Features and scores of a pair by a pixels model.

    Attributes:
        features: `[frames, 6]`, with motion2.
        scores: `[frames]`, VMAF points.
        comparison: How the two videos were compared.
        seconds: Of `extraction` and of `inference`.
        feature_set: Of the features.
    """

    features: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    comparison: Description
    seconds: dict[str, float]
    feature_set: FeatureSet


def score_pixels(
    pair: VideoPair,
    model: str,
    comparison: Comparison,
    *,
    provider: str | None = None,
    teachers: tuple[str, ...] = (),
) -> Scores:
    """Scores a pair of videos by a pixels model, or a MODEL that one is made of on the spot.

    Args:
        provider: Of ONNX Runtime, by default its CPU.
        teachers: Models whose scores of the same features are wanted too.

    Raises:
        InputError: A file cannot be measured, the model is none or for another size, a teacher
            takes other features, or ONNX Runtime has no such provider.
        GateError: A graph that is made on the spot is farther from JAX than its limit.
    """
    origin = find_origin(model)
    measured = measure_pair(pair, model, comparison, provider=provider or "CPU")
    labels = {}
    for teacher in map(load_teacher, teachers):
        if not teacher.feature_set.is_alike_in_jax(measured.feature_set):
            raise InputError(
                f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, "
                f"{measured.feature_set.name} is measured; use --backend libvmaf."
            )
        labels[teacher.name] = teacher(measured.features)
    return Scores(
        model=origin.name,
        kind="onnx",
        per_frame=measured.scores,
        table=_make_table(pair, measured, labels, provider or "CPU"),
        seconds=measured.seconds,
        pooled=apply_pooling(measured.scores, origin.pooling),
        pooling=origin.pooling,
        label_scale=origin.label_scale if origin.label_name == "mos" else None,
    )


def measure_pair(
    pair: VideoPair, model: str, comparison: Comparison, *, provider: str
) -> Measurement:
    """Returns features and scores of every frame of a pair; raises as `score_pixels`."""
    check_provider(provider)
    started = time.perf_counter()
    luma = DecodedPair(find_ffmpeg(), pair[0], pair[1], comparison=comparison)
    try:
        runtime = open_pixels(model, Frame(luma.width, luma.height), provider=provider)
        if runtime.frame.samples == "uint8" and luma.bits > 8:
            raise InputError(
                f"{model}: takes 8-bit samples, the videos have {luma.bits}; export it with "
                f"--samples float32."
            )
        parts = list(_measure_chunks(luma, runtime))
        description = luma.finish()
    finally:
        luma.close()
    if not parts:
        raise InputError(f"{pair[1].path}: holds no frame to measure; check both files.")
    features = np.concatenate(parts).astype(np.float64)
    motion = features[:, -1]
    features[:, -1] = np.minimum(motion, np.append(motion[1:], motion[-1:]))  # motion2
    rows = measured_rows(description)
    if rows is not None:
        features, description = features[rows], {**description, "frames": len(rows)}
    extraction = time.perf_counter() - started
    scores = runtime.score(features).astype(np.float64)
    inference = time.perf_counter() - started - extraction
    seconds = {"extraction": extraction, "inference": inference}
    return Measurement(features, scores, description, seconds, runtime.feature_set)


def _measure_chunks(luma: DecodedPair, model: PixelsModel) -> Iterator[npt.NDArray[np.float32]]:
    """Yields features `[n, 6]`, with motion, of a few frames at a time."""
    previous: Samples | None = None
    n = max(1, min(_MAX_FRAMES, _CHUNK_SAMPLES // (luma.height * luma.width)))
    n = max(n, min(model.workers, _MAX_FRAMES))
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(_read, luma, n)
        while len((chunk := ahead.result())[0]):
            reference, distorted = chunk
            ahead = reader.submit(_read, luma, n)
            first = reference[:1] if previous is None else previous
            before = np.concatenate([first, reference[:-1]])
            previous = reference[-1:]
            yield model.features(
                _to_eight_bits(reference, luma.bits),
                _to_eight_bits(distorted, luma.bits),
                _to_eight_bits(before, luma.bits),
            )


def _read(luma: DecodedPair, n: int) -> tuple[Samples, Samples]:
    """Reads the next `n` frames of both, or as many as there are, into new arrays."""
    shape, kind = (n, luma.height, luma.width), sample_dtype(luma.bits)
    reference, distorted = np.empty(shape, kind), np.empty(shape, kind)
    count = 0 if luma.ended else luma.read(reference, distorted)
    return reference[:count], distorted[:count]


def _to_eight_bits(picture: Samples, bits: int) -> Pictures:
    """Returns samples on the scale of 8 bits, as the graph takes them."""
    return picture if bits == 8 else picture.astype(np.float32) / 2 ** (bits - 8)


def _make_table(
    pair: VideoPair,
    measured: Measurement,
    labels: dict[str, npt.NDArray[np.float64]],
    provider: str,
) -> FeatureTable:
    import onnxruntime

    n = len(measured.features)
    rows = measured_rows(measured.comparison)
    reference, distorted = pair
    return FeatureTable(
        feature_set=measured.feature_set,
        corpus=constant_text("", n),
        source=constant_text(str(reference.path), n),
        clip=constant_text(str(distorted.path), n),
        index=(np.arange(n) if rows is None else rows).astype(np.int32),
        features=measured.features,
        labels=labels,
        provenance={
            "backend": "onnx",
            "backend_version": onnxruntime.__version__,
            "ffmpeg_version": find_ffmpeg().version,
            "device": provider,
            "inputs": {
                "reference": file_digest(reference.path),
                "distorted": file_digest(distorted.path),
            },
            "comparison": measured.comparison,
        },
    )
