"""Proof that a pixels model computes what our JAX features and the model's own score do."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError
from vmaf_jax.export.pixels.pictures import Triple, sample_pictures
from vmaf_jax.export.pixels.runtime import PixelsModel
from vmaf_jax.features.frames import chunk_features

MAX_HEAD = 2e-3  # VMAF points between the head and the model's own score, of the same features
# Of a feature, or of that share of it above 1: how far float32 sums of a picture's samples in two
# orders are apart. What that is worth in points depends on how steep the model is at the picture.
ROUNDING = 3e-5
MAX_FEATURE = 2e-4  # of a feature, or of that share of it above 1; small pictures sum few samples
# Where a graph is made on the spot: each exercises other branches of VIF, ADM and their limits.
_FEW = ("noise added", "contrast gained", "unrelated")

Floats = npt.NDArray[np.float64]
Score = Callable[[Floats], npt.NDArray[np.floating]]


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
