"""The JAX backend: features of many pairs, computed while ffmpeg decodes.

A thread decodes one chunk ahead of the device. Frames of several clips of one size share a chunk,
so that short clips fill the device too; a frame's row depends on its own clip alone. Frames come
packed as a decoder writes them: the planes of a frame one after the other in a row of samples.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import math
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float, Int, Shaped

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.libvmaf import describe_v1_form
from vmaf_jax.extraction.request import Request, TableOrError, request_key, resolve_teachers
from vmaf_jax.features import v1
from vmaf_jax.features.feature_set import FEATURES, MIN_SIZE, FeatureSet
from vmaf_jax.features.frames import chunk_features
from vmaf_jax.features.motion import motion2
from vmaf_jax.teacher import Teacher, load_teacher
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, Description
from vmaf_jax.video.decode import DecodedPair, Samples, sample_dtype
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.geometry import EncodedFormat
from vmaf_jax.video.inputs import VideoPair, check_video, file_digest, text_digest

RECIPE = 5  # of the computation: raised with every change of values, so that none is served old
_CHUNK_SAMPLES = 2**25  # of each picture: 16 frames of 1080p
_MAX_FRAMES = 64
Features = npt.NDArray[np.float64]  # [frames, features]

BLOCK = 8  # frames that are computed side by side where one does not fill the device


def extract_by_jax(
    pairs: Sequence[VideoPair], request: Request, on_pair: Callable[[int], None]
) -> list[TableOrError]:
    """Returns a table per pair, or why there is none, as `extract_each`.

    Pairs that the cache lacks go to the device together, in the order given.

    Raises:
        InputError: no ffmpeg, or a teacher is unknown or takes other features than are extracted.
    """
    ffmpeg = find_ffmpeg()
    teachers = _load_teachers(request.teachers, request.feature_set)
    device = request.device or jax.devices()[0]
    backend = {
        "backend": "jax",
        "backend_version": jax.__version__,
        "ffmpeg_version": ffmpeg.version,
        "device": device.device_kind,
    }
    cache = _cache(request, teachers, backend)
    tables: dict[int, TableOrError] = {}
    for index, pair in enumerate(pairs):
        try:
            for video in pair:
                check_video(video)
            if (cached := cache.find(pair)) is not None:
                tables[index] = cached
                on_pair(len(cached))
        except InputError as error:
            tables[index] = error
    missing = [index for index in range(len(pairs)) if index not in tables]
    results = measure_in_jax(
        ffmpeg,
        [pairs[index] for index in missing],
        feature_set=request.feature_set,
        comparison=request.comparison,
        on_frames=request.on_frames,
        device=device,
    )
    with concurrent.futures.ThreadPoolExecutor(1) as hashing, contextlib.closing(results):
        digests = [
            [hashing.submit(file_digest, video.path) for video in pairs[index]] for index in missing
        ]
        try:
            for index, contents, result in zip(missing, digests, results, strict=True):
                try:
                    features = result.features()
                    labels = {name: teacher(features) for name, teacher in teachers.items()}
                    tables[index] = cache.store(
                        pairs[index],
                        features,
                        labels,
                        request.feature_set,
                        backend,
                        [digest.result() for digest in contents],
                        result.description,
                    )
                    on_pair(len(features))
                except InputError as error:
                    tables[index] = error
        finally:
            hashing.shutdown(wait=False, cancel_futures=True)
    return [tables[index] for index in range(len(pairs))]


def _load_teachers(names: tuple[str, ...], feature_set: FeatureSet) -> dict[str, Teacher]:
    teachers = {
        model.name: load_teacher(model.path or model.name) for model in resolve_teachers(names)
    }
    for teacher in teachers.values():
        if not teacher.feature_set.is_alike_in_jax(feature_set):
            raise InputError(
                f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, "
                f"{feature_set.name} is measured; use --backend libvmaf, which runs any model."
            )
    return teachers


def _cache(request: Request, teachers: dict[str, Teacher], backend: dict[str, str]) -> Cache:
    models = [
        (name, text_digest(json.dumps(teacher.model.document, sort_keys=True)))
        for name, teacher in teachers.items()
    ]
    settings = {"recipe": RECIPE, **backend, **request_key(request, models)}
    return Cache(request.cache_folder, settings, list(teachers))


class MeasuredPair(NamedTuple):
    """Features that JAX measured of a pair, or why there are none.

    Attributes:
        outcome: features `[frames, features]`, no unit, or why there are none.
        description: how the two were compared; empty where there are no features.
    """

    outcome: Features | InputError
    description: Description

    def features(self) -> Features:
        """Returns the features, or raises the InputError that says why there are none."""
        if isinstance(self.outcome, InputError):
            raise self.outcome
        return self.outcome


def measure_in_jax(
    ffmpeg: Ffmpeg,
    pairs: Sequence[VideoPair],
    *,
    feature_set: FeatureSet = FEATURES,
    comparison: Comparison = DEFAULT_COMPARISON,
    on_frames: Callable[[int], None] | None = None,
    device: jax.Device | None = None,
    frames: int | None = None,
) -> Generator[MeasuredPair, None, None]:
    """Yields what is measured of each pair, in order, as soon as it is known.

    Args:
        comparison: what is allowed where the two videos of a pair differ.
        on_frames: called with how many more frames are measured.
        device: by default JAX's first.
        frames: of a chunk, by default as many as `chunk_frames` says; changes no value.
    """
    device = device or jax.devices()[0]
    program = feature_program(feature_set)
    rows: dict[int, list[Features]] = {}

    def collect(step: _Step, computed: jax.Array | None) -> Iterator[MeasuredPair]:
        if step.chunk is not None:
            values = np.asarray(computed, dtype=np.float64)  # waits for the device
            for index, first, count in step.chunk.parts:
                rows.setdefault(index, []).append(values[first : first + count])
            if on_frames is not None:
                on_frames(step.chunk.count)
        for index, end in step.ended:
            parts = rows.pop(index, [])
            if isinstance(end, InputError):
                yield MeasuredPair(end, {})
            elif not parts:
                path = pairs[index][1].path
                empty = InputError(f"{path}: holds no frame to measure; check both files.")
                yield MeasuredPair(empty, {})
            else:
                yield MeasuredPair(program.finish(np.concatenate(parts)), end)

    previous: Samples | None = None
    computing: tuple[_Step, jax.Array | None] | None = None
    decoded = _decode_pairs(ffmpeg, pairs, comparison, feature_set, frames)
    with contextlib.closing(_one_ahead(decoded)) as steps:
        for step in steps:
            computed = None
            if step.chunk is not None:
                previous = step.chunk.frames_before(previous, program.n_before)
                computed = _compute(step.chunk, previous, feature_set, device)
                previous = np.concatenate([previous, step.chunk.reference])[-program.n_before :]
            if computing is not None:
                yield from collect(*computing)  # while the device works on the chunk after it
            computing = (step, computed)
    if computing is not None:
        yield from collect(*computing)


def chunk_frames(height: int, width: int) -> int:
    """Returns the number of frames in a chunk of pictures of a size."""
    n = max(1, min(_MAX_FRAMES, _CHUNK_SAMPLES // (height * width)))
    return n - n % BLOCK if n > BLOCK else n


class FrameShape(NamedTuple):
    """Heights and widths of a frame's planes; chroma is 0 by 0 where there is none."""

    height: int
    width: int
    chroma_height: int = 0
    chroma_width: int = 0

    @property
    def samples(self) -> int:
        """Number of samples of a frame, all planes together."""
        return self.height * self.width + 2 * self.chroma_height * self.chroma_width


@dataclasses.dataclass
class _Chunk:
    """Frames of one or more clips, packed; `parts` are (pair, first row, rows), up to `count`."""

    reference: Samples
    distorted: Samples
    shape: FrameShape
    bits: int
    encode: EncodedFormat | None
    starts: npt.NDArray[np.bool_]
    parts: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)
    count: int = 0

    @property
    def format(self) -> tuple[FrameShape, int, EncodedFormat | None]:
        """Properties that frames of one chunk have in common."""
        return self.shape, self.bits, self.encode

    def frames_before(self, previous: Samples | None, count: int) -> Samples:
        """Returns the `count` frames before the first.

        Where the last chunk was of another format the first frame stands for them: a clip starts
        there, whose rows need none.
        """
        first = self.reference[:1]
        if previous is None or (previous.shape[1:], previous.dtype) != (
            first.shape[1:],
            first.dtype,
        ):
            return np.repeat(first, count, axis=0)
        return previous


@dataclasses.dataclass
class _Step:
    """A chunk to compute, if any, and the pairs that end with it: how compared, or why not."""

    chunk: _Chunk | None = None
    ended: list[tuple[int, InputError | Description]] = dataclasses.field(default_factory=list)


def _compute(
    chunk: _Chunk, previous: Samples, feature_set: FeatureSet, device: jax.Device
) -> jax.Array:
    program = feature_program(feature_set, chunk.encode)
    block = frames_side_by_side(device, len(chunk.reference))
    arrays = (chunk.reference, chunk.distorted, previous, chunk.starts, np.int32(chunk.count))
    reference, distorted, before, starts, count = jax.device_put(arrays, device)
    return program.rows(
        reference, distorted, before, starts, count, shape=chunk.shape, bits=chunk.bits, block=block
    )


def _decode_pairs(
    ffmpeg: Ffmpeg,
    pairs: Sequence[VideoPair],
    comparison: Comparison,
    feature_set: FeatureSet,
    frames: int | None,
) -> Generator[_Step, None, None]:
    """Decodes pair after pair into chunks of `frames` frames."""
    has_chroma = feature_set.planes > 1
    step = _Step()
    for index, pair in enumerate(pairs):
        end: InputError | Description
        try:
            decoder = DecodedPair(ffmpeg, *pair, comparison=comparison, planes=feature_set.planes)
            with contextlib.closing(decoder):
                shape = FrameShape(decoder.height, decoder.width, *decoder.chroma)
                if problem := feature_program(feature_set).too_small(shape):
                    raise InputError(f"{pair[0].path}: {problem}")
                encode = decoder.plan.encode if has_chroma else None
                if step.chunk and step.chunk.format != (shape, decoder.bits, encode):
                    yield step
                    step = _Step()
                begun = False
                while not decoder.ended:
                    chunk = step.chunk = step.chunk or _new_chunk(
                        shape, decoder.bits, encode, frames
                    )
                    first = chunk.count
                    count = decoder.read(chunk.reference[first:], chunk.distorted[first:])
                    if count:
                        chunk.starts[first] = not begun
                        begun = True
                        chunk.parts.append((index, first, count))
                        chunk.count += count
                    if chunk.count == len(chunk.reference):
                        yield step
                        step = _Step()
                form = describe_v1_form(decoder.bits, encode) if has_chroma else {}
                end = {**decoder.finish(), **form}
        except InputError as error:
            end = error
        step.ended.append((index, end))
        if step.chunk is None:
            yield step
            step = _Step()
    if step.chunk is not None:
        yield step


def _new_chunk(
    shape: FrameShape, bits: int, encode: EncodedFormat | None, frames: int | None
) -> _Chunk:
    n = frames or chunk_frames(shape.height, shape.width)
    # New arrays for each, since JAX on a CPU may compute on these very arrays; zeros, since frames
    # that are not filled are computed too.
    reference, distorted = (np.zeros((n, shape.samples), sample_dtype(bits)) for _ in range(2))
    return _Chunk(reference, distorted, shape, bits, encode, np.zeros(n, np.bool_))


def _one_ahead(steps: Generator[_Step, None, None]) -> Generator[_Step, None, None]:
    """Yields steps that a thread of its own makes, one ahead; closed, it ends the thread."""
    made: queue.Queue[_Step | BaseException | None] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def make() -> None:
        try:
            with contextlib.closing(steps):
                for step in steps:
                    made.put(step)
                    del step  # or its chunk would live on while the next one is decoded
                    if stopped.is_set():
                        break
            made.put(None)
        except BaseException as bug:
            made.put(bug)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (step := made.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room in the queue
            with contextlib.suppress(queue.Empty):
                made.get(timeout=0.05)


class FeatureProgram(NamedTuple):
    """Functions that compute a feature set.

    Attributes:
        rows: from packed chunks to rows `[t, features]`, jitted; static `shape`, `bits`, `block`.
        finish: from a whole clip's rows to its features.
        too_small: why pictures of a shape cannot be measured, None where they can.
        n_before: how many frames of the reference before a chunk `rows` needs.
    """

    rows: Callable[..., jax.Array]
    finish: Callable[[Features], Features]
    too_small: Callable[[FrameShape], str | None]
    n_before: int


@functools.lru_cache  # so that each program is compiled once
def feature_program(feature_set: FeatureSet, encode: EncodedFormat | None = None) -> FeatureProgram:
    """Returns the program of a feature set.

    Args:
        encode: size and depth that pictures had before they were scaled, which v1's CAMBI reads.
    """
    jitted = functools.partial(jax.jit, static_argnames=("shape", "bits", "block"))
    if feature_set.planes == 1:
        luma_rows = functools.partial(_luma_rows, gain_limit=feature_set.gain_limit)
        return FeatureProgram(jitted(luma_rows), _motion_to_motion2, _too_small_for_adm, 1)
    settings = v1.settings_of(feature_set, encode)
    return FeatureProgram(
        jitted(functools.partial(_v1_rows, settings=settings)),
        functools.partial(v1.finish, feature_set=feature_set),
        lambda shape: v1.too_small(shape[:2], shape[2:], feature_set),
        settings.motion.apart,
    )


def frames_side_by_side(device: jax.Device, n_frames: int) -> int:
    """Returns how many frames of a chunk to compute at once: one on a CPU, whose cache it fills."""
    return 1 if device.platform == "cpu" else math.gcd(n_frames, BLOCK)


def _luma_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "1 s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    gain_limit: float,
    shape: FrameShape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    x, y, before = (x.reshape(-1, *shape[:2]) for x in (reference, distorted, previous))
    return chunk_features(
        x, y, before[0], starts, bits=bits, gain_limit=gain_limit, block=block, count=count
    )


def _v1_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "k s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    settings: v1.Settings,
    shape: FrameShape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    # `starts` is not needed: `motion3`, in `v1.finish`, sets the first frames of each clip.
    return v1.v1_chunk(
        unpack_planes(reference, shape),
        unpack_planes(distorted, shape),
        unpack_planes(previous, shape).y,
        bits=bits,
        settings=settings,
        block=block,
        count=count,
    )


def unpack_planes(packed: Shaped[Array, "t s"], shape: FrameShape) -> v1.Planes:
    """Returns the planes `[t, h, w]` of packed frames."""
    luma, chroma = shape.height * shape.width, shape.chroma_height * shape.chroma_width
    y, u, v = jnp.split(packed, [luma, luma + chroma], axis=1)
    u, v = (x.reshape(-1, *shape[2:]) for x in (u, v))
    return v1.Planes(y.reshape(-1, *shape[:2]), u, v)


def _motion_to_motion2(rows: Features) -> Features:
    """Replaces motion, the last column, by the smaller of a frame's motion and the next one's."""
    return np.concatenate([rows[:, :-1], motion2(rows[:, -1])[:, None]], axis=1)


def _too_small_for_adm(shape: FrameShape) -> str | None:
    if min(shape[:2]) >= MIN_SIZE:
        return None
    return (
        f"{shape.width}x{shape.height} is too small; ADM needs at least {MIN_SIZE} pixels each way."
    )
