"""The stream of a video that is measured: which it is, and its frames as ffmpeg shows them.

Most files have one stream, which is known from the report of the run that measures it, so that
choosing costs nothing. Of several the first is measured as a trial, and the report says what else
there is. Sizes in pixels, rates in frames per second.
"""

import dataclasses
import re
from fractions import Fraction

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Description
from vmaf_jax.video.ffmpeg import BY_NUMBER, VERBOSE, CompletedRun, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, VideoPair
from vmaf_jax.video.pixel_format import is_luma_alone, is_rgb
from vmaf_jax.video.report import (
    GRAPH_INPUT,
    check_formats,
    container_line,
    explain_failure,
    has_range_change,
    shown_angle,
)

# swscale's names of the matrices that ffmpeg's tags name; it knows no others.
SWSCALE_MATRIX = {"bt709": "bt709", "fcc": "fcc", "smpte240m": "smpte240m", "bt470bg": "bt601"}


SWSCALE_MATRIX |= {"smpte170m": "bt601", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
_PRIMARIES = ("bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "bt2020", "smpte432")
# Demuxers whose rate is a guess: no time stamps of their own, or single pictures.
_UNTIMED = re.compile(r"rawvideo|h264|hevc|vvc|m4v|mpegvideo|image2|\w+_pipe|obu|av1|gif_pipe")
_STILLS = re.compile(r"image2|\w+_pipe|fits")  # demuxers of pictures
# An average rate further from the one that the time stamps fit means frames that are missing or
# unevenly spaced; 23.976 and 24 are 0.1 % apart.
_REGULAR = 0.02


@dataclasses.dataclass(frozen=True)
class DecodedStream:
    """One video stream, as its frames are decoded and shown.

    Attributes:
        demuxer, codec: ffmpeg's names.
        width, height: as a player shows them, rotation applied.
        pix_fmt: of the decoded frames.
        matrix, primaries, transfer: ffmpeg's names; "unknown" where the stream does not say.
        range: `tv` or `pc`; a stream that does not say is taken for `tv`, RGB and still pictures
            of luma alone for `pc`.
        sar: shape of a sample, width over height; None where unknown.
        rotation: degrees, counter-clockwise, that a player turns the picture by.
        rate: average frames per second, None where the file has no times of its own.
        base_rate: the rate that the time stamps fit, which an irregular file's average misses.
        scan: `progressive` or `interlaced`; "unknown" where the stream does not say.
        stream: which of the file's video streams it is, from 0.
        streams: that might be the film, so covers and thumbnails do not count.
        uneven: whether frames are shown at uneven times, though the other video's at the same ones.
        chroma_location: where 4:2:0 chroma is sampled, `left`, `center`, ...; "unknown" where the
            stream does not say, or is Y4M whose `center` is what writers put by default.
        range_changes: whether later frames have another range; `range` is of the first.
    """

    demuxer: str
    codec: str
    width: int
    height: int
    pix_fmt: str
    matrix: str
    primaries: str
    transfer: str
    range: str
    sar: Fraction | None
    rotation: int
    rate: float | None
    base_rate: float | None
    scan: str = "unknown"
    stream: int = 0
    streams: int = 1
    range_changes: bool = False
    uneven: bool = False
    chroma_location: str = "unknown"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def aspect(self) -> Fraction:
        """Display aspect ratio, width over height."""
        return Fraction(self.width, self.height) * (self.sar or 1)

    @property
    def irregular(self) -> bool:
        """Whether frames are missing or unevenly spaced in time."""
        if self.rate is None or self.base_rate is None:
            return False
        return abs(self.rate / self.base_rate - 1) > _REGULAR

    def describe(self) -> Description:
        """Returns the attributes as JSON takes them, for a result's `comparison`."""
        sar = None if self.sar is None else f"{self.sar.numerator}:{self.sar.denominator}"
        return {**dataclasses.asdict(self), "sar": sar}

    @classmethod
    def from_description(cls, entry: Description) -> "DecodedStream":
        """Returns the stream that `describe` described."""
        across, _, down = str(entry["sar"]).partition(":")
        return cls(**{**entry, "sar": Fraction(int(across), int(down)) if down else None})


StreamPair = tuple[DecodedStream, DecodedStream]  # of the reference and the distorted video


def probe(ffmpeg: Ffmpeg, video: Video) -> tuple[Video, DecodedStream]:
    """Decodes a frame of a video; returns it with the stream that is measured, and what that is.

    Raises InputError where it cannot be read, or has no frame.
    """
    run = _decode_first_frame(ffmpeg, video)
    chosen = choose_stream(ffmpeg, video, run.report, 0)
    if chosen != video:
        run = _decode_first_frame(ffmpeg, chosen)
    check_formats(run.report, [chosen])
    stream = decoded_stream(run.report, 0)
    if run.code or stream is None:
        raise InputError(explain_failure(run.report, chosen, chosen))
    return chosen, stream


def probe_pair(ffmpeg: Ffmpeg, videos: VideoPair) -> tuple[VideoPair, StreamPair]:
    """Probes the reference and the distorted video, as `probe` does each."""
    (reference, first), (distorted, second) = (probe(ffmpeg, video) for video in videos)
    return (reference, distorted), (first, second)


def _decode_first_frame(ffmpeg: Ffmpeg, video: Video) -> CompletedRun:
    arguments = [*VERBOSE, *video.arguments()]
    # A graph of filters, since ffmpeg reports the form of frames where it configures one.
    arguments += ["-filter_complex", f"[0:{video.stream_specifier}]{BY_NUMBER}[luma]"]
    arguments += ["-map", "[luma]", "-fps_mode", "passthrough", "-frames:v", "1"]
    return run_ffmpeg(ffmpeg, [*arguments, "-f", "null", "-"])


def decoded_streams(report: str) -> StreamPair | None:
    """Returns the streams of the reference and of the distorted video; None if one has no frame.

    Args:
        report: of a run over both, the distorted video as input 0.
    """
    reference, distorted = decoded_stream(report, 1), decoded_stream(report, 0)
    return None if reference is None or distorted is None else (reference, distorted)


_DEMUXER = re.compile(r"^Input #(\d+), (\S+), from ", re.M)


def decoded_stream(report: str, number: int) -> DecodedStream | None:
    """Returns the stream of input `number` of a run; None if it has no frame."""
    frames = (m for m in GRAPH_INPUT.finditer(report) if int(m["input"]) == number)
    if (frame := next(frames, None)) is None:
        return None
    demuxer = dict(_DEMUXER.findall(report)).get(str(number), "")
    is_still = _STILLS.fullmatch(demuxer.split(",")[0]) is not None
    is_timed = not _UNTIMED.fullmatch(demuxer.split(",")[0])
    index = int(frame["index"])
    codec, rest, side_data = container_line(report, number, index)
    width, height, sar, rotation = _shown_shape(frame, side_data)
    matrix, primaries, transfer = _colour(frame, rest)
    streams = video_streams(report, number)
    return DecodedStream(
        demuxer=demuxer,
        codec=codec,
        width=width,
        height=height,
        pix_fmt=frame["pix_fmt"],
        matrix=matrix,
        primaries=primaries,
        transfer=transfer,
        range=_range(frame["pix_fmt"], frame["range"], is_still=is_still),
        sar=sar,
        rotation=rotation,
        rate=_rate("fps", rest) if is_timed else None,
        base_rate=_rate("tbr", rest) if is_timed else None,
        scan=_scan(rest),
        stream=next((s.number for s in streams if s.index == index), 0),
        streams=sum(stream.is_film for stream in streams),
        range_changes=has_range_change(report, number),
        chroma_location=_chroma_location(demuxer, rest),
    )


def _shown_shape(frame: re.Match[str], side_data: str) -> tuple[int, int, Fraction | None, int]:
    """Returns width, height, shape of a sample and rotation, as a player shows the picture."""
    rotation = round(shown_angle(side_data)) % 360
    width, height = int(frame["width"]), int(frame["height"])
    across, _, down = frame["sar"].partition("/")
    is_known = across.isdigit() and down.isdigit() and int(across) and int(down)
    sar = Fraction(int(across), int(down)) if is_known else None
    # The graph is configured before ffmpeg's own filter turns the picture.
    if rotation in (90, 270):
        return height, width, sar and 1 / sar, rotation
    return width, height, sar, rotation


def _colour(frame: re.Match[str], rest: str) -> tuple[str, str, str]:
    """Returns matrix, primaries and transfer; "unknown" where the stream does not say."""
    named = re.search(r"\b(?:tv|pc|full)?,? ?(\w[\w-]*)/(\w[\w-]*)/(\w[\w-]*)", rest)
    if named:
        matrix, primaries, transfer = named.groups()
    else:  # one word stands for the three where they are alike
        words = re.split(r"[(),/\s]+", rest)
        matrix = primaries = transfer = next(
            (w for w in words if w in (*SWSCALE_MATRIX, "ictcp")), "unknown"
        )
    if frame["matrix"] not in (None, "unknown"):
        matrix = frame["matrix"]
    if is_rgb(frame["pix_fmt"]):
        matrix = "gbr"
    elif matrix == "gbr":  # which grey PNG says of itself, too
        matrix = "unknown"
    return matrix, primaries if primaries in _PRIMARIES else "unknown", transfer


def _range(pix_fmt: str, tag: str | None, *, is_still: bool) -> str:
    # The tag of the frame and not that of the header: in Matroska the two can differ
    # (`findings/range_in_matroska.sh`). Untagged H.264 that follows tagged full range has the tag
    # of full range, too (`findings/decoders_keep_a_range.sh`), and nothing tells it apart.
    if tag in ("tv", "pc"):
        return tag
    is_full = pix_fmt.startswith("yuvj") or is_rgb(pix_fmt) or (is_still and is_luma_alone(pix_fmt))
    return "pc" if is_full else "tv"


def _rate(unit: str, rest: str) -> float | None:
    match = re.search(rf"([\d.]+)(k?) {unit}", rest)
    return float(match[1]) * (1000 if match[2] else 1) or None if match else None


def _chroma_location(demuxer: str, rest: str) -> str:
    found = re.search(r"\w\((?:[^)]*, )?((?:top|bottom)?left|center|top|bottom)\)", rest)
    is_default = demuxer == "yuv4mpegpipe" and found is not None and found[1] == "center"
    return found[1] if found and not is_default else "unknown"


def _scan(rest: str) -> str:
    """Returns how a stream says that its lines were sampled; field order is left to its frames."""
    if re.search(r"\b(?:top|bottom) (?:coded )?first\b", rest):
        return "interlaced"
    return "progressive" if re.search(r"\bprogressive\b", rest) else "unknown"


_GRAIN_CODEC = "av1"  # of H.274 in other codecs, finding it would take a decoding of every file
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
    if (
        film_grain is not None
        or streams[1].codec != _GRAIN_CODEC
        or not carries_grain(ffmpeg, videos[1])
    ):
        return videos
    if streams[0].codec == _GRAIN_CODEC and carries_grain(ffmpeg, videos[0]):
        return videos
    return videos[0], without_grain(videos[1])


def carries_grain(ffmpeg: Ffmpeg, video: Video) -> bool:
    """Tells whether the first frames of a video have parameters of film grain."""
    graph = f"[0:{video.stream_specifier}]showinfo[o]"
    line = ["-nostdin", "-v", "level+info", *without_grain(video).arguments()]
    line += ["-filter_complex", graph, "-map", "[o]", "-frames:v", str(_LOOKED_AT)]
    return "Film grain parameters: type" in run_ffmpeg(ffmpeg, [*line, "-f", "null", "-"]).report


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
