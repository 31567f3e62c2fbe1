"""Shots of a video: where they start (ffmpeg's `scdet`), and files of them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.video.encoders import CONTAINERS, EncodeRecipe, encode_video
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video

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


def encode_shots(
    ffmpeg: Ffmpeg,
    video: Video,
    recipe: EncodeRecipe,
    setting: float,
    starts: Sequence[int],
    rate: float,
    delay: float,
    folder: Path,
    on_frames: Callable[[int], None] | None = None,
) -> list[Path]:
    """Encodes a video in one pass into a file for each shot; no shot refers to another.

    Args:
        starts: First frames of the shots, rising from 0.
        rate: Frames per second.
        delay: Seconds by which the video starts later than its file.

    Raises:
        InputError: ffmpeg fails.
    """
    later = list(starts[1:])
    encode_video(
        ffmpeg,
        video,
        recipe,
        setting,
        folder / f"{setting:g}-%d.mp4",  # its time stamps are exact
        key_frames=[delay + (frame - 0.5) / rate for frame in later],
        split_at=later,
        on_frames=on_frames,
    )
    files = [folder / f"{setting:g}-{k}.mp4" for k in range(len(starts))]
    if len(list(folder.glob(f"{setting:g}-*.mp4"))) != len(files):
        raise InputError(
            f"{video.path}: {recipe.encoder.name} starts shots elsewhere than requested; drop "
            f"--per-shot."
        )
    return files


def join_shots(
    ffmpeg: Ffmpeg, files: Sequence[Path], out: Path, sound: Video | None = None, delay: float = 0.0
) -> None:
    """Joins files of shots to one video, without encoding.

    Args:
        files: Of one recipe and in one folder, in their order.
        out: With a suffix of `CONTAINERS`.
        sound: A file whose sound is copied.
        delay: Seconds by which the video starts later than that file.

    Raises:
        InputError: ffmpeg fails.
    """
    parts = files[0].with_name("shots.txt")  # names in it are of files beside it
    parts.write_text("".join(f"file {file.name}\n" for file in files))
    source = ["-itsoffset", f"{delay:.6f}", "-f", "concat", "-i", f"file:{parts}"]
    copied = [] if sound is None else [*sound.arguments(), "-map", "1:a?"]
    ends = ["-map", "0:v", "-c", "copy", "-f", CONTAINERS[out.suffix], str(out)]
    run = run_ffmpeg(ffmpeg, ["-nostdin", "-v", "error", "-y", *source, *copied, *ends])
    parts.unlink()
    if run.code:
        raise InputError(f"{out}: its shots cannot be joined ({run.last_line}); drop --per-shot.")
