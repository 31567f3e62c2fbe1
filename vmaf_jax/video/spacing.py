"""Whether the frames of two files lie at the same times, where their rates alone do not say.

Two files that dropped other frames can agree in number and in average rate, and Matroska stores a
rate that its frames need not keep.
"""

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.facts import Facts
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.video import Video

_REGULAR = ("yuv4mpegpipe",)  # one rate, and no time stamps of the frames


def rates_may_mislead(facts: tuple[Facts, Facts]) -> bool:
    """Whether two streams that agree in their rates may still be spaced otherwise."""
    if any(stream.rate is None for stream in facts):
        return False
    stored = any(stream.demuxer.startswith("matroska") for stream in facts)
    return stored or all(stream.irregular for stream in facts)


def check_spacing(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    facts: tuple[Facts, Facts],
    counts: tuple[int, int],
    skip: tuple[int, int] = (0, 0),
) -> None:
    """Holds the times of the reference's and the distorted video's frames against each other.

    Args:
        counts: decoded frames of each; a file that has another number of packets is not judged.
        skip: frames of each that are left out at the start.

    Raises:
        InputError: a pair of frames is apart by more than half the interval between frames.
    """
    times = [_frame_times(ffmpeg, *stream) for stream in zip(videos, facts, counts, strict=True)]
    if any(len(stamps) != count for stamps, count in zip(times, counts, strict=True)):
        return
    reference, distorted = (stamps[n:] for stamps, n in zip(times, skip, strict=True))
    n = min(len(reference), len(distorted))
    if n < 2:
        return
    apart = np.abs((reference[:n] - reference[0]) - (distorted[:n] - distorted[0]))
    if (apart > np.median(np.diff(reference[:n])) / 2).any():
        frame = int(np.argmax(apart))
        raise InputError(
            f"{videos[1].path}: its frames and its reference's are not spaced alike in time (frame "
            f"{frame} is {apart[frame]:.3f} s apart); pass --fps match to pair them by time stamp."
        )


def _frame_times(ffmpeg: Ffmpeg, video: Video, facts: Facts, count: int) -> npt.NDArray[np.float64]:
    """When each frame of a file is shown, seconds, sorted, read from its packets undecoded.

    Empty where the file has no time stamps.
    """
    if facts.demuxer in _REGULAR and facts.rate:
        return np.arange(count) / facts.rate
    with work_folder() as folder:
        arguments = ["-nostdin", "-v", "error", *video.arguments()]
        arguments += ["-map", f"0:{video.stream_specifier}", "-c", "copy"]
        run_ffmpeg(ffmpeg, [*arguments, "-f", "framecrc", "times.txt"], folder=folder)
        log = folder / "times.txt"
        lines = log.read_text().splitlines() if log.is_file() else []
    unit, stamps = 0.0, []
    for line in lines:
        if line.startswith("#tb 0:"):
            over, _, under = line.partition(":")[2].strip().partition("/")
            unit = int(over) / int(under)
        elif not line.startswith("#"):
            stamps.append(line.split(",")[2].strip())
    if "NOPTS" in stamps:
        return np.empty(0)
    return np.sort(np.array([int(stamp) for stamp in stamps], np.float64)) * unit
