"""ONNX files that keep the contract: how they are written, and how ONNX Runtime runs them."""

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.export.contract import (
    INPUT_NAME,
    IR_VERSION,
    MASK_NAME,
    OUTPUT_NAME,
    SPREAD_NAME,
    check_contract,
    load_onnx,
)
from vmaf_jax.features.feature_set import OUTPUT_RANGE, FeatureSet
from vmaf_jax.files import write_bytes

if TYPE_CHECKING:
    import onnx
    import onnxruntime

_DYNAMIC = b"DynamicQuantizeLinear"
Feed = Mapping[str, npt.NDArray[np.generic]]  # an array for each input
CPU = "CPUExecutionProvider"
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
# Between levels, of an output or of that share of it above 1: fused operators round otherwise, and
# a value may fall into the next of 256 steps (0.09 points, in 4 of 100,000 rows of `tiny`).
LEVELS_APART = 1e-3
ROWS_APART = 1e-2  # VMAF points; of one row and of several, products are summed otherwise


def write_onnx(
    model: "onnx.ModelProto", path: Path, properties: dict[str, str], *, over_frames: bool = False
) -> Path:
    """Writes a model from features to scores, once it was checked against the contract and run.

    Args:
        properties: the file's metadata.
        over_frames: whether it takes clips, with a mask of their frames.

    Raises:
        InputError: the graph breaks the contract, or `path` cannot be written.
        GateError: it does not run alike at every level of graph optimisation.
    """
    import onnx

    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "vmaf-jax", metadata.version("vmaf-jax")
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    feature_set = check_contract(model, path)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    check_levels(content, path, example_feed(feature_set, over_frames=over_frames))
    write_bytes(path, content)
    return path


def check_levels(content: bytes, path: Path, feed: Feed) -> None:
    """Runs a model that was just written once at each of ONNX Runtime's levels of optimisation.

    A file may be valid for `onnx.checker` and run only where ONNX Runtime fuses its operators;
    browsers, mobile builds and other runtimes fuse less.

    Args:
        path: for messages alone.

    Raises:
        GateError: it does not run at a level, or its outputs differ between levels by more than
            `LEVELS_APART`.
    """
    import onnxruntime

    results = {}
    for level in reversed(LEVELS):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # a failure is raised below
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        try:
            session = onnxruntime.InferenceSession(content, options, providers=[CPU])
            results[level] = session.run(None, feed)
        except runtime_errors() as error:
            raise GateError(
                f"{path.name}: does not run at graph optimisation level {level} "
                f"({first_line(error)}; docs/traps.md)."
            ) from error
    for level, outputs in results.items():
        for ours, fused in zip(outputs, results[LEVELS[-1]], strict=True):
            apart = np.abs(ours - fused) / np.maximum(1, np.abs(fused))
            if not (apart <= LEVELS_APART).all():  # NaN misses too
                raise GateError(
                    f"{path.name}: at graph optimisation level {level} it is {apart.max():.2e} "
                    f"from {LEVELS[-1]}, limit {LEVELS_APART:g}."
                )


def example_feed(feature_set: FeatureSet, *, over_frames: bool = False) -> Feed:
    """Returns inputs for `check_levels`: the features' box from corner to corner in 8 rows."""
    lower, upper = np.array(feature_set.lower), np.array(feature_set.upper)
    rows = (lower + np.linspace(0, 1, 8)[:, None] * (upper - lower)).astype(np.float32)
    if not over_frames:
        return {INPUT_NAME: rows}
    return {INPUT_NAME: rows.reshape(2, 4, -1), MASK_NAME: np.ones((2, 4), np.float32)}


class OnnxModel:
    """An ONNX student in ONNX Runtime (CPU).

    It is called with features `[n, d]`; one over frames also with those of clips, `[n, t, d]` and a
    mask `[n, t]`, and takes rows as clips of one frame.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        """Loads and checks `path`; `threads` 0 leaves the number to ONNX Runtime."""
        file = load_onnx(path)
        self.path, self.feature_set, self.over_frames = path, file.feature_set, file.over_frames
        self.has_spread = file.has_spread
        self.session = open_session(file.content, path, threads=threads)
        if _DYNAMIC not in file.content:  # whose steps follow from all rows of a call
            check_rows(self, self.feature_set, path)

    def __call__(
        self, features: npt.ArrayLike, frames: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float32]:
        """Returns scores `[n]` in VMAF points, clipped to 0-100."""
        x = np.ascontiguousarray(features, dtype=np.float32)
        feed = {INPUT_NAME: x}
        if self.over_frames:
            mask = np.ones((len(x), 1)) if frames is None else frames
            feed = {
                INPUT_NAME: x[:, None] if frames is None else x,
                MASK_NAME: np.ascontiguousarray(mask, dtype=np.float32),
            }
        (scores,) = run_session(self.session, [OUTPUT_NAME], feed, self.path)
        return check_scores(scores, x, self.path)

    def with_spread(
        self, features: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Returns an ensemble's scores and spreads, each `[n]`, VMAF points.

        Raises:
            InputError: the model is no ensemble, or gives other than finite spreads from 0 up.
        """
        if not self.has_spread:
            raise InputError(f"{self.path}: is no ensemble (no {SPREAD_NAME}); export one.")
        x = np.ascontiguousarray(features, dtype=np.float32)
        names = [OUTPUT_NAME, SPREAD_NAME]
        scores, spread = run_session(self.session, names, {INPUT_NAME: x}, self.path)
        if not (np.isfinite(spread).all() and (spread >= 0).all()):
            raise InputError(f"{self.path}: gives spreads that are no numbers; export it again.")
        return check_scores(scores, x, self.path), np.asarray(spread)

    def in_batches(self, features: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
        """Returns the scores of rows (or packed clips), `size` of them at a time."""
        batches = (features[k : k + size] for k in range(0, len(features), size))
        parts = [self(*unpack(batch)) for batch in batches]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


def open_session(
    content: bytes, path: Path, *, threads: int = 0, providers: tuple[str, ...] = (CPU,)
) -> "onnxruntime.InferenceSession":
    """Opens an ONNX Runtime session over a model's bytes.

    Args:
        path: for the message alone.
        threads: within an operator; 0 leaves the number to ONNX Runtime.
        providers: execution providers by their full names; the first that can runs an operator.

    Raises:
        InputError: ONNX Runtime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(providers))
    except runtime_errors() as error:
        raise InputError(f"{path}: ONNX Runtime refuses it ({first_line(error)}).") from error


def run_session(
    session: "onnxruntime.InferenceSession", outputs: list[str], feed: Feed, path: Path
) -> list[npt.NDArray[np.float32]]:
    """Runs a session and returns the outputs named; raises InputError where that fails."""
    try:
        return session.run(outputs, feed)
    except runtime_errors() as error:
        raise InputError(f"{path}: ONNX Runtime fails ({first_line(error)}).") from error


def runtime_errors() -> tuple[type[Exception], ...]:
    """Returns the exceptions that ONNX Runtime raises."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.RuntimeException,
        state.NotImplemented,
        MemoryError,
    )


def first_line(error: Exception) -> str:
    """Returns the first line of an error of ONNX Runtime, whose others are a trace."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_scores(
    scores: npt.ArrayLike, rows: npt.NDArray[np.float32], path: Path
) -> npt.NDArray[np.float32]:
    """Checks that a model gave a score for each of `rows`, all in 0-100, and returns them.

    Raises:
        InputError: there are more or fewer, or one is NaN or off the scale.
    """
    low, high = OUTPUT_RANGE
    clipped = np.asarray(scores)
    if clipped.shape != (len(rows),) or not ((clipped >= low) & (clipped <= high)).all():
        raise InputError(
            f"{path}: gives scores of shape {clipped.shape} for {len(rows)} rows that are not all "
            f"in [{low:g}, {high:g}]; export it again."
        )
    return clipped


def check_rows(
    score: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    feature_set: FeatureSet,
    path: Path,
) -> None:
    """Checks that a model scores each row of features `[n, d]` by itself.

    Raises:
        InputError: rows that are scored together get other scores than each alone, by more than
            `ROWS_APART`.
    """
    rows = example_feed(feature_set)[INPUT_NAME].astype(np.float32)
    alone = np.concatenate([score(rows[k : k + 1]) for k in range(len(rows))])
    apart = np.abs(score(rows) - alone).max()
    if apart > ROWS_APART:
        raise InputError(
            f"{path}: the score of a frame depends on the frames that are scored with it (by "
            f"{apart:.3g} points); export it again."
        )


def pack(features: np.ndarray, frames: np.ndarray) -> npt.NDArray[np.float32]:
    """Returns clips `[n, t, d]` and their mask `[n, t]` as one array `[n, t, d + 1]`."""
    return np.concatenate([features, frames[..., None]], axis=-1).astype(np.float32)


def unpack(rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns the arguments of a model: rows `[n, d]`, or features and mask of packed clips."""
    return (rows,) if rows.ndim == 2 else (rows[..., :-1], rows[..., -1])
