"""A pair's runs judged: the plan with its offset, frame counts, and what was damaged.

Both backends come through here, so that they refuse and describe alike.
"""

from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.damage import examine_damage, has_damage
from vmaf_jax.video.facts import Facts, stream_facts
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.pairing import Plan, check_durations, expected_frames, plan_pair
from vmaf_jax.video.report import check_counts, explain, frame_counts, stream_formats
from vmaf_jax.video.spacing import check_spacing, rates_may_mislead
from vmaf_jax.video.sync import find_offset
from vmaf_jax.video.video import Video


def plan_with_offset(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], facts: tuple[Facts, Facts], how: Comparison
) -> Plan:
    """How the reference and the distorted video are compared, their offset found where asked for.

    Raises:
        InputError: they cannot be compared as `how` has it, or no offset fits.
    """
    plan = plan_pair(videos, facts, how, how.offset)
    if how.sync is None:
        return plan
    return plan_pair(videos, facts, how, find_offset(ffmpeg, *videos, plan.timing))


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
    counts = frame_counts(run.report, *videos, allow_damaged=how.allow_damaged)
    if plan.timing:
        check_counts(reference, distorted, counts, shortest=True)
        if not how.aligned:
            check_durations(videos, counts, plan)
    else:
        check_counts(reference, distorted, counts, shortest=how.aligned)
        if rates_may_mislead(facts) and not how.force:
            check_spacing(ffmpeg, videos, facts, (counts[1], counts[0]), plan.description["offset"])
    description = {**plan.description, "decoded": counts[::-1], "warnings": warnings}
    if damaged:
        description["damaged_frames"] = damaged
    return description, expected_frames(counts, plan)


def examine(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], how: Comparison
) -> tuple[Plan, dict[str, Any], int | None]:
    """Decodes a pair and measures nothing: its plan, description and number of frames.

    Raises:
        InputError: as a measurement does.
    """
    reference, distorted = videos
    decoder = ("-threads", "1") if how.allow_damaged else ()
    inputs = [word for v in (distorted, reference) for word in (*decoder, *v.arguments())]
    ends = ["-map", "0:v:0", "-map", "1:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]
    run = run_ffmpeg(ffmpeg, ["-nostdin", "-nostats", "-v", "level+verbose", *inputs, *ends])
    stream_formats(run.report, reference, distorted)
    facts = stream_facts(run.report)
    if run.code != 0 or facts is None:
        raise InputError(explain(run.report, reference, distorted))
    plan = plan_with_offset(ffmpeg, videos, facts, how)
    description, expected = judge(ffmpeg, videos, run, facts, plan, how)
    return plan, description, expected
