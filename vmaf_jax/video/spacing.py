"""When the frames of two files are shown, where what the files say of their rates is not enough.

Rates are a container's claim: MPEG-1 and raw DV are told with twice the rate or a clock's ticks,
soft telecine with the rate of the display, a still with any. Two files that dropped other frames
can agree in number and average rate, and Matroska stores a rate that its frames need not keep. The
time stamps of the packets decide.
"""

import dataclasses
import re

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.facts import Facts
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.video import Video

SAME_RATE = 0.005  # relative; 23.976 and 24 are one rate, 24 and 25 two
_Y4M = "yuv4mpegpipe"  # one rate, and no time stamps of the frames
_Y4M_RATE = re.compile(rb"^YUV4MPEG2 [^\n]*?\bF0*[1-9]\d*:0*[1-9]\d*[ \n]")
_EVEN = 0.3  # intervals; soft telecine is 0.2 off an even grid, a frame left out more
_MISSING = -(2**63)  # ffmpeg's mark of a packet without a time stamp

Times = npt.NDArray[np.float64]


def rates_may_mislead(facts: tuple[Facts, Facts]) -> bool:
    """Whether two streams that agree in their rates may still be spaced otherwise."""
    if any(stream.rate is None for stream in facts):
        return False
    stored = any(stream.demuxer.startswith("matroska") for stream in facts)
    return stored or all(stream.irregular for stream in facts)


def true_rates(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], facts: tuple[Facts, Facts]
) -> tuple[Facts, Facts]:
    """Returns the facts of the reference and the distorted video with rates that they bear out.

    Packets are read, undecoded, where the rates that the files claim differ or are uneven. Streams
    whose frames are shown at the same times have one rate; a still and a file without time stamps
    have none.
    """
    reference, distorted = (_with_stated_rate(*pair) for pair in zip(videos, facts, strict=True))
    rates = [v.fps or f.rate for v, f in zip(videos, (reference, distorted), strict=True)]
    if rates[0] is None or rates[1] is None:
        return reference, distorted
    if abs(rates[1] / rates[0] - 1) <= SAME_RATE and not any(
        stream.irregular for stream in (reference, distorted)
    ):
        return reference, distorted
    times = [
        None if video.fps or stream.demuxer == _Y4M else _packet_times(ffmpeg, video)
        for video, stream in zip(videos, (reference, distorted), strict=True)
    ]
    borne = [
        stream if stamps is None else _with_measured_rate(stream, stamps)
        for stream, stamps in zip((reference, distorted), times, strict=True)
    ]
    rates = [v.fps or f.rate for v, f in zip(videos, borne, strict=True)]
    if rates[0] is None or rates[1] is None:
        return borne[0], borne[1]
    length = max((len(stamps) for stamps in times if stamps is not None), default=0)
    shown = [
        np.arange(length) / rate if stamps is None else stamps
        for stamps, rate in zip(times, (rates[0], rates[1]), strict=True)
    ]
    if min(map(len, shown)) > 1 and _apart(shown[0], shown[1]) is None:
        even = dataclasses.replace(borne[1], rate=rates[0], base_rate=rates[0])
        return dataclasses.replace(borne[0], rate=rates[0], base_rate=rates[0]), even
    return borne[0], borne[1]


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
    times = [
        np.arange(count) / stream.rate
        if stream.demuxer == _Y4M and stream.rate
        else _packet_times(ffmpeg, video)
        for video, stream, count in zip(videos, facts, counts, strict=True)
    ]
    if any(len(stamps) != count for stamps, count in zip(times, counts, strict=True)):
        return
    reference, distorted = (stamps[n:] for stamps, n in zip(times, skip, strict=True))
    if min(len(reference), len(distorted)) > 1 and (found := _apart(reference, distorted)):
        frame, seconds = found
        raise InputError(
            f"{videos[1].path}: its frames and its reference's are not spaced alike in time (frame "
            f"{frame} is {seconds:.3f} s apart); pass --fps match to pair them by time stamp."
        )


def _apart(reference: Times, distorted: Times, within: float = 0.5) -> tuple[int, float] | None:
    """The pair of frames that lies furthest apart and by how many seconds, None if all agree.

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
    # A tick of a coarse clock more: Matroska and FLV round to milliseconds.
    if apart[frame] <= within * np.median(np.diff(first)) + 1e-3:
        return None
    return frame, float(apart[frame])


def _with_stated_rate(video: Video, facts: Facts) -> Facts:
    """The facts without a rate where a Y4M header has none, for which ffmpeg assumes 25."""
    if facts.demuxer != _Y4M:
        return facts
    with video.path.open("rb") as file:
        stated = _Y4M_RATE.match(file.read(4096))
    return facts if stated else dataclasses.replace(facts, rate=None, base_rate=None)


def _with_measured_rate(facts: Facts, times: Times) -> Facts:
    """The facts with the rate of the packets' times, and none for a still."""
    n = len(times)
    if n < 2 or times[-1] <= times[0]:
        return dataclasses.replace(facts, rate=None, base_rate=None)
    rate = (n - 1) / float(times[-1] - times[0])
    for even in (facts.rate, facts.base_rate, rate):  # a claim that holds is the rounder number
        if even and _apart(np.arange(n) / even, times, _EVEN) is None:
            return dataclasses.replace(facts, rate=even, base_rate=even)
    # An average over whole frames may be a frame's length off.
    holds = facts.rate is not None and abs(facts.rate / rate - 1) <= 1 / (n - 1)
    return facts if holds else dataclasses.replace(facts, rate=rate)


def _packet_times(ffmpeg: Ffmpeg, video: Video) -> Times:
    """When each frame of a file is shown, seconds, sorted, read from its packets undecoded.

    AVI and ASF say alone when packets are decoded, which is as evenly spaced. MPEG program streams
    say it of some packets: these are decoded. Empty where a file says nothing.
    """
    unit, stamps = _time_stamps(ffmpeg, video, ["-c", "copy"])
    shown, decoded = ([stamp[kind] for stamp in stamps] for kind in (1, 0))
    if _MISSING in shown and any(time != _MISSING for time in shown):
        unit, stamps = _time_stamps(ffmpeg, video, ["-enc_time_base", "demux"])
        shown = [stamp[1] for stamp in stamps]
    times = decoded if _MISSING in shown else shown
    if _MISSING in times:
        return np.empty(0)
    return _spread_repeated(_unpress_start(np.sort(np.array(times, np.float64)) * unit, unit))


def _unpress_start(times: Times, tick: float) -> Times:
    """Returns times in which frames that a muxer pressed together at the start are spread again.

    Matroska holds no time below zero: ffmpeg writes the frames that an encoder (libvvenc) times
    before zero a tick apart.

    Args:
        times: seconds, sorted.
        tick: seconds of the file's clock.
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
    """Times of which no two are equal: a frame that says the time of another is shown beside it.

    A muxer that cannot write a time writes the last one again; a player shows each frame, though.
    """
    own, first, count = np.unique(times, return_index=True, return_counts=True)
    if len(own) < 2 or count.max() == 1:
        return times
    # Of frames that say one time, which one it is of is unknown: all lie evenly between the
    # frame before and the one after.
    known = (count == 1) | (first == 0)
    if known.sum() < 2:
        return times
    places = np.arange(len(times))
    spread = np.interp(places, first[known], own[known])
    behind = places > first[known][-1]
    interval = np.median(np.diff(spread[~behind]))
    spread[behind] = spread[~behind][-1] + interval * np.arange(1, behind.sum() + 1)
    return spread


def _time_stamps(
    ffmpeg: Ffmpeg, video: Video, codec: list[str]
) -> tuple[float, list[tuple[int, int]]]:
    """Seconds of a tick, and when each packet is decoded and shown, in ticks."""
    with work_folder() as folder:
        arguments = ["-nostdin", "-v", "error", *video.arguments()]
        arguments += ["-map", f"0:{video.stream_specifier}", *codec, "-fps_mode", "passthrough"]
        run_ffmpeg(ffmpeg, [*arguments, "-f", "framecrc", "times.txt"], folder=folder)
        log = folder / "times.txt"
        lines = log.read_text().splitlines() if log.is_file() else []
    unit, stamps = 0.0, []
    for line in lines:
        if line.startswith("#tb 0:"):
            over, _, under = line.partition(":")[2].strip().partition("/")
            unit = int(over) / int(under)
        elif not line.startswith("#"):
            _, decoded, shown, *_ = line.split(",")
            stamps.append((int(decoded), int(shown)))
    return unit, stamps
