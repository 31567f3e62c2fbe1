"""Frame rates and spacing of frames by the time stamps of packets, which are read undecoded.

The rate that a container claims is a hint: MPEG-1 and raw DV report twice the rate or a
clock's ticks, soft telecine with the rate of the display, a still with any. Two files that dropped
other frames can agree in number and average rate, and Matroska stores a rate that its frames need
not keep. Times in seconds.
"""

import dataclasses
import re

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, VideoPair
from vmaf_jax.video.pairing import SAME_RATE
from vmaf_jax.video.streams import DecodedStream, StreamPair

_Y4M = "yuv4mpegpipe"  # a demuxer of one rate, and no time stamps of the frames
_Y4M_RATE = re.compile(rb"^YUV4MPEG2 [^\n]*?\bF0*[1-9]\d*:0*[1-9]\d*[ \n]")
_PAIRED = 0.5  # intervals; a pair of frames further apart is nearer to another pair
_EVEN = 0.3  # intervals; soft telecine is 0.2 off an even grid, a frame left out more
_CLOCK_TICK = 1e-3  # seconds; Matroska and FLV round to milliseconds
_MISSING = -(2**63)  # AV_NOPTS_VALUE, ffmpeg's mark of a packet without a time stamp

Times = npt.NDArray[np.float64]


def measure_rates(ffmpeg: Ffmpeg, videos: VideoPair, streams: StreamPair) -> StreamPair:
    """Returns the streams of the reference and the distorted video with rates that they keep.

    Packets are read where the rates that the files claim differ or are uneven. Streams whose frames
    are shown at the same times have one rate; a still and a file without time stamps have none.
    """
    first, second = map(_with_stated_rate, videos, streams)
    rates = _rates(videos, (first, second))
    is_alike = rates is None or abs(rates[1] / rates[0] - 1) <= SAME_RATE
    if is_alike and not (first.irregular or second.irregular):
        return first, second
    times = [
        None
        if video.fps or stream.rate is None or stream.demuxer == _Y4M
        else packet_times(ffmpeg, video)
        for video, stream in zip(videos, (first, second), strict=True)
    ]
    first, second = map(_with_measured_rate, (first, second), times)
    rates = _rates(videos, (first, second))
    if rates is None:
        return first, second
    length = max((len(stamps) for stamps in times if stamps is not None), default=0)
    shown = [
        np.arange(length) / rate if stamps is None else stamps
        for stamps, rate in zip(times, rates, strict=True)
    ]
    if min(map(len, shown)) > 1 and _furthest_apart(shown[0], shown[1]) is None:
        first, second = (
            dataclasses.replace(s, rate=rates[0], base_rate=rates[0], uneven=_is_uneven(stamps))
            for s, stamps in zip((first, second), shown, strict=True)
        )
    return first, second


def _is_uneven(stamps: Times) -> bool:
    """Tells whether time stamps leave an even grid, as where frames were left out."""
    interval = (stamps[-1] - stamps[0]) / (len(stamps) - 1)
    grid = stamps[0] + interval * np.arange(len(stamps))
    return bool(np.abs(stamps - grid).max() > _EVEN * interval)


def needs_spacing_check(streams: StreamPair) -> bool:
    """Tells whether two streams that agree in their rates may still be spaced otherwise."""
    if any(stream.rate is None for stream in streams):
        return False
    is_stored = any(stream.demuxer.startswith("matroska") for stream in streams)
    return is_stored or all(stream.irregular for stream in streams)


def check_spacing(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    streams: StreamPair,
    counts: tuple[int, int],
    skip: tuple[int, int] = (0, 0),
) -> None:
    """Raises InputError where a pair of frames is apart by more than half an interval.

    Args:
        counts: decoded frames of each; a file that has another number of packets is not judged.
        skip: frames of each that are left out at the start.
    """
    times = []
    for video, stream, count, first in zip(videos, streams, counts, skip, strict=True):
        rate = stream.rate if stream.demuxer == _Y4M else None
        stamps = np.arange(count) / rate if rate else packet_times(ffmpeg, video)
        if len(stamps) != count or count - first < 2:
            return
        times.append(stamps[first:])
    reference, distorted = times
    if (found := _furthest_apart(reference, distorted)) is not None:
        frame, seconds = found
        raise InputError(
            f"{videos[1].path}: its frames and its reference's are not spaced alike in time (frame "
            f"{frame} is {seconds:.3f} s apart); pass --fps match to pair them by time stamp "
            f"(docs/traps.md)."
        )


def is_evenly_spaced(ffmpeg: Ffmpeg, video: Video, stream: DecodedStream) -> bool:
    """Tells whether the frames of a file are shown at a constant rate, as far as it has times."""
    if stream.demuxer == _Y4M:
        return True
    times = packet_times(ffmpeg, video)
    if len(times) < 3:
        return True
    even = np.linspace(times[0], times[-1], len(times))
    return _furthest_apart(even, times, _EVEN) is None


def _rates(videos: VideoPair, streams: StreamPair) -> tuple[float, float] | None:
    """Returns the rates of both, a raw file's as it was given; None where one has none."""
    first, second = (
        video.fps or stream.rate for video, stream in zip(videos, streams, strict=True)
    )
    return None if first is None or second is None else (first, second)


def _furthest_apart(
    reference: Times, distorted: Times, within: float = _PAIRED
) -> tuple[int, float] | None:
    """Returns the pair of frames furthest apart and its distance, None if all are near enough.

    Both begin at 0, and run at one speed where their speeds differ by no more than rates may.

    Args:
        within: intervals between frames that two may be apart.
    """
    n = min(len(reference), len(distorted))
    first, second = (times[:n] - times[0] for times in (reference, distorted))
    if second[-1] > 0:
        second = second * np.clip(first[-1] / second[-1], 1 - SAME_RATE, 1 + SAME_RATE)
    apart = np.abs(first - second)
    frame = int(np.argmax(apart))
    if apart[frame] <= within * np.median(np.diff(first)) + _CLOCK_TICK:
        return None
    return frame, float(apart[frame])


def _with_stated_rate(video: Video, stream: DecodedStream) -> DecodedStream:
    """Returns the stream without a rate where its Y4M header has none: ffmpeg assumes 25 then."""
    if stream.demuxer != _Y4M:
        return stream
    with video.path.open("rb") as file:
        stated = _Y4M_RATE.match(file.read(4096))
    return stream if stated else dataclasses.replace(stream, rate=None, base_rate=None)


def _with_measured_rate(stream: DecodedStream, times: Times | None) -> DecodedStream:
    """Returns the stream with the rate of its packets' times, if any, and none for a still."""
    if times is None:
        return stream
    n = len(times)
    if n < 2 or times[-1] <= times[0]:
        return dataclasses.replace(stream, rate=None, base_rate=None)
    rate = (n - 1) / float(times[-1] - times[0])
    for even in (stream.rate, stream.base_rate, rate):  # a claim that holds is the rounder number
        if even and _furthest_apart(np.arange(n) / even, times, _EVEN) is None:
            return dataclasses.replace(stream, rate=even, base_rate=even)
    # An average over whole frames may be a frame's length off.
    holds = stream.rate is not None and abs(stream.rate / rate - 1) <= 1 / (n - 1)
    return stream if holds else dataclasses.replace(stream, rate=rate)


def packet_times(ffmpeg: Ffmpeg, video: Video) -> Times:
    """Returns when each frame of a file is shown, sorted; empty where the file says nothing.

    AVI and ASF say only when packets are decoded, which is as evenly spaced. MPEG program streams
    stamp some packets: their frames are decoded, and ffmpeg fills in the times between.
    """
    tick, stamps = _read_stamps(ffmpeg, video, ["-c", "copy"])
    decoded, shown = ([stamp[kind] for stamp in stamps] for kind in (0, 1))
    if _MISSING in shown and any(time != _MISSING for time in shown):
        tick, stamps = _read_stamps(ffmpeg, video, ["-enc_time_base", "demux"])
        shown = [stamp[1] for stamp in stamps]
    times = decoded if _MISSING in shown else shown
    if _MISSING in times:
        return np.empty(0)
    return _spread_repeated(_unpress_start(np.sort(np.array(times, np.float64)) * tick, tick))


def _read_stamps(
    ffmpeg: Ffmpeg, video: Video, codec: list[str]
) -> tuple[float, list[tuple[int, int]]]:
    """Returns the seconds of a tick, and when each packet is decoded and shown, in ticks."""
    with work_folder() as folder:
        arguments = ["-nostdin", "-v", "error", *video.arguments()]
        arguments += ["-map", f"0:{video.stream_specifier}", *codec, "-fps_mode", "passthrough"]
        run_ffmpeg(ffmpeg, [*arguments, "-f", "framecrc", "times.txt"], folder=folder)
        log = folder / "times.txt"
        lines = log.read_text().splitlines() if log.is_file() else []
    tick, stamps = 0.0, []
    for line in lines:
        if line.startswith("#tb 0:"):
            over, _, under = line.partition(":")[2].strip().partition("/")
            tick = int(over) / int(under)
        elif not line.startswith("#"):
            _, decoded, shown, *_ = line.split(",")
            stamps.append((int(decoded), int(shown)))
    return tick, stamps


def _unpress_start(times: Times, tick: float) -> Times:
    """Returns times in which frames that a muxer pressed together at the start are spread again.

    Matroska holds no time below zero: ffmpeg 9.0.2 writes the frames that an encoder (libvvenc)
    times before zero a tick of the file's clock apart (`findings/vvc_in_matroska.sh`).
    """
    gaps = np.diff(times)
    apart = np.flatnonzero(gaps > 1.5 * tick)
    if len(apart) == 0 or apart[0] == 0:
        return times
    last = int(apart[0])  # of the pressed frames, which lies a little late
    rest = gaps[last + 1 :] if last + 1 < len(gaps) else gaps[last:]
    interval = float(np.median(rest))
    if interval < 4 * tick:  # a fast clip, whose ticks tell nothing apart
        return times
    start = times[last + 1] - interval * np.arange(last + 1, 0, -1)
    return np.concatenate([start, times[last + 1 :]])


def _spread_repeated(times: Times) -> Times:
    """Returns times of which no two are equal: frames of one time are spread to their neighbours.

    A muxer that cannot write a time writes the last one again; a player shows each frame, though.
    """
    distinct, first, count = np.unique(times, return_index=True, return_counts=True)
    if len(distinct) < 2 or count.max() == 1:
        return times
    # Which of the frames of one time it belongs to is unknown, so all of them lie evenly between
    # the frame before and the one after; only the very first frame keeps its time.
    known = (count == 1) | (first == 0)
    if known.sum() < 2:
        return times
    places = np.arange(len(times))
    spread = np.interp(places, first[known], distinct[known])
    behind = places > first[known][-1]
    interval = np.median(np.diff(spread[~behind]))
    spread[behind] = spread[~behind][-1] + interval * np.arange(1, behind.sum() + 1)
    return spread
