"""A frame of each of two videos, decoded to see what they are."""

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.facts import Facts, stream_facts
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.report import BY_NUMBER, explain, renumbered, stream_formats
from vmaf_jax.video.video import Video


def probe(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], how: Comparison = DEFAULT_COMPARISON
) -> tuple[Facts, Facts]:
    """What the reference and the distorted video are.

    Raises:
        InputError: one cannot be read, or has no frame.
    """
    decoder = ("-threads", "1") if how.allow_damaged else ()
    start = ("-nostdin", "-nostats", "-v", "level+verbose", *decoder)
    ends = ("-map", "[luma]", "-fps_mode", "passthrough", "-frames:v", "1", "-f", "null", "-")
    graph = ("-filter_complex", f"[0:v:0]{BY_NUMBER}[luma]")
    run = joined([run_ffmpeg(ffmpeg, [*start, *v.arguments(), *graph, *ends]) for v in videos])
    stream_formats(run.report, *videos)
    facts = stream_facts(run.report)
    if run.code or facts is None:
        raise InputError(explain(run.report, *videos))
    return facts


def joined(runs: list[Finished]) -> Finished:
    """The reference's run and the distorted's, as one run over both."""
    reference, distorted = runs
    faults = tuple(renumbered(line) for line in reference.faults) + distorted.faults
    report = distorted.report + renumbered(reference.report)
    return Finished(reference.code or distorted.code, report, faults)
