"""Runs of a pair: what the two are is learnt by decoding, then they are run as they are compared.

Most pairs need one run. Where the two have to be brought together first, the run is repeated with
the plan that the first one led to.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from vmaf_jax.errors import InputError
from vmaf_jax.video.alignment import align_pair
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import TO_NOTHING, VERBOSE, CompletedRun, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import VideoPair, select_streams
from vmaf_jax.video.pairing import PairPlan, plan_pair
from vmaf_jax.video.pixel_format import common_bits, planar_format
from vmaf_jax.video.report import check_formats, explain_failure, has_restarted_filters
from vmaf_jax.video.streams import (
    StreamPair,
    apply_grain_option,
    choose_stream,
    decoded_streams,
    leave_grain_out,
    probe_pair,
)
from vmaf_jax.video.synchrony import find_offset
from vmaf_jax.video.timing import measure_rates

# Enough to tell how a picture lies, without decoding much: the first ones may be black.
_SOME_FRAMES = "trim=end_frame=121,select='lt(n,3)+not(mod(n,12))'"


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
    errors = _measure_luma_errors(ffmpeg, videos, streams, plans)
    chosen = plan.layouts.choose(errors).name
    return plan_pair(videos, streams, comparison, offset, chosen, alignment)


def _measure_luma_errors(
    ffmpeg: Ffmpeg, videos: VideoPair, streams: StreamPair, plans: Mapping[str, PairPlan]
) -> dict[str, float]:
    """Returns the mean squared difference of luma that each plan leaves in some frames of a pair.

    All plans are run at once, so that the pair is decoded once.

    Raises:
        InputError: ffmpeg fails.
    """
    reference, distorted = videos
    parts = [
        f"[{k}:{video.stream_specifier}]split={len(plans)}"
        + "".join(f"[{role}{n}]" for n in range(len(plans)))
        for k, role, video in ((0, "d", distorted), (1, "r", reference))
    ]
    is_deep = common_bits(streams[0].pix_fmt, streams[1].pix_fmt) > 8
    some = f"{_SOME_FRAMES},format={planar_format('420', 12 if is_deep else 8)}"
    ends = []
    for n, plan in enumerate(plans.values()):
        parts += [
            f"[d{n}]{plan.to_distorted},{some}[x{n}]",
            f"[r{n}]{plan.to_reference},{some}[y{n}]",
            f"[x{n}][y{n}]psnr@way{n}[o{n}]",
        ]
        ends += ["-map", f"[o{n}]"]
    arguments = [*VERBOSE, *distorted.arguments(), *reference.arguments()]
    arguments += ["-filter_complex", ";".join(parts), *ends]
    run = run_ffmpeg(ffmpeg, [*arguments, *TO_NOTHING])
    found = dict(re.findall(r"psnr@way(\d+) @ .*PSNR y:([\d.]+|inf)", run.report))
    if run.code or len(found) < len(plans):
        raise InputError(explain_failure(run.report, reference, distorted))
    return {name: 10 ** (-float(found[str(n)]) / 10) for n, name in enumerate(plans)}
