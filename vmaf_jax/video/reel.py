"""Parts of a video in lossless files that stand for it in probes: a reel and an outline.

A reel has the frames of some segments, joined. An outline has all frames in small pictures: it
costs little to encode, and tells how segments differ from the whole. Both are cached by the content
of the video. They are large: the least recently used are removed.
"""

import dataclasses
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
_OUTLINE = (6, 90, 180)  # pixels for each one of its shorter side, and the fewest and most of it
_MOST_OUTLINED = 20_000  # frames; of longer videos there are segments enough
_QUICK_FORMATS = ("yuv420p", "yuv420p10le")  # of even size; some others it refuses or converts

Segments = Sequence[tuple[int, int]]  # first frame and number of frames of each, rising


def reels_folder() -> Path:
    """Returns where reels are cached."""
    return cache_dir() / "reels"


def reel_path(ffmpeg: Ffmpeg, video: Video, segments: Segments) -> Path:
    """Returns where the reel of these segments is cached."""
    return _path(ffmpeg, video, [list(segments)])


def outline_path(ffmpeg: Ffmpeg, video: Video, lines: int) -> Path:
    """Returns where the outline of a video is cached."""
    return _path(ffmpeg, video, ["outline", lines])


def _path(ffmpeg: Ffmpeg, video: Video, what: list[object]) -> Path:
    program = [ffmpeg.path, ffmpeg.version]
    key = [_RECIPE, program, video.stream, file_digest(video.path), *what]
    return reels_folder() / f"{text_digest(json.dumps(key))}.mkv"


def outline_lines(stream: DecodedStream, n_frames: int) -> int | None:
    """Returns the lines of an outline's pictures; None for a video that is too small or long."""
    share, fewest, most = _OUTLINE
    side = min(stream.width, stream.height)
    if side < 2 * fewest or n_frames > _MOST_OUTLINED:
        return None
    small = min(max(side / share, fewest), most)
    return 2 * round(stream.height * small / side / 2)


def outline_filters(lines: int, rate: float) -> str:
    """Returns filters that make an outline of frames that are numbered by `BY_NUMBER`."""
    scale = f"scale=-2:{lines}:flags=bicubic,format=yuv420p"
    return f"{scale},settb=1/90000,setpts=N/{rate}/TB"


def outline_stream(stream: DecodedStream, lines: int) -> DecodedStream:
    """Returns the form of an outline's frames."""
    width = 2 * round(stream.width * lines / stream.height / 2)
    return dataclasses.replace(stream, width=width, height=lines, pix_fmt="yuv420p")


def reel_filters(segments: Segments, rate: float) -> str:
    """Returns filters that pass the segments of frames that are numbered by `BY_NUMBER`."""
    chosen = "+".join(f"between(n,{start},{start + length - 1})" for start, length in segments)
    # Frames are told apart by number; decoding ends with the last that is chosen.
    return f"trim=end_frame={sum(segments[-1])},select='{chosen}',settb=1/90000,setpts=N/{rate}/TB"


def reel_output(stream: DecodedStream, label: str, out: Path) -> list[str]:
    """Returns ffmpeg's arguments that write what filters pass, without loss.

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
    return _find(ffmpeg, video, path, reel_filters(segments, rate), stream)


def find_outline(
    ffmpeg: Ffmpeg, video: Video, stream: DecodedStream, lines: int, rate: float
) -> Video:
    """Returns the outline of a video, evenly spaced in time; writes it if need be.

    Args:
        stream: Form of the video's frames.
        lines: Of the outline, of `outline_lines`.
        rate: Frames per second.

    Raises:
        InputError: ffmpeg fails.
    """
    path = outline_path(ffmpeg, video, lines)
    filters, small = outline_filters(lines, rate), outline_stream(stream, lines)
    return _find(ffmpeg, video, path, filters, small)


def _find(ffmpeg: Ffmpeg, video: Video, path: Path, filters: str, form: DecodedStream) -> Video:
    """Returns the cached file of the frames that `filters` pass; writes it if need be."""
    if not path.exists():
        with atomic_path(path) as out:
            line = ["-nostdin", "-nostats", "-y", "-v", "level+warning", *video.arguments()]
            chain = f"[0:{video.stream_specifier}]{BY_NUMBER},{filters}[o]"
            line += ["-filter_complex", chain, *reel_output(form, "[o]", out)]
            run = run_ffmpeg(ffmpeg, line)
            if run.code:
                raise InputError(
                    f"{video.path}: its frames cannot be copied ({run.last_line}); free space at "
                    f"{out.parent}."
                )
    path.touch()
    _remove_old_reels(path.parent)
    return Video(path)


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
