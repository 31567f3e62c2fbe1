"""Changes of shot in a video, by ffmpeg's `scdet` filter."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError

_CUT = 5.0  # of 100, ffmpeg's score of a change of shot: half its default, for shots that are alike
Floats = npt.NDArray[np.float64]
_LOG = "shots.log"
_CHANGE = re.compile(r"lavfi\.scd\.mafd=([0-9.]+)")
_SCORE = re.compile(r"lavfi\.scd\.score=([0-9.]+)")
# Filters that a video's frames pass; ffmpeg writes the log into its working folder.
SHOT_FILTER = f"scdet=threshold={_CUT:g},metadata=mode=print:file={_LOG}"


def read_shot_log(folder: Path) -> tuple[Floats, Floats]:
    """Reads the log that `SHOT_FILTER` left in `folder`.

    Returns:
        Of every frame, `[n]` each, of 100: how much luma changed from the frame before, and the
        score of a change of shot.

    Raises:
        InputError: there is no log, or a frame lacks one of the two.
    """
    try:
        text = (folder / _LOG).read_text()
        change, score = (np.array(p.findall(text), np.float64) for p in (_CHANGE, _SCORE))
    except (OSError, ValueError) as error:
        raise InputError(f"ffmpeg wrote no log of shots ({error}); free space.") from error
    if len(change) != len(score):
        raise InputError("ffmpeg's log of shots is damaged; use a newer ffmpeg.")
    return change, score


def shot_starts(score: Floats) -> list[int]:
    """Returns the first frames of new shots, from the scores of a clip's frames `[n]`."""
    return (np.flatnonzero(score[1:] >= _CUT) + 1).tolist()
