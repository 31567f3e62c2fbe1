"""The two videos of a score, read again in the way in which they were measured."""

import dataclasses

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.scoring.scores import Scores, VideoPair
from vmaf_jax.video.alignment import Alignment
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg
from vmaf_jax.video.film_grain import without_grain
from vmaf_jax.video.inputs import select_streams
from vmaf_jax.video.pairing import PairPlan, plan_pair
from vmaf_jax.video.report import explain_failure
from vmaf_jax.video.shots import SHOT_FILTER, read_shot_log, shot_starts
from vmaf_jax.video.streams import DecodedStream, StreamPair


def plan_again(scores: Scores) -> tuple[VideoPair, StreamPair, PairPlan]:
    """Returns the videos of a score, with the streams measured, and how they were compared.

    Raises:
        InputError: The videos are not there any more, as those of arrays.
    """
    if scores.pair is None:
        raise InputError("the videos of these scores are not kept; score files.")
    described = scores.table.provenance["comparison"]
    numbers = (described["reference"]["stream"], described["distorted"]["stream"])
    reference, distorted = select_streams((scores.pair.reference, scores.pair.distorted), numbers)
    if described.get("film_grain") == "off":
        distorted = without_grain(distorted)
    pair = dataclasses.replace(scores.pair, reference=reference, distorted=distorted)
    streams = (
        DecodedStream.from_description(described["reference"]),
        DecodedStream.from_description(described["distorted"]),
    )
    alignment = described.get("alignment")
    plan = plan_pair(
        (reference, distorted),
        streams,
        pair.comparison,
        described["offset"],
        described["layout"],
        None if alignment is None else Alignment.from_description(alignment),
    )
    return pair, streams, plan


def find_shots(scores: Scores) -> tuple[int, ...]:
    """Returns the first of the scores of each new shot of the reference, which is decoded for it.

    Raises:
        InputError: As `plan_again`; or the reference cannot be decoded any more.
    """
    pair, _, plan = plan_again(scores)
    video = pair.reference
    graph = f"[0:{video.stream_specifier}]{plan.to_reference},{SHOT_FILTER}[c]"
    with work_folder() as work:
        start = ["-nostdin", "-nostats", "-v", "error", *video.arguments()]
        end = ["-map", "[c]", "-fps_mode", "passthrough", "-f", "null", "-"]
        run = run_ffmpeg(find_ffmpeg(), [*start, "-filter_complex", graph, *end], folder=work)
        if run.code:
            raise InputError(explain_failure(run.report, video, video))
        score = read_shot_log(work)[1]
    numbers = scores.table.index
    rows = np.searchsorted(numbers, shot_starts(score[: int(numbers[-1]) + 1]))
    return tuple(sorted({int(row) for row in rows} - {0}))
