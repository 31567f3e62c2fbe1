"""Film grain that a decoder synthesises: found in a file, and left out of a comparison.

An encoder that models grain removes it before encoding; the decoder adds grain that looks alike and
has other samples. A metric of samples counts it as noise, so it is left out where the reference has
none of its own. ffmpeg adds none where it exports the parameters instead.
"""

import dataclasses

from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, VideoPair
from vmaf_jax.video.streams import StreamPair

_CODEC = "av1"  # of H.274 in other codecs, finding it would take a decoding of every file
_LOOKED_AT = 3  # frames; the first one of a film may be black, and have no grain


def without_grain(video: Video) -> Video:
    """Returns a video as it is decoded without synthesised grain."""
    return dataclasses.replace(video, film_grain=False)


def apply_grain_option(videos: VideoPair, film_grain: str | None) -> VideoPair:
    """Returns the videos as `--film-grain off` has them; else as they are."""
    if film_grain != "off":
        return videos
    return without_grain(videos[0]), without_grain(videos[1])


def leave_grain_out(
    ffmpeg: Ffmpeg, videos: VideoPair, streams: StreamPair, film_grain: str | None
) -> VideoPair:
    """Returns the videos, the distorted one without grain where it alone carries it.

    Args:
        film_grain: `on` or `off`, which is followed, or None.
    """
    if film_grain is not None or streams[1].codec != _CODEC or not carries_grain(ffmpeg, videos[1]):
        return videos
    if streams[0].codec == _CODEC and carries_grain(ffmpeg, videos[0]):
        return videos
    return videos[0], without_grain(videos[1])


def carries_grain(ffmpeg: Ffmpeg, video: Video) -> bool:
    """Tells whether the first frames of a video have parameters of film grain."""
    graph = f"[0:{video.stream_specifier}]showinfo[o]"
    line = ["-nostdin", "-v", "level+info", *without_grain(video).arguments()]
    line += ["-filter_complex", graph, "-map", "[o]", "-frames:v", str(_LOOKED_AT)]
    return "Film grain parameters: type" in run_ffmpeg(ffmpeg, [*line, "-f", "null", "-"]).report
