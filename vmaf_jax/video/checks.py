"""Checks of a decoded pair: length, damage, spacing in time, and the offset between its videos.

ffmpeg conceals what it cannot decode and ends with 0, so its own lines are the only witness.

Rates are a container's claim: MPEG-1 and raw DV are told with twice the rate or a clock's ticks,
soft telecine with the rate of the display, a still with any. Two files that dropped other frames
can agree in number and average rate, and Matroska stores a rate that its frames need not keep. The
time stamps of the packets decide.

Both backends come through here, so that they refuse and describe alike.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.comparison import SYNC_REACH, Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, Stream, run_ffmpeg
from vmaf_jax.video.inputs import Video, with_streams
from vmaf_jax.video.pairing import (
    SAME_RATE,
    Plan,
    check_durations,
    expected_frames,
    plan_pair,
    within_limit,
)
from vmaf_jax.video.pixel_format import planar_format, sample_bits
from vmaf_jax.video.streams import (
    Facts,
    check_counts,
    choose_streams,
    explain,
    frame_counts,
    graph_began_anew,
    probe,
    range_changes,
    stream_facts,
    stream_formats,
)

_CORRUPT = "corrupt decoded frame"
_SHOWN = 5  # frames named in one line


def has_damage(faults: Sequence[str], facts: Sequence[Facts]) -> bool:
    """Whether lines at error level speak of decoding (a muxer's lines do not matter here)."""
    decoders = {facts.codec for facts in facts} | {f"lib{facts.codec}" for facts in facts}
    for line in faults:
        owner = re.match(r"\[([\w,]+)(?:#\d+\S*)? @ ", line)
        name = owner[1] if owner else ""
        if _CORRUPT in line or name in decoders or name == "vist":
            return True
    return False


def damaged_frames(ffmpeg: Ffmpeg, video: Video) -> list[int] | None:
    """Numbers of the frames that one decoding thread reports as corrupt.

    None where the decoder complains of something that it does not pin to a frame.
    """
    arguments = ["-nostdin", "-nostats", "-v", "level+info", "-threads", "1", "-debug_ts"]
    arguments += [*video.arguments(), "-map", f"0:{video.stream_specifier}", "-f", "null", "-"]
    run = run_ffmpeg(ffmpeg, arguments)
    number, frames, corrupt = 0, [], False
    for line in run.report.splitlines():
        if _CORRUPT in line:
            corrupt = True
        elif "decoder -> pts:" in line:
            if corrupt:
                frames.append(number)
            number, corrupt = number + 1, False
    decoder = [line for line in run.faults if re.match(r"\[(?!null|out|vost|Parsed)", line)]
    return frames if frames or not decoder else None


def examine_damage(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], *, allowed: bool
) -> tuple[dict[str, list[int] | None], list[str]]:
    """Which of the two is damaged, and where.

    Returns:
        Damaged frames by role, and a warning each.

    Raises:
        InputError: one is, and that is not allowed.
    """
    by_role: dict[str, list[int] | None] = {}
    warnings = []
    for role, video in zip(("reference", "distorted"), videos, strict=True):
        frames = damaged_frames(ffmpeg, video)
        if frames == []:
            continue
        by_role[role] = frames
        count = "frames cannot be told apart" if frames is None else f"{len(frames)} frames"
        named = ", ".join(map(str, (frames or [])[:_SHOWN]))
        more = ", ..." if len(frames or []) > _SHOWN else ""
        text = f"damaged, as its decoder reports ({count}{named and ': '}{named}{more})"
        if not allowed:
            raise InputError(f"{video.path}: {text}; get it again, or pass --allow-damaged.")
        warnings.append(f"the {role} is {text}")
    return by_role, warnings


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


_WIDTH, _HEIGHT = 64, 36
_FRAMES = 4 * SYNC_REACH


def find_offset(ffmpeg: Ffmpeg, reference: Video, distorted: Video, timing: str = "") -> int:
    """Frames that the distorted video starts late; below zero, early.

    Args:
        timing: filters that bring both to one rate.

    Raises:
        InputError: no offset within reach fits clearly better than the others.
    """
    pictures = [_thumbnails(ffmpeg, video, timing) for video in (reference, distorted)]
    if min(map(len, pictures)) < 2:
        raise InputError(f"{distorted.path}: too short for --sync auto; pass --offset.")
    offset = best_offset(*pictures)
    if offset is None:
        raise InputError(
            f"{distorted.path}: no offset of up to {SYNC_REACH} frames fits clearly; pass --offset."
        )
    return offset


def best_offset(
    reference: npt.NDArray[np.float32], distorted: npt.NDArray[np.float32]
) -> int | None:
    """The offset at which pictures `[n, pixels]` differ least, None where none stands out.

    The difference is a mean over at least half of the shorter of the two. It must be half of what
    it is at most offsets, and be least within reach: pictures of other moments differ alike at all.
    """
    n, m = len(reference), len(distorted)
    differences = {}
    for offset in range(-SYNC_REACH - 1, SYNC_REACH + 2):  # one beyond, where it may still fall
        first, second = max(0, -offset), max(0, offset)
        count = min(n - first, m - second)
        if count < (min(n, m) + 1) // 2:
            continue
        pair = reference[first : first + count] - distorted[second : second + count]
        differences[offset] = float(np.mean(np.abs(pair)))
    ranked = sorted(differences, key=lambda offset: (differences[offset], abs(offset)))
    if len(ranked) > 1 and differences[ranked[1]] - differences[ranked[0]] <= 1e-6:
        return None
    best = ranked[0]
    usual = float(np.median(list(differences.values())))
    stands_out = best == 0 or differences[best] <= usual / 2
    return best if stands_out and abs(best) <= SYNC_REACH else None


def _thumbnails(ffmpeg: Ffmpeg, video: Video, timing: str) -> npt.NDArray[np.float32]:
    small = f"{timing}scale={_WIDTH}:{_HEIGHT}:flags=area:out_range=tv,format=gray"
    line = ["-v", "error", *video.arguments(), "-map", f"0:{video.stream_specifier}", "-vf", small]
    stream = Stream(
        ffmpeg,
        [*line, "-frames:v", str(_FRAMES), "-fps_mode", "passthrough", "-f", "rawvideo", "-"],
    )
    try:
        content = bytearray(_FRAMES * _WIDTH * _HEIGHT)
        filled, view = 0, memoryview(content)
        while filled < len(content) and (count := stream.read_into(view[filled:])):
            filled += count
    finally:
        stream.close()
    whole = filled - filled % (_WIDTH * _HEIGHT)
    pictures = np.frombuffer(bytes(content[:whole]), np.uint8).astype(np.float32)
    return pictures.reshape(-1, _WIDTH * _HEIGHT)


# Enough to tell how a picture lies, without decoding much: the first ones may be black.
_SOME_FRAMES = "trim=end_frame=121,select='lt(n,3)+not(mod(n,12))'"


def plan_with_offset(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], facts: tuple[Facts, Facts], how: Comparison
) -> Plan:
    """How the reference and the distorted video are compared, their offset found where asked for.

    Raises:
        InputError: they cannot be compared as `how` has it, or no offset fits.
    """
    facts = true_rates(ffmpeg, videos, facts)
    plan = plan_pair(videos, facts, how, how.offset)
    offset = how.offset
    if how.sync is not None:
        offset = find_offset(ffmpeg, *videos, plan.timing)
        plan = plan_pair(videos, facts, how, offset)
    if len(plan.layouts.ways) == 1:
        return plan
    plans = {way.name: plan_pair(videos, facts, how, offset, way.name) for way in plan.layouts.ways}
    return plans[plan.layouts.best(luma_errors(ffmpeg, videos, plans)).name]


def luma_errors(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], plans: Mapping[str, Plan]
) -> dict[str, float]:
    """The mean squared difference of luma that each plan leaves in some frames of a pair.

    Raises:
        InputError: ffmpeg fails.
    """
    reference, distorted = videos
    parts = [
        f"[{k}:{video.stream_specifier}]split={len(plans)}"
        + "".join(f"[{role}{n}]" for n in range(len(plans)))
        for k, role, video in ((0, "d", distorted), (1, "r", reference))
    ]
    ends = []
    for n, plan in enumerate(plans.values()):
        described = plan.description
        deepest = max(sample_bits(described[k]["pix_fmt"]) for k in ("reference", "distorted"))
        some = f"{_SOME_FRAMES},format={planar_format('420', 8 if deepest == 8 else 12)}"
        parts += [
            f"[d{n}]{plan.to_distorted},{some}[x{n}]",
            f"[r{n}]{plan.to_reference},{some}[y{n}]",
            f"[x{n}][y{n}]psnr@way{n}[o{n}]",
        ]
        ends += ["-map", f"[o{n}]"]
    inputs = [*distorted.arguments(), *reference.arguments()]
    ends += ["-fps_mode", "passthrough", "-f", "null", "-"]
    start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
    run = run_ffmpeg(ffmpeg, [*start, "-filter_complex", ";".join(parts), *ends])
    found = dict(re.findall(r"psnr@way(\d+) @ .*PSNR y:([\d.]+|inf)", run.report))
    if run.code or len(found) < len(plans):
        raise InputError(explain(run.report, reference, distorted))
    return {name: 10 ** (-float(found[str(n)]) / 10) for n, name in enumerate(plans)}


def judge(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    run: Finished,
    facts: tuple[Facts, Facts],
    plan: Plan,
    how: Comparison,
) -> tuple[dict[str, Any], int | None]:
    """Holds a whole run against what was planned.

    Returns:
        The comparison's description for the result, and how many frames must have been measured
        (None where time stamps decide).

    Raises:
        InputError: frames are missing or damaged, or lengths differ, and that is not allowed.
    """
    reference, distorted = videos
    damaged: dict[str, list[int] | None] = {}
    warnings = list(plan.warnings)
    if has_damage(run.faults, facts) or (how.allow_damaged and "decode errors" in run.report):
        damaged, more = examine_damage(ffmpeg, videos, allowed=how.allow_damaged)
        warnings += more
    for k, role in ((1, "reference"), (0, "distorted video")):
        if range_changes(k, run.report):
            warnings.append(f"range changes within the {role}; each frame is taken by its own tag")
    counts = frame_counts(run.report, *videos, allow_damaged=how.allow_damaged)
    counts = within_limit(counts, plan)
    if plan.timing:
        check_counts(reference, distorted, counts, shortest=True)
        if not how.aligned:
            check_durations(videos, counts, plan)
    else:
        check_counts(reference, distorted, counts, shortest=how.aligned)
        if rates_may_mislead(facts) and not how.force:
            check_spacing(ffmpeg, videos, facts, (counts[1], counts[0]), plan.skip)
    description = {**plan.description, "decoded": counts[::-1], "warnings": warnings}
    if damaged:
        description["damaged_frames"] = damaged
    expected = expected_frames(counts, plan)
    if expected is not None and expected < 1:
        raise InputError(
            f"{distorted.path}: {counts[0]} frames, its reference has {counts[1]}: nothing is left "
            f"after --start and --offset; lower them."
        )
    return description, expected


def run_planned(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    how: Comparison,
    run: Callable[[tuple[Video, Video], Plan | None], Finished],
    models: Mapping[str, str] | None = None,
) -> tuple[Finished, tuple[Video, Video], tuple[Facts, Facts], Plan]:
    """Runs a pair as it has to be compared, once where that is how most pairs are.

    What the two are is told by decoding: the first run tells it, and is repeated where they have to
    be brought together first. Where frames are left out, a frame of each is decoded before.

    Args:
        run: a whole run, given the reference and the distorted video, and how they are brought
            together, None before that is known.
        models: that it runs, as `explain` takes them.

    Returns:
        The run, both videos with the streams that were measured, what these are, and how they were
        compared.

    Raises:
        InputError: one has no frame, or the two cannot be compared as `how` has it.
    """
    plan, videos = None, with_streams(videos, how.streams)
    if how.is_partial:
        videos, facts_before = probe(ffmpeg, videos, how)
        plan = plan_with_offset(ffmpeg, videos, facts_before, how)
    result = run(videos, plan)
    if plan is None and (chosen := choose_streams(ffmpeg, videos, result.report)) != videos:
        videos = chosen
        result = run(videos, plan)
    stream_formats(result.report, *videos)
    facts = stream_facts(result.report)
    if facts is None:
        raise InputError(explain(result.report, *videos, models))
    anew = graph_began_anew(result.report)
    if plan is None or anew:
        must_repeat = plan is None
        plan = plan_with_offset(ffmpeg, videos, facts, how)
        if anew or (must_repeat and plan.changed):
            # Where a graph begins anew, libvmaf's log does too.
            reference, distorted = (dataclasses.replace(v, keeps_filters=anew) for v in videos)
            result = run((reference, distorted), plan)
            stream_formats(result.report, *videos)
    return result, videos, facts, plan


def examine(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], how: Comparison
) -> tuple[Plan, dict[str, Any], int | None]:
    """Decodes a pair and measures nothing: its plan, description and number of frames.

    Raises:
        InputError: as a measurement does.
    """
    decoder = ("-threads", "1") if how.allow_damaged else ()

    def decode(reference: Video, distorted: Video) -> Finished:
        inputs = [word for v in (distorted, reference) for word in (*decoder, *v.arguments())]
        maps = [f"0:{distorted.stream_specifier}", f"1:{reference.stream_specifier}"]
        ends = ["-map", maps[0], "-map", maps[1], "-fps_mode", "passthrough", "-f", "null", "-"]
        return run_ffmpeg(ffmpeg, ["-nostdin", "-nostats", "-v", "level+verbose", *inputs, *ends])

    videos = with_streams(videos, how.streams)
    run = decode(*videos)
    if (chosen := choose_streams(ffmpeg, videos, run.report)) != videos:
        videos = chosen
        run = decode(*videos)
    stream_formats(run.report, *videos)
    facts = stream_facts(run.report)
    if run.code != 0 or facts is None:
        raise InputError(explain(run.report, *videos))
    plan = plan_with_offset(ffmpeg, videos, facts, how)
    description, expected = judge(ffmpeg, videos, run, facts, plan, how)
    return plan, description, expected
