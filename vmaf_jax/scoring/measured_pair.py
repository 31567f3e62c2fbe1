"""The two videos of a score, read again in the way in which they were measured."""

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.frame_subset import Features, measure_chosen
from vmaf_jax.files import work_folder
from vmaf_jax.scoring.scores import ComparedPair, Scores, WorstRegion
from vmaf_jax.video.alignment import Alignment
from vmaf_jax.video.decode import DecodedPair, luma_frames
from vmaf_jax.video.ffmpeg import TO_NOTHING, find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import select_streams
from vmaf_jax.video.pairing import PairPlan, plan_pair
from vmaf_jax.video.report import explain_failure
from vmaf_jax.video.shots import SHOT_FILTER, read_shot_log, shot_starts
from vmaf_jax.video.streams import DecodedStream, StreamPair, without_grain

if TYPE_CHECKING:
    from vmaf_jax.features.tile_errors import WorstTile


def plan_again(
    scores: Scores, region: str | None = None
) -> tuple[ComparedPair, StreamPair, PairPlan]:
    """Returns the videos of a score, with the streams measured, and how they were compared.

    Args:
        region: A part of the picture, in place of what was measured of it.

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
    comparison = scores.pair.comparison
    if region is not None:
        comparison = dataclasses.replace(comparison, region=region)
    pair = ComparedPair(reference, distorted, comparison)
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
        line = [*start, "-filter_complex", graph, "-map", "[c]", *TO_NOTHING]
        run = run_ffmpeg(find_ffmpeg(), line, folder=work)
        if run.code:
            raise InputError(explain_failure(run.report, video, video))
        score = read_shot_log(work)[1]
    numbers = scores.table.index
    rows = np.searchsorted(numbers, shot_starts(score[: int(numbers[-1]) + 1]))
    return tuple(sorted({int(row) for row in rows} - {0}))


def find_worst_region(
    scores: Scores, predict: Callable[[Features], Features], progress: Callable[[int], None] | None
) -> WorstRegion:
    """Returns the region that departs most from the rest of its frame, of all frames scored.

    Both videos are decoded once more. The region's score is that of its pixels alone.

    Args:
        predict: From features `[n, d]` to scores `[n]`, VMAF points.
        progress: Called with how many more frames were looked at.

    Raises:
        InputError: As `plan_again`; or a video cannot be decoded any more.
    """
    pair, _, plan = plan_again(scores)
    row, tile = _worst_tile(scores, pair, progress)
    frame, origin = int(scores.table.index[row]), pair.comparison.box
    left, top = (0, 0) if origin is None else origin[:2]
    box = (tile.box[0] + left, tile.box[1] + top, *tile.box[2:])
    feature_set, score = scores.table.feature_set, None
    if feature_set.planes == 1:  # VMAF v1 takes no pictures so small
        again, _, plan = plan_again(scores, ",".join(map(str, box)))
        features = measure_chosen(
            find_ffmpeg(),
            (again.reference, again.distorted),
            plan,
            feature_set,
            [frame],
            threads=os.cpu_count() or 1,
        )
        score = float(predict(features)[0])
    return WorstRegion(
        frame=frame,
        time=scores.seconds_at(frame),
        box=box,
        score=score,
        frame_score=float(scores.per_frame[row]),
        stands_out=tile.severity >= 1,
    )


def _worst_tile(
    scores: Scores, pair: ComparedPair, progress: Callable[[int], None] | None
) -> "tuple[int, WorstTile]":
    """Returns the worst tile of all frames scored, and the row of its frame."""
    # Loads SciPy, which a score without a worst region does not need.
    from vmaf_jax.features.tile_errors import WorstTile, worst_tile

    rows = {int(number): row for row, number in enumerate(scores.table.index)}
    worst = (0, WorstTile(-1.0, (0, 0, 0, 0)))
    decoder = DecodedPair(find_ffmpeg(), pair.reference, pair.distorted, comparison=pair.comparison)
    with contextlib.closing(decoder):
        for number, reference, distorted in luma_frames(decoder, max(rows) + 1):
            if (row := rows.get(number)) is not None:
                tile = worst_tile(reference, distorted, decoder.bits)
                worst = max(worst, (row, tile), key=lambda found: found[1].severity)
            if progress is not None:
                progress(1)
    return worst
