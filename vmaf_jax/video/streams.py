"""The streams of a pair as ffmpeg reports them: facts, frame counts, and why a run failed.

Most files have one, which is told from the report of the run that measures it, so that choosing
costs nothing. Of several the first is measured as a trial, and the report says what else there is.

Read from the report of `-v level+verbose`; the distorted video is input 0, the reference input 1.
Sizes in pixels, rates in frames per second, durations in seconds.

The distorted video is input 0 and the reference input 1, the order of libvmaf's pads. Reports are
those of `-v verbose`: ffmpeg itself exits with 0 and repeats the last frame where an input is short
or cut.
"""

import dataclasses
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pixel_format import (
    chroma_layout,
    is_luma_alone,
    is_rgb,
    planar_format,
    sample_bits,
)

_INPUT = re.compile(
    r"^Input #(?P<input>\d+), .*?(?=^(?:Input|Output) #|^Stream mapping|\Z)", re.M | re.S
)
_STREAM = re.compile(r"^ *Stream #\d+:(?P<index>\d+)\S*: Video: (?P<rest>.*)$", re.M)
_SIZE = re.compile(r", (\d+)x(\d+)\b")
_PACKETS = re.compile(r"Output stream #(\d+):0 \(video\):.*?(\d+) packets muxed")
_PICTURES = re.compile(r"(?:mjpeg|png|bmp|gif|webp)\b")  # codecs of previews and chapter marks
_NO_FILM = re.compile(r"\((?:attached pic|timed thumbnails|dependent)\)")


@dataclasses.dataclass(frozen=True)
class VideoStream:
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


def video_streams(report: str, number: int) -> list[VideoStream]:
    """Returns the video streams of input `number` of a run, in the file's order."""
    rests: dict[int, str] = {}
    for block in _INPUT.finditer(report):
        if int(block["input"]) == number:
            for match in _STREAM.finditer(block[0]):
                # A stream of two programs is listed twice.
                rests.setdefault(int(match["index"]), match["rest"])
    streams = []
    for place, (index, rest) in enumerate(sorted(rests.items())):
        size = _SIZE.search(rest)
        streams.append(
            VideoStream(
                index=index,
                number=place,
                pixels=int(size[1]) * int(size[2]) if size else 0,
                is_default="(default)" in rest,
                is_film=not _NO_FILM.search(rest),
                is_pictures=_PICTURES.match(rest) is not None,
            )
        )
    return streams


def choose_stream(ffmpeg: Ffmpeg, video: Video, report: str, number: int) -> Video:
    """Returns the video with the stream that is measured, itself where that is the first film.

    A stream that was asked for is taken. Of several, stills are left out, and previews: streams of
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
    if re.search(rf"Stream group #{number}:\d+\S*:? Tile Grid", report):
        raise InputError(f"{video.path}: a picture of several tiles; convert it to PNG first.")
    films = [stream for stream in streams if stream.is_film]
    if len(films) < 2:
        return video
    moving = _moving(ffmpeg, video, films)
    size = max((s.pixels for s in moving if not s.is_pictures), default=0)
    candidates = [s for s in moving if not s.is_pictures or s.pixels > size] or films
    best = max(candidates, key=lambda s: (s.is_default, s.pixels, -s.number))
    return video if best == films[0] else dataclasses.replace(video, stream=best.number)


def _moving(ffmpeg: Ffmpeg, video: Video, streams: list[VideoStream]) -> list[VideoStream]:
    """Those streams that have two pictures or more, counted undecoded."""
    # An output each: within one, ffmpeg ends all streams where the shortest does.
    arguments = ["-nostdin", "-nostats", "-v", "level+verbose", *video.arguments()]
    for stream in streams:
        arguments += ["-map", f"0:v:{stream.number}", "-c", "copy", "-frames:v", "2"]
        arguments += ["-f", "null", "-"]
    report = run_ffmpeg(ffmpeg, arguments).report
    packets = {int(output): int(count) for output, count in _PACKETS.findall(report)}
    return [stream for k, stream in enumerate(streams) if packets.get(k, 0) > 1]


_INPUT_FORMAT = re.compile(r"^Input #(\d+), (\S+), from ", re.M)
_STREAM_CODEC = re.compile(r"^ *Stream #(\d+):(\d+).*?: Video: (?P<codec>\w+)(?P<rest>.*)$", re.M)
_GRAPH = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):(?P<index>\d+) @ .*\] "
    r"w:(?P<width>\d+) h:(?P<height>\d+) "
    r"pixfmt:(?P<pix_fmt>\w+) tb:\S+ fr:(?P<rate>\S+) sar:(?P<sar>\S+)"
    r"(?: csp:(?P<matrix>\S+) range:(?P<range>\S+))?"
)
# What ffmpeg says of a frame unlike those before it, where the graph is not begun anew.
_CHANGE = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):\d+ @ .*\] filter context .*, incoming frame - "
    r"w: (?P<width>\d+) h: (?P<height>\d+) fmt: (?P<format>\d+) csp: \S+ range: (?P<range>\S+)"
)
# Files whose rate is a demuxer's guess: no time stamps of their own, or single pictures.
_UNTIMED = re.compile(r"rawvideo|h264|hevc|vvc|m4v|mpegvideo|image2|\w+_pipe|obu|av1|gif_pipe")
_STILLS = re.compile(r"image2|\w+_pipe|fits")  # demuxers of pictures
_MATRICES = ("bt709", "bt470bg", "smpte170m", "bt2020nc", "bt2020c", "fcc", "smpte240m", "ictcp")
_PRIMARIES = ("bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "bt2020", "smpte432")
HDR_TRANSFERS = ("smpte2084", "arib-std-b67")


@dataclasses.dataclass(frozen=True)
class Facts:
    """One video stream, as decoded and shown.

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

    @property
    def aspect(self) -> Fraction:
        """Display aspect ratio, width over height."""
        return Fraction(self.width, self.height) * (self.sar or 1)

    @property
    def irregular(self) -> bool:
        """Whether frames are missing or unevenly spaced in time."""
        if self.rate is None or self.base_rate is None:
            return False
        return abs(self.rate / self.base_rate - 1) > 0.02


def stream_facts(report: str) -> tuple[Facts, Facts] | None:
    """Facts of the reference and of the distorted video; None where one has no frame."""
    by_input = {int(m["input"]): m for m in reversed(list(_GRAPH.finditer(report)))}
    if by_input.keys() != {0, 1}:
        return None
    demuxers = {int(number): name for number, name in _INPUT_FORMAT.findall(report)}
    return (
        _facts(1, report, by_input[1], demuxers.get(1, "")),
        _facts(0, report, by_input[0], demuxers.get(0, "")),
    )


def facts_of(entry: Mapping[str, Any]) -> Facts:
    """A stream as a result's `comparison` describes it."""
    across, _, down = str(entry["sar"]).partition(":")
    sar = Fraction(int(across), int(down)) if down else None
    return Facts(**{**entry, "sar": sar})


def _facts(number: int, report: str, graph: re.Match[str], demuxer: str) -> Facts:
    codec, rest, side_data = _stream(number, int(graph["index"]), report)
    streams = video_streams(report, number)
    words = re.split(r"[(),/\s]+", rest)
    turned = re.search(r"(?:Display Matrix|displaymatrix): rotation of (-?[\d.]+)", side_data)
    rotation = round(float(turned[1])) % 360 if turned else 0
    width, height = int(graph["width"]), int(graph["height"])
    sar = _ratio(graph["sar"])
    if rotation in (90, 270):
        width, height, sar = height, width, sar and 1 / sar
    colours = re.search(r"\b(?:tv|pc|full)?,? ?(\w[\w-]*)/(\w[\w-]*)/(\w[\w-]*)", rest)
    if colours:
        matrix, primaries, transfer = colours.groups()
    else:
        matrix = primaries = transfer = next((w for w in words if w in _MATRICES), "unknown")
    if graph["matrix"] not in (None, "unknown"):
        matrix = graph["matrix"]
    pix_fmt = graph["pix_fmt"]
    if is_rgb(pix_fmt) or matrix == "gbr":  # which grey PNG says of itself, too
        matrix = "gbr" if is_rgb(pix_fmt) else "unknown"
    still = _STILLS.fullmatch(demuxer.split(",")[0]) is not None
    timed = not _UNTIMED.fullmatch(demuxer.split(",")[0])
    return Facts(
        demuxer=demuxer,
        codec=codec,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        matrix=matrix,
        primaries=primaries if primaries in _PRIMARIES else "unknown",
        transfer=transfer,
        range=_range(pix_fmt, graph["range"], still=still),
        sar=sar,
        rotation=rotation,
        rate=_rate(r"([\d.]+k?) fps", rest) if timed else None,
        base_rate=_rate(r"([\d.]+k?) tbr", rest) if timed else None,
        scan=_scan(rest),
        stream=next((s.number for s in streams if s.index == int(graph["index"])), 0),
        streams=sum(stream.is_film for stream in streams),
        range_changes=range_changes(number, report),
    )


def range_changes(number: int, report: str) -> bool:
    """Whether frames of input `number` differ in range, of which `tv` and none are one."""
    frames = [*_GRAPH.finditer(report), *_CHANGE.finditer(report)]
    return len({m["range"] == "pc" for m in frames if int(m["input"]) == number}) > 1


def _range(pix_fmt: str, said: str | None, *, still: bool) -> str:
    if said in ("tv", "pc"):
        return said
    full = pix_fmt.startswith("yuvj") or is_rgb(pix_fmt) or (still and is_luma_alone(pix_fmt))
    return "pc" if full else "tv"


def _stream(number: int, index: int, report: str) -> tuple[str, str, str]:
    """Codec, the rest of the line, and the lines below it, of a stream of an input."""
    for match in _STREAM_CODEC.finditer(report):
        if (int(match[1]), int(match[2])) == (number, index):
            below = re.split(r"\n *(?:Stream|Input) #", report[match.end() : match.end() + 2000])
            return match["codec"], match["rest"], below[0]
    return "unknown", "", ""


def _scan(rest: str) -> str:
    """How a stream says that its lines were sampled; which field comes first, its frames say."""
    if re.search(r"\b(?:top|bottom) (?:coded )?first\b", rest):
        return "interlaced"
    return "progressive" if re.search(r"\bprogressive\b", rest) else "unknown"


def _ratio(text: str) -> Fraction | None:
    across, _, down = text.partition("/")
    if not across.isdigit() or not down.isdigit() or not int(across) or not int(down):
        return None
    return Fraction(int(across), int(down))


def _rate(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text)
    if not match:
        return None
    number = match[1]
    return float(number[:-1]) * 1000 if number.endswith("k") else float(number) or None


_GRAPH_INPUT = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):\d+ @ .*\] w:(?P<width>\d+) h:(?P<height>\d+) "
    r"pixfmt:(?P<pix_fmt>\w+)"
)
# A frame unlike those before it, where ffmpeg was told not to begin its graph of filters anew.
_SIZE_CHANGE = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):\d+ @ .*\] filter context - "
    r"(?P<before>w: \d+ h: \d+ fmt: \d+) .*, incoming frame - (?P<after>w: \d+ h: \d+ fmt: \d+) "
)
_COUNTS = re.compile(
    r"Input stream #(?P<input>[01]):\d+ \(video\):.*; (?P<frames>\d+) frames decoded; "
    r"(?P<errors>\d+) decode errors"
)
_DISTORTED, _REFERENCE = 0, 1  # the order of libvmaf's input pads
BY_NUMBER = "settb=1/25,setpts=N"  # the filter that pairs frames whatever their time stamps


def renumbered(report: str) -> str:
    """The report of a run whose only input is to count as input 1."""
    return re.sub(r"(from stream |[Ss]tream #|\bInput #|\bin#|vist#)0\b", r"\g<1>1", report)


def stream_formats(
    report: str, reference: Video, distorted: Video
) -> list[tuple[int, int, str] | None]:
    """Width, height and pixel format of the frames of each input, as decoded."""
    formats: list[dict[tuple[int, int, str], None]] = [{}, {}]  # in the order of their coming
    for m in _GRAPH_INPUT.finditer(report):
        formats[int(m["input"])][int(m["width"]), int(m["height"]), m["pix_fmt"]] = None
    changed = {int(m["input"]) for m in _SIZE_CHANGE.finditer(report) if m["before"] != m["after"]}
    for k, (video, sizes) in enumerate(zip((distorted, reference), formats, strict=True)):
        if len(sizes) > 1 or k in changed:
            stages = [f"{width}x{height} {pix_fmt}" for width, height, pix_fmt in sizes]
            what = f"from {' to '.join(stages)}" if len(stages) > 1 else "size or format"
            raise InputError(f"{video.path}: changes {what} on the way; split it where it changes.")
        for width, height, _ in sizes:
            if (video.width or width, video.height or height) != (width, height):
                raise InputError(
                    f"{video.path}: is {width}x{height}, was said to be "
                    f"{video.width}x{video.height}; correct one of them."
                )
    return [next(iter(sizes), None) for sizes in formats]


def common_format(
    formats: list[tuple[int, int, str] | None], *, least_bits: int = 8
) -> tuple[str, int]:
    """The planar format that libvmaf takes both inputs in, and its bits.

    The deeper of the two depths, so that nothing is rounded away, in the reference's layout.
    """
    pix_fmts = [stream[2] for stream in formats if stream is not None]
    bits = max(least_bits, *map(sample_bits, pix_fmts))
    bits = 8 if bits == 8 else 10 if bits <= 10 else 12
    return planar_format(chroma_layout(pix_fmts[-1]) or "420", bits), bits


def graph_began_anew(report: str) -> bool:
    """Whether ffmpeg began its graph of filters again, with libvmaf, since a stream changed."""
    inputs = [m["input"] for m in _GRAPH_INPUT.finditer(report)]
    return len(inputs) > len(set(inputs))


def frame_counts(
    report: str, reference: Video, distorted: Video, *, allow_damaged: bool = False
) -> list[int]:
    """How many frames of the distorted video and of the reference were decoded.

    Raises:
        InputError: some could not be, or this ffmpeg does not tell.
    """
    counts: list[int | None] = [None, None]
    for m in _COUNTS.finditer(report):
        k = int(m["input"])
        video = (distorted, reference)[k]
        if int(m["errors"]) and not allow_damaged:
            raise InputError(
                f"{video.path}: {m['errors']} frames cannot be decoded (after {m['frames']} good "
                f"ones); the file is cut or damaged, make it again or pass --allow-damaged."
            )
        counts[k] = int(m["frames"])
    if counts[0] is None or counts[1] is None:
        raise InputError(
            "ffmpeg did not report how many frames it decoded, so a short input would go "
            "unnoticed; use ffmpeg 6 or newer."
        )
    return [counts[0], counts[1]]


def check_counts(
    reference: Video, distorted: Video, counts: list[int | None] | list[int], *, shortest: bool
) -> None:
    """Raises InputError where both counts are known, differ, and must not, or one is 0."""
    ours, theirs = counts[_DISTORTED], counts[_REFERENCE]
    for video, count in ((distorted, ours), (reference, theirs)):
        if count == 0:
            raise InputError(f"{video.path}: holds no decodable picture; make it again.")
    if ours is None or theirs is None or ours == theirs or shortest:
        return
    raise InputError(
        f"{distorted.path}: {ours} frames, its reference {reference.path.name} has {theirs}; pass "
        f"--sync auto where frames are missing at the start, or --shortest to measure the first "
        f"{min(ours, theirs)}."
    )


def explain(
    report: str, reference: Video, distorted: Video, models: Mapping[str, str] | None = None
) -> str:
    """One line from a failed run: which file or model, what is wrong, the mend.

    Args:
        models: those that it ran, by name, each with what to say if it cannot be loaded.
    """
    for model, hint in (models or {}).items():
        if re.search(rf"(could not|problem).*load.*model.*{re.escape(model)}", report, re.I):
            return (
                f"teacher {model!r}: this libvmaf cannot load it; check the name, or point "
                f"VMAF_JAX_FFMPEG at a newer ffmpeg.{hint}"
            )
    for k, video in enumerate((distorted, reference)):
        if re.search(r"Stream specifier '[^']*' in filtergraph .* matches no streams", report):
            has_video = re.search(rf"Stream #{k}:\d+.*: Video:", report)
            if not has_video:
                return f"{video.path}: has no video stream; give a file with pictures."
        if match := re.search(rf"\[in#{k}\b.*\] Error opening input: (.*)", report):
            return f"{video.path}: ffmpeg cannot read it ({match[1]}); check the file."
        if re.search(rf"vist#{k}:.*(Decode error rate|Error submitting)", report):
            return f"{video.path}: cannot be decoded; the file is cut or damaged, make it again."
        if re.search(rf"Cannot determine format of input.*{k}:\d", report):
            return f"{video.path}: holds no decodable picture; make it again."
    if by_libvmaf := explain_libvmaf(report):
        return by_libvmaf
    reasons = [line for line in report.splitlines() if re.search(r"error|invalid|fail", line, re.I)]
    reason = re.sub(r"^(?:\[[^]]*\] )+", "", (reasons or report.strip().splitlines() or ["?"])[0])
    return f"{distorted.path}: ffmpeg failed on this pair ({reason.strip()}); check both files."


# libvmaf writes its level and its message in two pieces: whole lines of ffmpeg's other threads,
# which begin with `[`, can come between them.
_LIBVMAF_ERROR = re.compile(r"libvmaf ERROR (?:\[[^\n]*\n)*(?P<message>[^\n]+)")


def explain_libvmaf(report: str) -> str | None:
    """What libvmaf itself says that it could not do, as one line; None where it says nothing."""
    match = _LIBVMAF_ERROR.search(report)
    if match is None:
        return None
    return (
        f"libvmaf could not score this pair ({match['message'].strip()}); drop that teacher, use "
        f"larger pictures, or free space in the temporary folder."
    )


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
