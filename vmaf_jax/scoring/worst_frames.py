"""The frames of a pair that a model scores lowest, with pictures."""

import contextlib
import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import VideoLike
from vmaf_jax.reporting.plots import plot_frame
from vmaf_jax.scoring.model import ModelLike
from vmaf_jax.scoring.score import DEFAULT_MODEL, DEFAULT_SETTINGS, ScoreSettings, score_pair
from vmaf_jax.scoring.scores import Place, Scores
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.decode import DecodedPair, luma_frames
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import VideoPair

N_MARKED = 4  # lowest frames of a clip that have pictures on a page, and maps
_PARTS = 12  # of a clip; two of those are at least a part apart


@dataclasses.dataclass(frozen=True)
class WorstFrame:
    """A frame of a pair, with its score, features and picture.

    Attributes:
        frame: Its number among the compared frames, from 0.
        places: Where it lies in the reference and in the distorted video.
        score: VMAF points.
        features: By name, no unit.
        picture: Reference, distorted and their absolute difference (luma), as PNG; None where no
            pictures were wanted.
    """

    frame: int
    places: tuple[Place, Place]
    score: float
    features: dict[str, float]
    picture: bytes | None


def worst_frames(
    reference: VideoLike,
    distorted: VideoLike,
    model: ModelLike = DEFAULT_MODEL,
    settings: ScoreSettings = DEFAULT_SETTINGS,
    *,
    count: int = 3,
    apart: int = 1,
    pictures: bool = True,
) -> tuple[Scores, list[WorstFrame]]:
    """Scores a pair and describes its lowest frames, the lowest first; ties by frame number.

    Args:
        count: Number of frames, at most.
        apart: Frames between any two of them, so that one bad moment is not described many times.

    Raises:
        InputError: As `score_pair`; or `count` or `apart` is below 1.
    """
    if count < 1 or apart < 1:
        raise InputError("count and apart are at least 1; correct them.")
    scores = score_pair(reference, distorted, model, settings)
    numbers = scores.table.index
    rows = {int(numbers[k]): k for k in lowest_frames(scores.per_frame, numbers, count, apart)}
    drawn: dict[int, bytes] = {}
    if pictures:
        pair = settings.as_pair(reference, distorted)
        drawn = _draw(pair, settings.comparison, scores, rows)
    frames = [
        WorstFrame(
            frame=number,
            places=scores.places(number),
            score=float(scores.per_frame[row]),
            features=dict(
                zip(scores.table.feature_set, scores.table.features[row].tolist(), strict=True)
            ),
            picture=drawn.get(number),
        )
        for number, row in rows.items()
    ]
    return scores, frames


def mark_lowest(scores: Scores) -> list[int]:
    """Returns the numbers of the few lowest frames of a clip, the lowest first, spread over it."""
    numbers, apart = scores.table.index, max(1, len(scores.per_frame) // _PARTS)
    rows = lowest_frames(scores.per_frame, numbers, N_MARKED, apart)
    return [int(numbers[row]) for row in rows]


def lowest_frames(
    per_frame: npt.NDArray[np.float64], numbers: npt.NDArray[np.integer], count: int, apart: int
) -> list[int]:
    """Returns the rows of the `count` lowest scores `[frames]`, at least `apart` frames apart.

    Args:
        numbers: Of the frames, rising.
    """
    chosen: list[int] = []
    for row in np.argsort(per_frame, kind="stable").tolist():
        if len(chosen) == count:
            break
        if all(abs(int(numbers[row]) - int(numbers[other])) >= apart for other in chosen):
            chosen.append(row)
    return chosen


def _draw(
    videos: VideoPair, comparison: Comparison, scores: Scores, rows: Mapping[int, int]
) -> dict[int, bytes]:
    """Draws a picture for each frame number, decoding in one pass up to the last of them.

    Args:
        rows: Of the scores, by frame number.
    """
    pair = DecodedPair(find_ffmpeg(), videos[0], videos[1], comparison=comparison)
    pictures: dict[int, bytes] = {}
    with contextlib.closing(pair):
        for number, reference, distorted in luma_frames(pair, max(rows) + 1):
            if number in rows:
                score = f"{scores.model} {scores.per_frame[rows[number]]:.2f}"
                title = f"{scores.frame_name(number)}: {score}"
                pictures[number] = plot_frame(reference, distorted, title)
    return pictures
