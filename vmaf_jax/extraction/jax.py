"""The JAX backend: features of many pairs, computed while ffmpeg decodes.

Frames come packed, their planes one after the other in a row of samples, as a decoder writes them.

One thread decodes, a chunk ahead of the device. Frames of several clips of one size share a chunk,
so that short clips fill the device too; a frame's row depends on its own clip alone.

Pairs that were not measured before go to the device together, in the order given.
"""

import concurrent.futures
import dataclasses
import functools
import json
import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float, Int, Shaped

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.libvmaf import resolve_teachers
from vmaf_jax.extraction.request import Pair, Request, TableOrError, request_key
from vmaf_jax.extraction.v1_form import describe
from vmaf_jax.features import v1
from vmaf_jax.features.checks import MIN_SIZE
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.frames import chunk_features
from vmaf_jax.teacher import Teacher, load_teacher
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.decode import LumaPair, Samples, sample_type
from vmaf_jax.video.encode import Encode
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.inputs import Video, check_video, file_digest, text_digest

Rows = npt.NDArray[np.float64]


class Shape(NamedTuple):
    """Heights and widths of a frame's planes; chroma is 0 by 0 where there is none."""

    height: int
    width: int
    chroma_height: int = 0
    chroma_width: int = 0

    @property
    def samples(self) -> int:
        """Of a frame, all planes."""
        return self.height * self.width + 2 * self.chroma_height * self.chroma_width


class Method(NamedTuple):
    """What an extraction needs of a feature set.

    Attributes:
        rows: from packed chunks to rows `[t, features]`, jitted; static `shape`, `bits`, `block`.
        finish: from a whole clip's rows to its features, both float64.
        too_small: why pictures of a shape cannot be measured, None where they can.
        before: how many frames of the reference before a chunk `rows` asks for.
    """

    rows: Callable[..., jax.Array]
    finish: Callable[[Rows], Rows]
    too_small: Callable[[Shape], str | None]
    before: int


@functools.lru_cache
def method_of(feature_set: FeatureSet, encode: Encode | None = None) -> Method:
    """The method of a feature set, for pictures that were scaled from an encode or are its own."""
    if feature_set.planes == 1:
        rows = functools.partial(_luma_rows, gain_limit=feature_set.gain_limit)
        return Method(_jitted(rows), _with_motion2, _too_small_for_luma, 1)
    settings = v1.settings_of(feature_set, encode)
    return Method(
        _jitted(functools.partial(_plane_rows, settings=settings)),
        functools.partial(v1.finish, feature_set=feature_set),
        lambda shape: v1.too_small(shape[:2], shape[2:], feature_set),
        settings.motion.apart,
    )


def _jitted(rows: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return jax.jit(rows, static_argnames=("shape", "bits", "block"))


def _luma_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "1 s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    gain_limit: float,
    shape: Shape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    x, y, before = (x.reshape(-1, *shape[:2]) for x in (reference, distorted, previous))
    return chunk_features(
        x, y, before[0], starts, bits=bits, gain_limit=gain_limit, block=block, count=count
    )


def _plane_rows(
    reference: Shaped[Array, "t s"],
    distorted: Shaped[Array, "t s"],
    previous: Shaped[Array, "k s"],
    starts: Bool[Array, " t"],
    count: Int[Array, ""],
    *,
    settings: v1.Settings,
    shape: Shape,
    bits: int,
    block: int,
) -> Float[Array, "t f"]:
    return v1.v1_chunk(
        _planes(reference, shape),
        _planes(distorted, shape),
        _planes(previous, shape).y,
        bits=bits,
        settings=settings,
        block=block,
        count=count,
    )


def _planes(packed: Shaped[Array, "t s"], shape: Shape) -> v1.Planes:
    luma, chroma = shape.height * shape.width, shape.chroma_height * shape.chroma_width
    y, u, v = jnp.split(packed, [luma, luma + chroma], axis=1)
    u, v = (x.reshape(-1, *shape[2:]) for x in (u, v))
    return v1.Planes(y.reshape(-1, *shape[:2]), u, v)


def _with_motion2(rows: Rows) -> Rows:
    motion: Any = rows[:, -1]
    motion = np.minimum(motion, np.append(motion[1:], motion[-1]))
    return np.concatenate([rows[:, :-1], motion[:, None]], axis=1)


def _too_small_for_luma(shape: Shape) -> str | None:
    if min(shape[:2]) >= MIN_SIZE:
        return None
    return (
        f"{shape.width}x{shape.height} is too small; ADM needs at least {MIN_SIZE} pixels each way."
    )


_CHUNK_SAMPLES = 2**25  # of each picture: 16 frames of 1080p
_MAX_FRAMES = 64
_BLOCK = 8  # frames side by side where one does not fill the device

Features = npt.NDArray[np.float64]
Measured = Features | InputError
Described = dict[str, Any]  # how the two videos of a pair were compared


def chunk_frames(height: int, width: int) -> int:
    """Frames in a chunk of such pictures."""
    n = max(1, min(_MAX_FRAMES, _CHUNK_SAMPLES // (height * width)))
    return n - n % _BLOCK if n > _BLOCK else n


def side_by_side(device: jax.Device, frames: int) -> int:
    """How many frames a device computes at a time: one on a CPU, whose cache one fills."""
    return 1 if device.platform == "cpu" else math.gcd(frames, _BLOCK)


def measure_in_jax(
    ffmpeg: Ffmpeg,
    pairs: Sequence[tuple[Video, Video]],
    *,
    feature_set: FeatureSet = FEATURES,
    how: Comparison = DEFAULT_COMPARISON,
    on_pair: Callable[[int, Measured, Described], None] = lambda index, outcome, described: None,
    on_frames: Callable[[int], None] | None = None,
    device: jax.Device | None = None,
    frames: int | None = None,
) -> list[Measured]:
    """Features `[frames, features]` (no unit) of each pair, or why it could not be measured.

    Args:
        pairs: reference and distorted.
        feature_set: which features.
        how: what is allowed where the two videos of a pair differ.
        on_pair: called with a pair's index, its outcome and how the two were compared, as soon as
            that is known.
        on_frames: told how many more frames are measured.
        device: by default JAX's first.
        frames: of a chunk, by default as many as `chunk_frames` says; changes no value.
    """
    device = device or jax.devices()[0]
    method = method_of(feature_set)
    outcomes: list[Measured] = [InputError("not measured")] * len(pairs)
    rows: dict[int, list[Features]] = {}

    def collect(item: "_Item", computed: jax.Array | None) -> None:
        if computed is not None and item.chunk is not None:
            values = np.asarray(computed, dtype=np.float64)
            for index, first, count in item.chunk.parts:
                rows.setdefault(index, []).append(values[first : first + count])
            if on_frames is not None:
                on_frames(item.chunk.count)
        for index, end in item.ended:
            parts = rows.pop(index, [])
            if isinstance(end, InputError):
                outcomes[index], described = end, {}
            else:
                outcomes[index], described = _whole_clip(parts, pairs[index], method), end
            on_pair(index, outcomes[index], described)

    decoder = _Decoder(ffmpeg, pairs, how=how, frames=frames, feature_set=feature_set)
    previous: Samples | None = None
    behind: tuple[_Item, jax.Array | None] | None = None
    try:
        for item in decoder:
            computed = None
            if item.chunk is not None:
                previous = item.chunk.before(previous, method.before)
                own = method_of(feature_set, item.chunk.encode)
                computed = _compute(item.chunk, previous, own, device)
                previous = np.concatenate([previous, item.chunk.reference])[-method.before :]
            if behind is not None:
                collect(*behind)  # while the device works on the chunk after it
            behind = (item, computed)
        if behind is not None:
            collect(*behind)
    finally:
        decoder.stop()
    return outcomes


def _whole_clip(parts: list[Features], pair: tuple[Video, Video], method: Method) -> Measured:
    if not parts:
        return InputError(f"{pair[1].path}: holds no frame to measure; check both files.")
    return method.finish(np.concatenate(parts))


@dataclasses.dataclass
class _Chunk:
    """Frames of one or more clips, packed; `parts` are (pair, first row, rows), up to `count`."""

    reference: Samples
    distorted: Samples
    shape: Shape
    bits: int
    starts: npt.NDArray[np.bool_]
    parts: list[tuple[int, int, int]]
    encode: Encode | None = None
    count: int = 0

    @property
    def format(self) -> tuple[int | Encode | None, ...]:
        """What has to be alike for frames to share a chunk."""
        return (*self.shape, self.bits, self.encode)

    def before(self, previous: Samples | None, count: int) -> Samples:
        """The frames before the first; where none are known, which no row then needs, itself."""
        first = self.reference[:1]
        if previous is None or (previous.shape[1:], previous.dtype) != (
            first.shape[1:],
            first.dtype,
        ):
            return np.repeat(first, count, axis=0)
        return previous


@dataclasses.dataclass(frozen=True)
class _Item:
    """A chunk to compute, if any, and the pairs that end with it."""

    chunk: _Chunk | None
    ended: list[tuple[int, InputError | Described]]


def _compute(chunk: _Chunk, previous: Samples, method: Method, device: jax.Device) -> jax.Array:
    block = side_by_side(device, len(chunk.reference))
    arrays = (chunk.reference, chunk.distorted, previous, chunk.starts, np.int32(chunk.count))
    frames = jax.device_put(arrays, device)
    return method.rows(*frames, shape=chunk.shape, bits=chunk.bits, block=block)


class _Decoder:
    """Decodes pair after pair in a thread of its own; iterating gives items in order."""

    def __init__(
        self,
        ffmpeg: Ffmpeg,
        pairs: Sequence[tuple[Video, Video]],
        *,
        how: Comparison,
        frames: int | None,
        feature_set: FeatureSet,
    ) -> None:
        self._ffmpeg, self._pairs, self._feature_set = ffmpeg, pairs, feature_set
        self._how, self._frames = how, frames
        self._items: queue.Queue[_Item | BaseException | None] = queue.Queue(maxsize=1)
        self._stopped = threading.Event()
        self._chunk: _Chunk | None = None
        self._ended: list[tuple[int, InputError | Described]] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_Item]:
        while (item := self._items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def stop(self) -> None:
        """Ends the thread, wherever it is."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._items.get(timeout=0.05)
            except queue.Empty:
                continue

    def _work(self) -> None:
        try:
            for index, pair in enumerate(self._pairs):
                if self._stopped.is_set():
                    return
                end = self._decode(index, pair)  # which may begin another list of ends
                self._ended.append((index, end))
                if self._chunk is None:
                    self._emit()
            self._emit()
            self._items.put(None)
        except BaseException as bug:
            self._items.put(bug)

    def _decode(self, index: int, pair: tuple[Video, Video]) -> InputError | Described:
        try:
            luma = LumaPair(self._ffmpeg, *pair, how=self._how, planes=self._feature_set.planes)
        except InputError as error:
            return error
        try:
            shape = Shape(luma.height, luma.width, *luma.chroma)
            if problem := method_of(self._feature_set).too_small(shape):
                return InputError(f"{pair[0].path}: {problem}")
            encode = luma.plan.encode if self._feature_set.planes > 1 else None
            if self._chunk and self._chunk.format != (*shape, luma.bits, encode):
                self._emit()
            begun = False
            while not luma.ended and not self._stopped.is_set():
                chunk = self._chunk = self._chunk or self._new_chunk(shape, luma.bits, encode)
                first = chunk.count
                count = luma.read(chunk.reference[first:], chunk.distorted[first:])
                if count:
                    chunk.starts[first] = not begun
                    begun = True
                    chunk.parts.append((index, first, count))
                    chunk.count += count
                if chunk.count == len(chunk.reference):
                    self._emit()
            if self._stopped.is_set():
                return {}
            form = describe(luma.bits, encode) if self._feature_set.planes > 1 else {}
            return {**luma.finish(), **form}
        except InputError as error:
            return error
        finally:
            luma.close()

    def _new_chunk(self, shape: Shape, bits: int, encode: Encode | None) -> _Chunk:
        n = self._frames or chunk_frames(shape.height, shape.width)
        # Zeros, since JAX on a CPU may compute on these very arrays.
        frames = [np.zeros((n, shape.samples), sample_type(bits)) for _ in range(2)]
        return _Chunk(frames[0], frames[1], shape, bits, np.zeros(n, np.bool_), [], encode)

    def _emit(self) -> None:
        if self._chunk is not None or self._ended:
            self._items.put(_Item(self._chunk, self._ended))
        self._chunk, self._ended = None, []


RECIPE = 5  # of the computation: raised with every change of values, so that none is served old


def extract_by_jax(
    pairs: Sequence[Pair], request: Request, on_pair: Callable[[int], None]
) -> list[TableOrError]:
    """A table per pair, or why there is none; as `extract_pair`.

    Args:
        request: its teachers take the features that are extracted.
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: no ffmpeg, or a teacher is unknown or takes other features.
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
    outcomes: dict[int, TableOrError] = {}
    missing = []

    for index, pair in enumerate(pairs):
        try:
            for video in pair:
                check_video(video)
            cached = cache.find(pair)
        except InputError as error:
            outcomes[index] = error
            continue
        if cached is None:
            missing.append(index)
        else:
            outcomes[index] = cached
            on_pair(len(cached))

    def store(index: int, measured: Measured, how: Described, contents: list[str]) -> None:
        if isinstance(measured, InputError):
            outcomes[index] = measured
            return
        try:
            labels = {name: teacher(measured) for name, teacher in teachers.items()}
            columns = (measured, labels, request.feature_set)
            outcomes[index] = cache.store(pairs[index], *columns, backend, contents, how)
        except InputError as error:
            outcomes[index] = error
        else:
            on_pair(len(measured))

    _measure(ffmpeg, {index: pairs[index] for index in missing}, request, device, store)
    return [outcomes[index] for index in range(len(pairs))]


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


def _measure(
    ffmpeg: Ffmpeg,
    pairs: dict[int, Pair],
    request: Request,
    device: jax.Device,
    store: Callable[[int, Measured, Described, list[str]], None],
) -> None:
    """Measures the pairs; hands each one's outcome and its files' digests, taken meanwhile, on."""
    indices = list(pairs)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        digests = {
            index: [pool.submit(file_digest, video.path) for video in pair]
            for index, pair in pairs.items()
        }

        def on_pair(k: int, measured: Measured, how: Described) -> None:
            try:
                contents = [future.result() for future in digests[indices[k]]]
            except InputError as error:
                store(indices[k], error, how, [])
            else:
                store(indices[k], measured, how, contents)

        try:
            measure_in_jax(
                ffmpeg,
                list(pairs.values()),
                feature_set=request.feature_set,
                how=request.comparison,
                on_pair=on_pair,
                on_frames=request.on_frames,
                device=device,
            )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
