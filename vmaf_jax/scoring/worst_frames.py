"""The frames of a pair that a model scores lowest, and what they look like."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.reporting.backends import picture
from vmaf_jax.scoring.model import Model
from vmaf_jax.scoring.score import DEFAULT_MODEL, score
from vmaf_jax.scoring.scores import Scores
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.decode import DecodedPair, sample_dtype
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

_BLOCK = 4  # frames that are decoded at a time


@dataclasses.dataclass(frozen=True)
class WorstFrame:
    """One frame.

    Attributes:
        frame: its number, from 0.
        score: VMAF points.
        features: by name, no unit.
        picture: reference, distorted and their absolute difference (luma), as PNG; None where no
            pictures were wanted.
    """

    frame: int
    score: float
    features: dict[str, float]
    picture: bytes | None


def worst_frames(
    reference: Video,
    distorted: Video,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    count: int = 3,
    apart: int = 1,
    pictures: bool = True,
    backend: str = "libvmaf",
    comparison: Comparison = DEFAULT_COMPARISON,
) -> tuple[Scores, list[WorstFrame]]:
    """Scores a pair and describes its lowest frames, the lowest first; ties by frame number.

    Args:
        count: how many frames at most.
        apart: frames between any two of them, so that one bad moment is not described many times.
        backend, comparison: as for `score`.

    Raises:
        InputError: as `score`; or `count` or `apart` is below 1.
    """
    if count < 1 or apart < 1:
        raise InputError("count and apart are at least 1; correct them.")
    scores = score(reference, distorted, model, backend=backend, comparison=comparison)
    chosen = lowest(scores.per_frame, count, apart)
    drawn: dict[int, bytes] = {}
    if pictures:
        drawn = _pictures(reference, distorted, scores, chosen, comparison)
    frames = [
        WorstFrame(
            frame=number,
            score=float(scores.per_frame[number]),
            features=dict(
                zip(scores.table.feature_set, scores.table.features[number].tolist(), strict=True)
            ),
            picture=drawn.get(number),
        )
        for number in chosen
    ]
    return scores, frames


def lowest(per_frame: npt.NDArray[np.float64], count: int, apart: int) -> list[int]:
    """Numbers of the `count` lowest of scores `[frames]`, no two closer than `apart` frames."""
    chosen: list[int] = []
    for number in np.argsort(per_frame, kind="stable").tolist():
        if len(chosen) == count:
            break
        if all(abs(number - other) >= apart for other in chosen):
            chosen.append(number)
    return chosen


def _pictures(
    reference: Video, distorted: Video, scores: Scores, numbers: list[int], how: Comparison
) -> dict[int, bytes]:
    """A picture for each frame number, decoded in one pass up to the last of them."""
    pair = DecodedPair(find_ffmpeg(), reference, distorted, comparison=how)
    pictures: dict[int, bytes] = {}
    try:
        shape = (2, _BLOCK, pair.height, pair.width)
        block = np.zeros(shape, sample_dtype(pair.bits))
        start = 0
        while start <= max(numbers) and (n := pair.read(*block)):
            for number in numbers:
                if start <= number < start + n:
                    value = scores.per_frame[number]
                    title = f"frame {number}: {scores.model} {value:.2f}"
                    shown = block[0, number - start], block[1, number - start]
                    pictures[number] = picture(*shown, title)
            start += n
    finally:
        pair.close()
    return pictures
