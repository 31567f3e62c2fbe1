"""Segments of a video, joined into one lossless file that stands for it in probes."""

from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import BY_NUMBER, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import DecodedStream

_FFV1 = ("-c:v", "ffv1", "-level", "3", "-coder", "0", "-context", "0", "-g", "1", "-slices", "4")
_QUICK = ("-c:v", "ffvhuff", "-pred", "median")  # a third of FFV1's time, and half as much again
_QUICK_FORMATS = ("yuv420p", "yuv420p10le")  # of even size; some others it refuses or converts


def write_reel(
    ffmpeg: Ffmpeg,
    video: Video,
    stream: DecodedStream,
    segments: Sequence[tuple[int, int]],
    rate: float,
    out: Path,
) -> None:
    """Writes segments of a video one after the other, evenly spaced in time, without loss.

    Args:
        stream: Form of its frames.
        segments: First frame and number of frames of each, rising.
        rate: Frames per second.
        out: A Matroska file.

    Raises:
        InputError: ffmpeg fails.
    """
    chosen = "+".join(f"between(n,{start},{start + length - 1})" for start, length in segments)
    end = sum(segments[-1])
    # Frames are told apart by number; decoding ends with the last that is chosen.
    chain = f"{BY_NUMBER},trim=end_frame={end},select='{chosen}',settb=1/90000,setpts=N/{rate}/TB"
    is_even = stream.width % 2 == 0 and stream.height % 2 == 0
    codec = _QUICK if is_even and stream.pix_fmt in _QUICK_FORMATS else _FFV1
    run = run_ffmpeg(
        ffmpeg,
        [
            *("-nostdin", "-nostats", "-y", "-v", "level+warning", *video.arguments()),
            *("-filter_complex", f"[0:{video.stream_specifier}]{chain}[o]", "-map", "[o]"),
            *("-fps_mode", "passthrough", *codec, "-f", "matroska", str(out)),
        ],
    )
    if run.code:
        reason = (run.report.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"{video.path}: its segments cannot be written ({reason}); free space at {out.parent}."
        )


def segment_starts(segments: Sequence[tuple[int, int]], rate: float) -> list[float]:
    """Returns when each segment but the first starts in the reel, half a frame early, seconds."""
    starts, place = [], 0
    for _, length in segments[:-1]:
        place += length
        starts.append((place - 0.5) / rate)
    return starts
