"""Shots encoded into a file each, and joined to one video without being encoded again."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.video.encoders import CONTAINERS, EncodeRecipe, encode_video
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video


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
        reason = (run.report.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{out}: its shots cannot be joined ({reason}); drop --per-shot.")
