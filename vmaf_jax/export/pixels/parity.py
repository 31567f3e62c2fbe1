"""Proof that a pixels model computes what our JAX features and the model's own score do."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import GateError
from vmaf_jax.export.pixels.pictures import sample_pictures
from vmaf_jax.export.pixels.runtime import PixelsModel
from vmaf_jax.features.frames import chunk_features

MAX_HEAD = 2e-3  # VMAF points between the head and the model's own score, of the same features
# Of a feature, or of that share of it above 1: how far float32 sums of a picture's samples in two
# orders are apart. What that is worth in points hangs on how steep the model is at the picture.
ROUNDING = 3e-5
MAX_FEATURE = 2e-4  # of a feature, or of that share of it above 1; small pictures sum few samples

Score = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


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
    """Distances between a pixels model and JAX, over pictures of the model's size.

    Args:
        score: the model's own score of features `[n, 6]`, VMAF points, outside the graph.
    """
    frame, names = model.frame, tuple(model.feature_set)
    cases = sample_pictures(frame.height, frame.width, whole=frame.samples == "uint8")
    compute = jax.jit(chunk_features, static_argnames=("gain_limit",))
    ours, theirs = [], []
    for reference, distorted, previous in cases.values():
        triple = tuple(picture[None] for picture in (reference, distorted, previous))
        theirs.append(model.features(*triple)[0])
        arrays = (jnp.asarray(triple[0]), jnp.asarray(triple[1]), jnp.asarray(previous))
        start = jnp.zeros(1, bool)
        ours.append(compute(*arrays, start, gain_limit=model.feature_set.gain_limit)[0])
    expected, received = np.array(ours, np.float64), np.array(theirs, np.float64)
    apart = np.abs(received - expected) / np.maximum(1, np.abs(expected))
    points = np.abs(np.asarray(score(expected), np.float64) - model.score(received))
    limits = MAX_HEAD + rounding_points(score, expected)
    worst = int(np.argmax(points / limits))
    return PixelsParity(
        n=len(cases),
        max_abs=float(points[worst]),
        features=dict(zip(names, apart.max(axis=0).tolist(), strict=True)),
        worst=list(cases)[worst],
        limits={"max_abs": float(limits[worst]), "features": MAX_FEATURE},
    )


def rounding_points(score: Score, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """By how many points `[n]` a score moves if every feature `[n, d]` is off by `ROUNDING`.

    Each feature is moved up and down by ten times as much, which a float32 score can resolve, and
    the larger move of the two counts; the moves of all features are added up.
    """
    here = np.asarray(score(features), np.float64)
    total = np.zeros(len(features))
    for column in range(features.shape[1]):
        step = np.zeros_like(features)
        step[:, column] = 10 * ROUNDING * np.maximum(1, np.abs(features[:, column]))
        moves = [np.abs(np.asarray(score(features + s), np.float64) - here) for s in (step, -step)]
        total += np.maximum(*moves) / 10
    return total


def check_pixels_parity(parity: PixelsParity) -> None:
    """Raises GateError, with figure and limit, if one of the limits is missed."""
    limit = parity.limits["max_abs"]
    if not parity.max_abs <= limit:  # NaN misses too
        raise GateError(
            f"pixels: {parity.worst} is {parity.max_abs:.3g} VMAF points from JAX, limit "
            f"{limit:.3g}."
        )
    for name, value in parity.features.items():
        if not value <= MAX_FEATURE:
            raise GateError(f"pixels: {name} is {value:.3g} from JAX, limit {MAX_FEATURE:g}.")
