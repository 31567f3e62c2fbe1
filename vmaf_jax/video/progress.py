"""How far a run of ffmpeg is: frames done, read from the file that it tells them in."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.video import Video, check_video

_EVERY = 0.5  # seconds
_FRAME = re.compile(r"^frame=(\d+)$", re.M)
_DURATION = re.compile(r"Duration: (\d+):(\d+):([\d.]+)")
_RATE = re.compile(r"([\d.]+) fps\b")


@contextlib.contextmanager
def frames_told(on_frames: Callable[[int], None] | None) -> Iterator[list[str]]:
    """ffmpeg's arguments that have it tell its progress; `on_frames` hears of it meanwhile.

    Args:
        on_frames: called with how many more frames are done; None asks for nothing.
    """
    if on_frames is None:
        yield []
        return
    ended, reported = threading.Event(), 0
    with work_folder() as folder:
        file = folder / "progress.txt"

        def look() -> None:
            nonlocal reported
            done = _FRAME.findall(file.read_text()) if file.is_file() else []
            if done and int(done[-1]) > reported:
                on_frames(int(done[-1]) - reported)
                reported = int(done[-1])

        def watch() -> None:
            while not ended.wait(_EVERY):
                look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield ["-progress", f"file:{Path(file)}", "-stats_period", str(_EVERY)]
        finally:
            ended.set()
            thread.join()
            look()


def about_frames(ffmpeg: Ffmpeg, video: Video) -> int | None:
    """Frames of a video as its header says, for a bar; None where it does not say.

    Raises:
        InputError: as `check_video`.
    """
    if (count := check_video(video)) is not None:
        return count
    report = run_ffmpeg(ffmpeg, ["-nostdin", *video.arguments()]).report
    duration, rate = _DURATION.search(report), _RATE.search(report)
    if duration is None or rate is None:
        return None
    hours, minutes, seconds = map(float, duration.groups())
    return max(1, round(((hours * 60 + minutes) * 60 + seconds) * float(rate[1])))
