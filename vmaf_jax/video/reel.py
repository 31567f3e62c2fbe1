"""Segments of a video, joined into one lossless file, a reel, that stands for it in probes.

Reels are cached by the content of the video. They are large: the least recently used are removed.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.files import atomic_path, cache_dir
from vmaf_jax.video.ffmpeg import BY_NUMBER, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, file_digest, text_digest
from vmaf_jax.video.streams import DecodedStream

_RECIPE = 1  # raised with every change of what a reel is, so that none is served old
_MOST_BYTES, _IN_USE_SECONDS = 4 << 30, 3600
_FFV1 = ("-c:v", "ffv1", "-level", "3", "-coder", "0", "-context", "0", "-g", "1", "-slices", "4")
_QUICK = ("-c:v", "ffvhuff", "-pred", "median")  # a third of FFV1's time, and half as much again
_QUICK_FORMATS = ("yuv420p", "yuv420p10le")  # of even size; some others it refuses or converts

Segments = Sequence[tuple[int, int]]  # first frame and number of frames of each, rising


def reels_folder() -> Path:
    """Returns where reels are cached."""
    return cache_dir() / "reels"


def reel_path(ffmpeg: Ffmpeg, video: Video, segments: Segments) -> Path:
    """Returns where the reel of these segments is cached."""
    program = [ffmpeg.path, ffmpeg.version]
    key = [_RECIPE, program, video.stream, file_digest(video.path), list(segments)]
    return reels_folder() / f"{text_digest(json.dumps(key))}.mkv"


def reel_filters(segments: Segments, rate: float) -> str:
    """Returns filters that pass the segments of frames that are numbered by `BY_NUMBER`."""
    chosen = "+".join(f"between(n,{start},{start + length - 1})" for start, length in segments)
    # Frames are told apart by number; decoding ends with the last that is chosen.
    return f"trim=end_frame={sum(segments[-1])},select='{chosen}',settb=1/90000,setpts=N/{rate}/TB"


def reel_output(stream: DecodedStream, label: str, out: Path) -> list[str]:
    """Returns ffmpeg's arguments that write what `reel_filters` passes, without loss.

    Args:
        label: Of the filters' output.
        out: A Matroska file.
    """
    is_even = stream.width % 2 == 0 and stream.height % 2 == 0
    codec = _QUICK if is_even and stream.pix_fmt in _QUICK_FORMATS else _FFV1
    return ["-map", label, "-fps_mode", "passthrough", *codec, "-f", "matroska", str(out)]


def find_reel(
    ffmpeg: Ffmpeg, video: Video, stream: DecodedStream, segments: Segments, rate: float
) -> Video:
    """Returns the reel of some segments of a video, evenly spaced in time; writes it if need be.

    Args:
        stream: Form of its frames.
        segments: First frame and number of frames of each, rising.
        rate: Frames per second.

    Raises:
        InputError: ffmpeg fails.
    """
    path = reel_path(ffmpeg, video, segments)
    if not path.exists():
        with atomic_path(path) as out:
            _write_reel(ffmpeg, video, stream, segments, rate, out)
    path.touch()
    _remove_old_reels(path.parent)
    return Video(path)


def _write_reel(
    ffmpeg: Ffmpeg,
    video: Video,
    stream: DecodedStream,
    segments: Segments,
    rate: float,
    out: Path,
) -> None:
    chain = f"{BY_NUMBER},{reel_filters(segments, rate)}"
    line = ["-nostdin", "-nostats", "-y", "-v", "level+warning", *video.arguments()]
    line += ["-filter_complex", f"[0:{video.stream_specifier}]{chain}[o]"]
    run = run_ffmpeg(ffmpeg, line + reel_output(stream, "[o]", out))
    if run.code:
        reason = (run.report.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"{video.path}: its segments cannot be written ({reason}); free space at {out.parent}."
        )


def segment_starts(segments: Segments, rate: float) -> list[float]:
    """Returns when each segment but the first starts in the reel, half a frame early, seconds."""
    starts, place = [], 0
    for _, length in segments[:-1]:
        place += length
        starts.append((place - 0.5) / rate)
    return starts


def _remove_old_reels(folder: Path) -> None:
    """Removes the reels that were used longest ago, until the rest is small."""
    reels = [(path.stat(), path) for path in folder.glob("*.mkv")]
    total = 0
    for stat, path in sorted(reels, key=lambda reel: reel[0].st_mtime, reverse=True):
        total += stat.st_size
        # Another process may be reading what was used a moment ago.
        if total > _MOST_BYTES and time.time() - stat.st_mtime > _IN_USE_SECONDS:
            path.unlink(missing_ok=True)
