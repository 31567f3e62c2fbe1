"""The choice of the stream that is measured, among the video streams of a file.

Most files have one stream, which is known from the report of the run that measures it, so that
choosing costs nothing. Of several the first is measured as a trial, and the report says what else
there is.
"""

import dataclasses
import re

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import VERBOSE, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video


def choose_stream(ffmpeg: Ffmpeg, video: Video, report: str, number: int) -> Video:
    """Returns the video with the stream that is measured, itself where that is the first film.

    A requested stream is taken. Of several, stills are left out, and previews: streams of
    JPEG or PNG beside a film of their size or more. Then what the container marks as default comes
    first, then the largest picture, as ffmpeg has it, then the first.

    Args:
        report: of a run in which the video is input `number`.

    Raises:
        InputError: the file has no such stream, or is a picture of several tiles.
    """
    streams = video_streams(report, number)
    if video.stream is not None:
        if streams and video.stream >= len(streams):
            raise InputError(
                f"{video.path}: has no video stream {video.stream}; it has {len(streams)}, counted "
                f"from 0, correct --stream."
            )
        return video
    if re.search(rf"Stream group #{number}:\d+\S*:? Tile Grid", report):  # HEIC, AVIF
        raise InputError(f"{video.path}: a picture of several tiles; convert it to PNG first.")
    films = [stream for stream in streams if stream.is_film]
    if len(films) < 2:
        return video
    moving = _leave_out_stills(ffmpeg, video, films)
    size = max((s.pixels for s in moving if not s.is_pictures), default=0)
    candidates = [s for s in moving if not s.is_pictures or s.pixels > size] or films
    best = max(candidates, key=lambda s: (s.is_default, s.pixels, -s.number))
    return video if best == films[0] else dataclasses.replace(video, stream=best.number)


@dataclasses.dataclass(frozen=True)
class ContainerStream:
    """A video stream of a file, as its container describes it.

    Attributes:
        index: among all streams of the file.
        number: among its video streams, from 0, as in ffmpeg's `v:0`.
        pixels: of a picture, 0 where unknown.
        is_default: whether the container marks it as the one to play.
        is_film: whether it may be the film; covers, thumbnails and parts of others are not.
        is_pictures: whether its codec is one of single pictures.
    """

    index: int
    number: int
    pixels: int
    is_default: bool
    is_film: bool
    is_pictures: bool


_INPUT = re.compile(
    r"^Input #(?P<input>\d+), .*?(?=^(?:Input|Output) #|^Stream mapping|\Z)", re.M | re.S
)
_STREAM = re.compile(r"^ *Stream #\d+:(?P<index>\d+)\S*: Video: (?P<rest>.*)$", re.M)
_SIZE = re.compile(r", (\d+)x(\d+)\b")
_PICTURES = re.compile(r"(?:mjpeg|png|bmp|gif|webp)\b")  # codecs of previews and chapter marks
_NO_FILM = re.compile(r"\((?:attached pic|timed thumbnails|dependent)\)")


def video_streams(report: str, number: int) -> list[ContainerStream]:
    """Returns the video streams of input `number` of a run, in the file's order."""
    rests: dict[int, str] = {}
    for block in _INPUT.finditer(report):
        if int(block["input"]) == number:
            for match in _STREAM.finditer(block[0]):
                # A stream of two programs of MPEG-TS is listed twice.
                rests.setdefault(int(match["index"]), match["rest"])
    streams = []
    for place, (index, rest) in enumerate(sorted(rests.items())):
        size = _SIZE.search(rest)
        streams.append(
            ContainerStream(
                index=index,
                number=place,
                pixels=int(size[1]) * int(size[2]) if size else 0,
                is_default="(default)" in rest,
                is_film=not _NO_FILM.search(rest),
                is_pictures=_PICTURES.match(rest) is not None,
            )
        )
    return streams


_PACKETS = re.compile(r"Output stream #(\d+):0 \(video\):.*?(\d+) packets muxed")


def _leave_out_stills(
    ffmpeg: Ffmpeg, video: Video, streams: list[ContainerStream]
) -> list[ContainerStream]:
    """Returns those streams that have two pictures or more, counted undecoded."""
    # An output each: within one, ffmpeg 9 ends all streams where the shortest does
    # (`findings/frames_of_a_cover.sh`).
    arguments = [*VERBOSE, *video.arguments()]
    for stream in streams:
        arguments += ["-map", f"0:v:{stream.number}", "-c", "copy", "-frames:v", "2"]
        arguments += ["-f", "null", "-"]
    report = run_ffmpeg(ffmpeg, arguments).report
    packets = {int(output): int(count) for output, count in _PACKETS.findall(report)}
    return [stream for k, stream in enumerate(streams) if packets.get(k, 0) > 1]
