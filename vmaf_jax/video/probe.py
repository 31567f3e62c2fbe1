"""A frame of each of two videos, decoded to see what they are."""

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.facts import Facts, stream_facts
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.report import BY_NUMBER, explain, renumbered, stream_formats
from vmaf_jax.video.streams import choose_stream
from vmaf_jax.video.video import Video


def probe(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], how: Comparison = DEFAULT_COMPARISON
) -> tuple[tuple[Video, Video], tuple[Facts, Facts]]:
    """What the reference and the distorted video are.

    Returns:
        Both with the streams that are measured, and what these are.

    Raises:
        InputError: one cannot be read, or has no frame.
    """
    decoder = ("-threads", "1") if how.allow_damaged else ()
    start = ("-nostdin", "-nostats", "-v", "level+verbose", *decoder)
    ends = ("-map", "[luma]", "-fps_mode", "passthrough", "-frames:v", "1", "-f", "null", "-")

    def first_frame(video: Video) -> Finished:
        graph = ("-filter_complex", f"[0:{video.stream_specifier}]{BY_NUMBER}[luma]")
        return run_ffmpeg(ffmpeg, [*start, *video.arguments(), *graph, *ends])

    def settle(video: Video) -> tuple[Video, Finished]:
        run = first_frame(video)
        chosen = choose_stream(ffmpeg, video, run.report, 0)
        return chosen, run if chosen == video else first_frame(chosen)

    (reference, first), (distorted, second) = map(settle, videos)
    run = joined([first, second])
    stream_formats(run.report, reference, distorted)
    facts = stream_facts(run.report)
    if run.code or facts is None:
        raise InputError(explain(run.report, reference, distorted))
    return (reference, distorted), facts


def choose_streams(ffmpeg: Ffmpeg, videos: tuple[Video, Video], report: str) -> tuple[Video, Video]:
    """Returns the reference and the distorted video with the streams that are measured.

    Args:
        report: of a run over both, the distorted video first.

    Raises:
        InputError: as `choose_stream`.
    """
    reference, distorted = videos
    return (
        choose_stream(ffmpeg, reference, report, 1),
        choose_stream(ffmpeg, distorted, report, 0),
    )


def joined(runs: list[Finished]) -> Finished:
    """The reference's run and the distorted's, as one run over both."""
    reference, distorted = runs
    faults = tuple(renumbered(line) for line in reference.faults) + distorted.faults
    report = distorted.report + renumbered(reference.report)
    return Finished(reference.code or distorted.code, report, faults)
