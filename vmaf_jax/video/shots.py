"""Where shots start: ffmpeg's figures of the change from frame to frame, read from its log."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError

CUT = 5.0  # of 100, ffmpeg's score of a change of shot: half its default, for shots that are alike
Floats = npt.NDArray[np.float64]
_LOG = "shots.log"
_CHANGE = re.compile(r"lavfi\.scd\.mafd=([0-9.]+)")
_SCORE = re.compile(r"lavfi\.scd\.score=([0-9.]+)")
# Filters that a video's frames pass; ffmpeg writes the log into its working folder.
FINDER = f"scdet=threshold={CUT:g},metadata=mode=print:file={_LOG}"


def read_changes(folder: Path) -> tuple[Floats, Floats]:
    """From the log that `FINDER` left in `folder`, of every frame, `[n]` each, of 100.

    Returns:
        How much luma changed from the frame before, and the score of a change of shot.

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


def starts_of_shots(score: Floats) -> list[int]:
    """First frames of new shots, of the scores of a clip's frames `[n]`."""
    return (np.flatnonzero(score[1:] >= CUT) + 1).tolist()
