"""Checks of a finished run over a pair: lengths, damage, spacing in time.

Both backends come through here, so that they refuse and describe alike.
"""

import re
from collections.abc import Sequence

from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count
from vmaf_jax.video.comparison import Comparison, Description
from vmaf_jax.video.ffmpeg import CompletedRun, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, VideoPair
from vmaf_jax.video.pairing import PairPlan
from vmaf_jax.video.report import check_frame_counts, frame_counts, has_range_change
from vmaf_jax.video.streams import DecodedStream, StreamPair
from vmaf_jax.video.synchrony import Pictures, judge_steps
from vmaf_jax.video.timing import check_spacing, needs_spacing_check

_CORRUPT = "corrupt decoded frame"
_NAMED = 5  # damaged frames that one line names


def check_run(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    run: CompletedRun,
    streams: StreamPair,
    plan: PairPlan,
    comparison: Comparison,
) -> tuple[Description, int | None]:
    """Checks that a whole run over a pair did what was planned, and describes it.

    Returns:
        The comparison's description for the result, and how many frames must have been measured
        (None where time stamps decide).

    Raises:
        InputError: frames are missing or damaged, or lengths differ, and that is not allowed.
    """
    reference, distorted = videos
    damaged: dict[str, list[int] | None] = {}
    warnings = list(plan.warnings)
    if reports_damage(run.faults, streams) or (
        comparison.allow_damaged and "decode errors" in run.report
    ):
        damaged, more = _find_damage(ffmpeg, videos, is_allowed=comparison.allow_damaged)
        warnings += more
    for number, role in ((1, "reference"), (0, "distorted video")):
        if has_range_change(run.report, number):
            warnings.append(f"range changes within the {role}; each frame is taken by its own tag")
    counts = frame_counts(run.report, *videos, allow_damaged=comparison.allow_damaged)
    counts = _limit_counts(counts, plan)
    if plan.timing:
        check_frame_counts(reference, distorted, counts, shortest=True)
        if not comparison.allows_unequal_lengths:
            _check_durations(videos, counts, plan)
    else:
        shortest = comparison.allows_unequal_lengths
        check_frame_counts(reference, distorted, counts, shortest=shortest)
        if needs_spacing_check(streams) and not (comparison.force or comparison.align):
            check_spacing(ffmpeg, videos, streams, counts, plan.skip)
    description = {**plan.description, "decoded": list(counts), "warnings": warnings}
    if damaged:
        description["damaged_frames"] = damaged
    expected = _expected_frames(counts, plan)
    if expected is not None and expected < 1:
        raise InputError(
            f"{distorted.path}: {format_count(counts[1], 'frame')}, its reference has {counts[0]}: "
            f"nothing is left after --start and --offset; lower them."
        )
    return description, expected


def check_steps(
    videos: VideoPair, plan: PairPlan, comparison: Comparison, pictures: tuple[Pictures, Pictures]
) -> list[str]:
    """Checks that frames paired by number are of the same moments; returns warnings.

    Args:
        pictures: small ones of some frames of the reference and of the distorted video.

    Raises:
        InputError: they are not, and that is not allowed.
    """
    if plan.grid is not None or plan.alignment is not None:
        return []
    found = judge_steps(*pictures)
    if found is None:
        return []
    count = format_count(abs(found.late), "frame")
    text = (
        f"is out of step: about frame {found.frame} it shows the reference's frames "
        f"{count} {'late' if found.late > 0 else 'early'}"
    )
    if not comparison.force:
        raise InputError(f"{videos[1].path}: {text}; pass --align, or --force to measure it so.")
    return [f"the distorted video {text}"]


def _limit_counts(counts: tuple[int, int], plan: PairPlan) -> tuple[int, int]:
    """Returns decoded frames of the reference and the distorted video that can be compared.

    A decoder that is to stop has gone on for some frames, another number every time.
    """
    if plan.limit is None or plan.grid is not None:
        return counts
    return min(counts[0], plan.skip[0] + plan.limit), min(counts[1], plan.skip[1] + plan.limit)


def _expected_frames(counts: tuple[int, int], plan: PairPlan) -> int | None:
    """Returns how many pairs of frames there are; None where time stamps decide."""
    if plan.grid is not None:
        return None
    if plan.alignment is not None:
        return plan.alignment.span
    left = min(counts[0] - plan.skip[0], counts[1] - plan.skip[1])
    return left if plan.limit is None else min(left, plan.limit)


def _check_durations(videos: VideoPair, counts: tuple[int, int], plan: PairPlan) -> None:
    """Raises InputError where durations of frames paired by time differ by more than two frames."""
    rates = [
        video.fps or plan.description[role]["rate"]
        for video, role in zip(videos, ("reference", "distorted"), strict=True)
    ]
    seconds = [count / rate for count, rate in zip(counts, rates, strict=True)]
    if plan.limit is not None and plan.grid is not None:
        last = (max(plan.skip) + plan.limit) / plan.grid
        seconds = [min(value, last) for value in seconds]
    if abs(seconds[0] - seconds[1]) > 2 / min(rates):
        raise InputError(
            f"{videos[1].path}: {seconds[1]:.3f} s, its reference {videos[0].path.name} has "
            f"{seconds[0]:.3f} s; pass --sync auto where frames are missing at the start, or "
            f"--shortest."
        )


# ffmpeg conceals what it cannot decode and ends with 0, so its own lines are the only witness.
def reports_damage(faults: Sequence[str], streams: Sequence[DecodedStream]) -> bool:
    """Tells whether lines at error level speak of decoding (a muxer's lines do not matter here)."""
    codecs = {stream.codec for stream in streams}
    decoders = codecs | {f"lib{codec}" for codec in codecs} | {"vist"}
    for line in faults:
        owner = re.match(r"\[([\w,]+)(?:#\d+\S*)? @ ", line)
        if _CORRUPT in line or (owner and owner[1] in decoders):
            return True
    return False


def damaged_frames(ffmpeg: Ffmpeg, video: Video) -> list[int] | None:
    """Returns the numbers of the frames that one decoding thread reports as corrupt.

    None where the decoder complains of something that it does not pin to a frame.
    """
    # Lines of several threads come in any order; of one, a complaint precedes its frame's line.
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
    complaints = [line for line in run.faults if re.match(r"\[(?!null|out|vost|Parsed)", line)]
    return frames if frames or not complaints else None


def _find_damage(
    ffmpeg: Ffmpeg, videos: VideoPair, *, is_allowed: bool
) -> tuple[dict[str, list[int] | None], list[str]]:
    """Decodes both once more; returns damaged frames by role, and a warning each.

    Raises InputError where one is damaged and that is not allowed.
    """
    by_role: dict[str, list[int] | None] = {}
    warnings = []
    for role, video in zip(("reference", "distorted"), videos, strict=True):
        frames = damaged_frames(ffmpeg, video)
        if frames == []:
            continue
        by_role[role] = frames
        if frames is None:
            where = "frames cannot be told apart"
        else:
            more = ", ..." if len(frames) > _NAMED else ""
            numbers = ", ".join(map(str, frames[:_NAMED]))
            where = f"{format_count(len(frames), 'frame')}: {numbers}{more}"
        text = f"damaged, as its decoder reports ({where})"
        if not is_allowed:
            raise InputError(f"{video.path}: {text}; get it again, or pass --allow-damaged.")
        warnings.append(f"the {role} is {text}")
    return by_role, warnings
