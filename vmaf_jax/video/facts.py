"""What ffmpeg says of a pair's streams: container, codec, shape, colour, rotation and rate.

Read from the report of `-v level+verbose`; the distorted video is input 0, the reference input 1.
Sizes in pixels, rates in frames per second, durations in seconds.
"""

import dataclasses
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vmaf_jax.video.pixel_format import is_luma_alone, is_rgb
from vmaf_jax.video.streams import video_streams

_INPUT = re.compile(r"^Input #(\d+), (\S+), from ", re.M)
_STREAM = re.compile(r"^ *Stream #(\d+):(\d+).*?: Video: (?P<codec>\w+)(?P<rest>.*)$", re.M)
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
    demuxers = {int(number): name for number, name in _INPUT.findall(report)}
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
    for match in _STREAM.finditer(report):
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
