"""A run over a pair as it is compared: planned, repeated where need be, and checked.

Most pairs need one run. Where the two have to be brought together first, the run is repeated with
the plan that the first one led to. Both backends come through the checks of lengths, damage and
spacing in time, so that they refuse and describe alike.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count
from vmaf_jax.video.alignment import align_pair
from vmaf_jax.video.comparison import Comparison, Description
from vmaf_jax.video.ffmpeg import TO_NOTHING, VERBOSE, CompletedRun, Ffmpeg, run_ffmpeg
from vmaf_jax.video.geometry import LumaErrors
from vmaf_jax.video.inputs import Video, VideoPair, select_streams
from vmaf_jax.video.pairing import PairPlan, plan_pair
from vmaf_jax.video.pixel_format import common_bits, planar_format
from vmaf_jax.video.report import (
    check_formats,
    check_frame_counts,
    explain_failure,
    frame_counts,
    has_range_change,
    has_restarted_filters,
)
from vmaf_jax.video.streams import (
    DecodedStream,
    StreamPair,
    apply_grain_option,
    choose_stream,
    decoded_streams,
    leave_grain_out,
    probe_pair,
)
from vmaf_jax.video.synchrony import HEIGHT, WIDTH, Pictures, find_offset, judge_steps
from vmaf_jax.video.timing import check_spacing, measure_rates, needs_spacing_check

# Enough to tell how a picture lies, without decoding much: the first ones may be black.
_SOME_FRAMES = "trim=end_frame=121,select='lt(n,3)+not(mod(n,12))'"
_INNER = "crop=iw-4:ih-4:0:0"  # a lost line, and as far as scaling spreads it


class ComparedRun(NamedTuple):
    """A run over a pair as it is compared.

    Attributes:
        run: the last one.
        videos: the reference and the distorted one, with the streams that were measured.
        streams: what these are.
        plan: how they were brought together.
    """

    run: CompletedRun
    videos: VideoPair
    streams: StreamPair
    plan: PairPlan


def run_comparison(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    comparison: Comparison,
    run: Callable[[VideoPair, PairPlan | None], CompletedRun],
    models: Mapping[str, str] | None = None,
) -> ComparedRun:
    """Runs a pair as it has to be compared.

    Where frames are left out, a frame of each is decoded first. Otherwise the first run tells what
    the two are, and is repeated where it was not the right one.

    Args:
        run: a whole run, given the reference and the distorted video, and how they are brought
            together, None before that is known.
        models: that it runs, as `explain_failure` takes them.

    Raises:
        InputError: one has no frame, or the two cannot be compared as `comparison` has it.
    """
    plan, videos = None, select_streams(videos, comparison.streams)
    videos = apply_grain_option(videos, comparison.film_grain)
    if comparison.needs_probe:
        videos, first_frames = probe_pair(ffmpeg, videos)
        videos = leave_grain_out(ffmpeg, videos, first_frames, comparison.film_grain)
        plan = plan_comparison(ffmpeg, videos, first_frames, comparison)
    result = run(videos, plan)
    if plan is None:
        reference, distorted = videos
        chosen = (
            choose_stream(ffmpeg, reference, result.report, 1),
            choose_stream(ffmpeg, distorted, result.report, 0),
        )
        if chosen != videos:
            videos = chosen
            result = run(videos, plan)
    # ffmpeg numbers inputs as it gets them: the distorted video first, as its filters take them.
    check_formats(result.report, videos[::-1])
    streams = decoded_streams(result.report)
    if streams is None:
        raise InputError(explain_failure(result.report, *videos, models))
    if plan is None:
        plain = leave_grain_out(ffmpeg, videos, streams, comparison.film_grain)
        if plain != videos:
            videos = plain
            result = run(videos, plan)
            check_formats(result.report, videos[::-1])
    restarted = has_restarted_filters(result.report)
    if plan is None or restarted:
        plan = plan_comparison(ffmpeg, videos, streams, comparison)
        if restarted or plan.changed:
            first, second = (dataclasses.replace(v, keeps_filters=restarted) for v in videos)
            result = run((first, second), plan)
            check_formats(result.report, videos[::-1])
    return ComparedRun(result, videos, streams, plan)


def plan_comparison(
    ffmpeg: Ffmpeg, videos: VideoPair, streams: StreamPair, comparison: Comparison
) -> PairPlan:
    """Plans how a pair is compared, with what only its time stamps and pictures tell.

    Raises:
        InputError: they cannot be compared as `comparison` has it, or no offset fits.
    """
    streams = measure_rates(ffmpeg, videos, streams)
    offset, alignment = comparison.offset, None
    whole = dataclasses.replace(comparison, region=None)  # which tells more of how a pair lies
    every = dataclasses.replace(whole, start=None, frames=None)
    plan = plan_pair(videos, streams, every if comparison.align else comparison, offset)
    if comparison.align:
        alignment = align_pair(ffmpeg, videos, (plan.to_reference, plan.to_distorted))
        plan = plan_pair(videos, streams, comparison, alignment=alignment)
    if comparison.sync is not None:
        offset = find_offset(ffmpeg, *videos, plan.timing)
        plan = plan_pair(videos, streams, comparison, offset)
    names = [layout.name for layout in plan.layouts.layouts]
    if len(names) == 1:
        return plan
    plans = {name: plan_pair(videos, streams, whole, offset, name, alignment) for name in names}
    layouts = plan.layouts
    luma = _measure_luma_errors(ffmpeg, videos, streams, plans)
    chosen = layouts.choose(luma)
    plan = plan_pair(videos, streams, comparison, offset, chosen.name, alignment)
    doubt = layouts.find_doubt(luma)
    return plan.warn(doubt) if doubt else plan


def _measure_luma_errors(
    ffmpeg: Ffmpeg, videos: VideoPair, streams: StreamPair, plans: Mapping[str, PairPlan]
) -> LumaErrors:
    """Measures by some frames of a pair what `LayoutChoices.choose` takes.

    All plans are run at once, so that the pair is decoded once.

    Raises:
        InputError: ffmpeg fails.
    """
    reference, distorted = videos
    layouts = next(iter(plans.values())).layouts
    is_deep = common_bits(streams[0].pix_fmt, streams[1].pix_fmt) > 8
    some = f"{_SOME_FRAMES},format={planar_format('420', 12 if is_deep else 8)}"
    if layouts.step_size is not None:  # in 12 bits: dark pictures differ by less than a level
        width, height = layouts.step_size
        some = f"{_SOME_FRAMES},scale={width}:{height}:flags=area,format={planar_format('420', 12)}"
    parts = [
        f"[{k}:{video.stream_specifier}]split={len(plans)}"
        + "".join(f"[{role}{n}]" for n in range(len(plans)))
        for k, role, video in ((0, "d", distorted), (1, "r", reference))
    ]
    names = list(plans)
    pairs = {f"error{n}": (f"x{n}", f"y{n}") for n in range(len(names))}
    cuts, compared = {}, {}
    for k, (first, second) in enumerate(layouts.comparisons()):
        plane = "x" if first.to_reference == second.to_reference else "y"
        n, m = names.index(first.name), names.index(second.name)
        pairs[f"apart{k}"] = (f"{plane}{n}", f"{plane}{m}")
        compared[first.name, second.name] = f"apart{k}"
        if first.name == "stretch":
            cuts[second.name] = f"inner{m}"
            pairs[f"inner{m}"] = (f"x{m}", f"y{m}")
    for n, plan in enumerate(plans.values()):
        for start, chain, end in (("d", plan.to_distorted, "x"), ("r", plan.to_reference, "y")):
            uses = [key for key, pair in pairs.items() if f"{end}{n}" in pair]
            copies = "".join(f"[{end}{n}{key}]" for key in uses)
            parts.append(f"[{start}{n}]{chain},{some},split={len(uses)}{copies}")
    outputs = []
    for key, (a, b) in pairs.items():
        ends = f"[{a}{key}][{b}{key}]"
        if key in cuts.values():
            parts += [f"[{end}{key}]{_INNER}[{end}{key}i]" for end in (a, b)]
            ends = f"[{a}{key}i][{b}{key}i]"
        parts.append(f"{ends}psnr@{key}[{key}]")
        outputs += ["-map", f"[{key}]"]
    arguments = [*VERBOSE, *distorted.arguments(), *reference.arguments()]
    arguments += ["-filter_complex", ";".join(parts), *outputs]
    run = run_ffmpeg(ffmpeg, [*arguments, *TO_NOTHING])
    found = dict(re.findall(r"psnr@(\w+) @ .*PSNR y:([\d.]+|inf)", run.report))
    if run.code or len(found) < len(pairs):
        raise InputError(explain_failure(run.report, reference, distorted))
    squares = {key: 10 ** (-float(psnr) / 10) for key, psnr in found.items()}
    return LumaErrors(
        {name: squares[f"error{n}"] for n, name in enumerate(names)},
        {name: squares[key] for name, key in cuts.items()},
        {pair: squares[key] for pair, key in compared.items()},
    )


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
            warnings.append(
                f"range changes within the {role}; each frame is taken by its own tag "
                f"(docs/traps.md)"
            )
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
    if plan.size[0] < WIDTH or plan.size[1] < HEIGHT:
        return []  # a part that is magnified for it, whose coding noise no mean takes away
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
            f"--shortest (docs/traps.md)."
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
