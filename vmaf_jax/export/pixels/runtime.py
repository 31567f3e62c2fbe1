"""A pixels model as it runs in ONNX Runtime, on any of its execution providers.

On a CPU each core computes a frame of its own: the graph's operators are so short that cores which
share each of them mostly wait for one another.

It is proven to compute what our JAX features and the model's own score do, over pictures of the
model's size: shapes in motion with grain, distorted as codecs and people do; a scene cut, flat and
identical pictures, and samples between whole numbers (10 bits).
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.environment import available_cores
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import (
    CPU,
    Feed,
    check_rows,
    check_scores,
    open_session,
    run_session,
)
from vmaf_jax.export.pixels.model_file import HEAD_ROWS, PICTURES, Frame, PixelsFile, head_model
from vmaf_jax.features.frames import chunk_features

Pictures = npt.NDArray[np.number]  # luma `[n, h, w]`, 0-255, integers or floats
_SUFFIX = "ExecutionProvider"


def providers() -> list[str]:
    """Lists the execution providers of the installed ONNX Runtime, by their short names."""
    import onnxruntime

    return [name.removesuffix(_SUFFIX) for name in onnxruntime.get_available_providers()]


def check_provider(name: str) -> str:
    """Returns ONNX Runtime's full name of a provider, given as `CPU` or `CPUExecutionProvider`.

    Raises:
        InputError: the ONNX Runtime that is installed has no such provider.
    """
    short = name.removesuffix(_SUFFIX)
    available = {provider.lower(): provider for provider in providers()}
    if short.lower() not in available:
        raise InputError(
            f"--provider {name}: this ONNX Runtime has {', '.join(available.values())}; choose "
            f"one, or install the package that brings it."
        )
    return available[short.lower()] + _SUFFIX


class PixelsModel:
    """A pixels model, called with pictures; and its head, called with features."""

    def __init__(
        self, file: PixelsFile, path: Path, *, provider: str = "CPU", workers: int | None = None
    ) -> None:
        """Starts ONNX Runtime on a model that was read; `path` is for messages alone.

        Args:
            provider: as `check_provider` takes it.
            workers: frames computed at a time on a CPU, by default one a core.

        Raises:
            InputError: there is no such provider, or it cannot run the model.
        """
        self.file, self.path = file, path
        self.frame, self.feature_set = file.frame, file.feature_set
        self.provider = check_provider(provider)
        self.workers = (workers or available_cores()) if self.provider == CPU else 1
        # One thread a session on a CPU, where frames run side by side; 0 leaves it to the provider.
        self._session = open_session(
            file.model.SerializeToString(),
            path,
            threads=1 if self.provider == CPU else 0,
            providers=(self.provider,) if self.provider == CPU else (self.provider, CPU),
        )
        if self._session.get_providers()[0] != self.provider:
            raise InputError(
                f"--provider {provider}: ONNX Runtime has it and cannot start it here; install its "
                f"drivers, or choose CPU."
            )
        self._head = open_session(head_model(file.model).SerializeToString(), path, threads=1)
        check_rows(self.score, self.feature_set, path)

    def features(
        self, reference: Pictures, distorted: Pictures, previous: Pictures
    ) -> npt.NDArray[np.float32]:
        """Returns features `[n, 6]`, the last of them motion, of luma `[n, h, w]`, 0-255.

        Raises:
            InputError: pictures of another size, or ONNX Runtime fails.
        """
        frame = self.frame
        pictures = dict(zip(PICTURES, (reference, distorted, previous), strict=True))
        for name, picture in pictures.items():
            if picture.ndim != 3 or picture.shape[1:] != (frame.height, frame.width):
                raise InputError(
                    f"{self.path}: takes {frame.width}x{frame.height}, {name} has shape "
                    f"{picture.shape}; export it with --size for these pictures."
                )
        return self.features_of(
            {name: np.ascontiguousarray(p, frame.samples) for name, p in pictures.items()}
        )

    def features_of(self, feed: Feed) -> npt.NDArray[np.float32]:
        """Returns features `[n, 6]` of the graph's inputs, in its own type of samples.

        Raises:
            InputError: ONNX Runtime fails, or a feature is none that pictures can have.
        """
        n = len(feed[PICTURES[0]])
        if self.provider != CPU or n == 1:
            return self._run_features(feed)

        def run_frame(k: int) -> npt.NDArray[np.float32]:
            single = {name: pictures[k : k + 1] for name, pictures in feed.items()}
            return self._run_features(single)

        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            return np.concatenate(list(pool.map(run_frame, range(n))))

    def score(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Returns the head's scores `[n]` of features `[n, 6]` with motion2, VMAF points.

        Raises:
            InputError: ONNX Runtime fails, or the scores are not one a frame, all in 0-100.
        """
        rows = np.ascontiguousarray(features, np.float32)
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), HEAD_ROWS):
            part = rows[start : start + HEAD_ROWS]
            (received,) = run_session(self._head, [OUTPUT_NAME], {INPUT_NAME: part}, self.path)
            scores[start : start + HEAD_ROWS] = check_scores(received, part, self.path)
        return scores

    def _run_features(self, feed: Feed) -> npt.NDArray[np.float32]:
        """Returns features `[n, d]` of the graph, once each is one that pictures can have."""
        n = len(feed[PICTURES[0]])
        (features,) = run_session(self._session, [INPUT_NAME], feed, self.path)
        possible = self.feature_set.possible
        if features.shape != (n, len(possible)):
            raise InputError(
                f"{self.path}: gives features of shape {features.shape} for {n} frames, expected "
                f"{(n, len(possible))}; export it again with `--format pixels`."
            )
        for column, (name, (low, high)) in zip(features.T, possible.items(), strict=True):
            outside = ~((column >= low) & (column <= high))  # NaN too
            if outside.any():
                raise InputError(
                    f"{self.path}: gives {name} as {column[outside][0]:g}, which is not in "
                    f"[{low:g}, {high:g}]; export it again with `--format pixels`."
                )
        return features


MAX_HEAD = 2e-3  # VMAF points between the head and the model's own score, of the same features
# Of a feature, or of that share of it above 1: how far float32 sums of a picture's samples in two
# orders are apart. What that is worth in points depends on how steep the model is at the picture.
ROUNDING = 3e-5
MAX_FEATURE = 2e-4  # of a feature, or of that share of it above 1; small pictures sum few samples
# Where a graph is made on the spot: each exercises other branches of VIF, ADM and their limits.
_FEW = ("noise added", "contrast gained", "unrelated")

Floats = npt.NDArray[np.float64]
Score = Callable[[Floats], npt.NDArray[np.floating]]
Picture = npt.NDArray[np.float32]
Drawing = npt.NDArray[np.float64]
Triple = tuple[Picture, Picture, Picture]


@dataclasses.dataclass(frozen=True)
class PixelsParity:
    """The content of a pixels model's `parity.json`.

    Attributes:
        n: frames.
        max_abs: of the score, VMAF points, on the picture nearest to its limit.
        features: the largest distance of each feature; above 1 a share of its value.
        worst: which picture that is.
        limits: of `max_abs` on that picture, and of `features`.
    """

    n: int
    max_abs: float
    features: dict[str, float]
    worst: str
    limits: dict[str, float]


def measure_pixels(model: PixelsModel, score: Score) -> PixelsParity:
    """Measures how far a pixels model is from JAX, over pictures of the model's size.

    Args:
        score: the model's own score of features `[n, 6]`, VMAF points, outside the graph.
    """
    cases = dict(sample_pictures(model.frame))
    expected, received = _both_features(model, cases)
    points = np.abs(np.asarray(score(expected), np.float64) - model.score(received))
    limits = MAX_HEAD + rounding_points(score, expected)
    worst = int(np.argmax(points / limits))
    return PixelsParity(
        n=len(cases),
        max_abs=float(points[worst]),
        features=_largest(model, expected, received),
        worst=list(cases)[worst],
        limits={"max_abs": float(limits[worst]), "features": MAX_FEATURE},
    )


def measure_features(model: PixelsModel) -> dict[str, float]:
    """Measures how far each feature is from JAX's, over few pictures; above 1 a share of it."""
    cases = {name: triple for name, triple in sample_pictures(model.frame) if name in _FEW}
    expected, received = _both_features(model, cases)
    return _largest(model, expected, received)


def _both_features(model: PixelsModel, cases: Mapping[str, Triple]) -> tuple[Floats, Floats]:
    """Returns features `[n, 6]`, with motion, by JAX and by the graph."""
    compute = jax.jit(chunk_features, static_argnames=("gain_limit",))
    start = jnp.zeros(1, bool)  # not a clip's start, whose motion is 0
    gain_limit = model.feature_set.gain_limit
    expected, received = [], []
    for reference, distorted, previous in cases.values():
        pair = reference[None], distorted[None]
        received.append(model.features(pair[0], pair[1], previous[None])[0])
        x, y = jnp.asarray(pair[0]), jnp.asarray(pair[1])
        row = compute(x, y, jnp.asarray(previous), start, gain_limit=gain_limit)[0]
        expected.append(row)
    return np.array(expected, np.float64), np.array(received, np.float64)


def _largest(model: PixelsModel, expected: Floats, received: Floats) -> dict[str, float]:
    apart = np.abs(received - expected) / np.maximum(1, np.abs(expected))
    return dict(zip(model.feature_set, apart.max(axis=0).tolist(), strict=True))


def rounding_points(score: Score, features: Floats) -> Floats:
    """Returns by how many points `[n]` a score moves if every feature `[n, d]` is off a little.

    A little is `ROUNDING`. Each feature is moved up and down by ten times as much, which a float32
    score can resolve, and the larger move of the two counts; the moves of all features add up.
    """
    here = np.asarray(score(features), np.float64)
    total = np.zeros(len(features))
    for column in range(features.shape[1]):
        step = np.zeros_like(features)
        step[:, column] = 10 * ROUNDING * np.maximum(1, np.abs(features[:, column]))
        up = np.abs(np.asarray(score(features + step), np.float64) - here)
        down = np.abs(np.asarray(score(features - step), np.float64) - here)
        total += np.maximum(up, down) / 10
    return total


def check_pixels_parity(parity: PixelsParity) -> None:
    """Raises GateError, with figure and limit, if one of the limits is missed."""
    limit = parity.limits["max_abs"]
    if not parity.max_abs <= limit:  # NaN misses too
        raise GateError(
            f"pixels: {parity.worst} is {parity.max_abs:.3g} VMAF points from JAX, limit "
            f"{limit:.3g}."
        )
    check_features(parity.features)


def check_features(distances: Mapping[str, float]) -> None:
    """Raises GateError, with figure and limit, if a feature is too far from JAX's."""
    for name, value in distances.items():
        if not value <= MAX_FEATURE:  # NaN misses too
            raise GateError(f"pixels: {name} is {value:.3g} from JAX, limit {MAX_FEATURE:g}.")


def example_feed(frame: Frame, name: str = "noise added") -> dict[str, npt.NDArray[np.generic]]:
    """Returns one of the sample pictures as inputs `[1, h, w]` of a pixels model."""
    drawn = sample_pictures(dataclasses.replace(frame, samples="uint8"))
    pictures = next(triple for drawn_name, triple in drawn if drawn_name == name)
    return {
        role: picture[None].astype(frame.samples)
        for role, picture in zip(PICTURES, pictures, strict=True)
    }


def sample_pictures(frame: Frame) -> Iterator[tuple[str, Triple]]:
    """Draws reference, distorted and previous pictures `[h, w]`, each with a name for it.

    They are the same every time, whole numbers for `uint8`, and drawn one after the other, since
    those of 4K take a second.
    """
    height, width = frame.height, frame.width
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    grain, noise = rng.normal(0, 5, (2, height, width))

    def limit(picture: Drawing, step: float = 1.0) -> Picture:
        return (np.clip(np.round(picture / step), 0, 255 / step) * step).astype(np.float32)

    def scene(t: int) -> Drawing:
        waves = np.sin((columns + 3 * t) / 17) * np.cos((rows - 2 * t) / 11)
        tiles = ((columns + 2 * t) // 32 + rows // 24) % 2
        return 120 + 60 * waves + 40 * tiles + grain

    now, before = scene(1), scene(0)
    blurred = (now + np.roll(now, 1, 0) + np.roll(now, 1, 1) + np.roll(now, (1, 1), (0, 1))) / 4
    flat = np.full((height, width), 128.0)
    distorted: dict[str, Callable[[], Drawing]] = {
        "identical": lambda: now,
        "noise added": lambda: now + noise,
        "blurred": lambda: blurred,
        "coarse": lambda: np.round(now / 16) * 16,
        "contrast gained": lambda: 128 + 1.3 * (now - 128),
        "contrast lost": lambda: 128 + 0.6 * (now - 128),
    }
    for name, make in distorted.items():
        previous = now if name == "identical" else before
        yield name, (limit(now), limit(make()), limit(previous))
    random = rng.uniform(0, 255, (3, height, width))
    others = {
        "unrelated": (random[0], random[1], random[2]),
        "scene cut": (now, now + noise, random[0]),
        "black": (flat * 0, flat * 0, flat * 0),
        "white against black": (flat * 0 + 255, flat * 0, flat * 0),
        "noise on flat": (flat, flat + noise, flat),
    }
    for name, (a, b, c) in others.items():
        yield name, (limit(a), limit(b), limit(c))
    step = 1.0 if frame.samples == "uint8" else 0.25
    between = (limit(now, step), limit(blurred, step), limit(before, step))
    yield "between whole numbers", between
