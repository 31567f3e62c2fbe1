"""A pair's runs judged: the plan with its offset, frame counts, and what was damaged.

Both backends come through here, so that they refuse and describe alike.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.damage import examine_damage, has_damage
from vmaf_jax.video.facts import Facts, range_changes, stream_facts
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.pairing import (
    Plan,
    check_durations,
    expected_frames,
    plan_pair,
    within_limit,
)
from vmaf_jax.video.pixel_format import planar_format, sample_bits
from vmaf_jax.video.probe import choose_streams, probe
from vmaf_jax.video.report import (
    check_counts,
    explain,
    frame_counts,
    graph_began_anew,
    stream_formats,
)
from vmaf_jax.video.spacing import check_spacing, rates_may_mislead, true_rates
from vmaf_jax.video.sync import find_offset
from vmaf_jax.video.video import Video, with_streams

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
