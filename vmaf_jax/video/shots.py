"""Where shots start: ffmpeg's change of scene from frame to frame, read from what it prints."""

import re
from pathlib import Path

from vmaf_jax.errors import InputError

CUT = 5.0  # of 100, ffmpeg's score of a change of shot: half its default, for shots that are alike
_LOG = "shots.log"
_SHOT = re.compile(r"frame:(\d+)\s[^\n]*\n\s*lavfi\.scd\.score=([0-9.]+)")
# Filters that a video's frames pass; ffmpeg writes the log into its working folder.
FINDER = f"scdet=threshold={CUT:g},metadata=mode=print:key=lavfi.scd.score:file={_LOG}"


def read_shots(folder: Path, frames: int) -> list[int]:
    """First frames of new shots among `frames`, from the log that `FINDER` left in `folder`.

    Raises:
        InputError: there is no log.
    """
    try:
        shots = _SHOT.findall((folder / _LOG).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"ffmpeg wrote no log of shots ({error}); free space.") from error
    cuts = [int(frame) for frame, score in shots if float(score) >= CUT]
    return [cut for cut in cuts if 0 < cut < frames]
