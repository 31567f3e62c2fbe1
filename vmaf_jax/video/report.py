"""ffmpeg's report of a run over a pair: formats and numbers of frames, and why a run failed.

Reports are those of `-v level+verbose`; the distorted video is input 0 and the reference input 1,
the order of libvmaf's pads. ffmpeg itself exits with 0, and repeats the last frame, where an input
is short or cut, so a report is read after every run.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count
from vmaf_jax.video.ffmpeg import CompletedRun
from vmaf_jax.video.inputs import Video

# Written when a graph of filters is configured: form of the first frame of each input.
GRAPH_INPUT = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):(?P<index>\d+) @ .*\] "
    r"w:(?P<width>\d+) h:(?P<height>\d+) "
    r"pixfmt:(?P<pix_fmt>\w+) tb:\S+ fr:\S+ sar:(?P<sar>\S+)"
    r"(?: csp:(?P<matrix>\S+) range:(?P<range>\S+))?"
)
# Written of a frame unlike those before it, where the graph is not configured again.
_FRAME_CHANGE = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):\d+ @ .*\] filter context - "
    r"(?P<before>w: \d+ h: \d+ fmt: \d+) .*, incoming frame - (?P<after>w: \d+ h: \d+ fmt: \d+) "
    r"csp: \S+ range: (?P<range>\S+)"
)
_COUNTS = re.compile(
    r"Input stream #(?P<input>[01]):\d+ \(video\):.*; (?P<frames>\d+) frames decoded; "
    r"(?P<errors>\d+) decode errors"
)
EMPTY_OUTPUT = "Could not open encoder before EOF"  # where filters left nothing to write
_LARGEST_TILT = 0.5  # degrees; ffmpeg takes 1 for none


def check_formats(report: str, inputs: Sequence[Video]) -> None:
    """Raises InputError where frames are tilted, change in form, or are not of the size stated.

    Args:
        inputs: in the order of ffmpeg's, the distorted video first.
    """
    changed = {
        int(m["input"])
        for m in _FRAME_CHANGE.finditer(report)
        if _without_range(m["before"]) != _without_range(m["after"])
    }
    for number, video in enumerate(inputs):
        formats = [m for m in GRAPH_INPUT.finditer(report) if int(m["input"]) == number]
        for index in {int(m["index"]) for m in formats}:
            angle = shown_angle(container_line(report, number, index).below)
            # ffmpeg 9 turns a picture by any other angle inside its own size, with black corners.
            if abs(angle - 90 * round(angle / 90)) > _LARGEST_TILT:
                raise InputError(
                    f"{video.path}: says that players turn it by {angle:g} degrees, and quarter "
                    f"turns alone are compared; correct that (ffmpeg -display_rotation 0 -i IN -c "
                    f"copy OUT)."
                )
        sizes = dict.fromkeys(  # in the order of their coming
            (int(m["width"]), int(m["height"]), m["pix_fmt"].replace("yuvj", "yuv"))
            for m in formats
        )
        if len(sizes) > 1 or number in changed:
            stages = [f"{width}x{height} {pix_fmt}" for width, height, pix_fmt in sizes]
            change = f"from {' to '.join(stages)}" if len(stages) > 1 else "size or format"
            raise InputError(
                f"{video.path}: changes {change} on the way; split it where it changes."
            )
        for width, height, _ in sizes:
            if (video.width or width, video.height or height) != (width, height):
                raise InputError(
                    f"{video.path}: is {width}x{height}, was said to be "
                    f"{video.width}x{video.height}; correct one of them."
                )


# Numbers of `yuvj420p`, `yuvj422p` and `yuvj444p` in every ffmpeg, and of the formats without a j:
# decoders of HEVC and MJPEG, for one, say full range so.
_NUMBERS_OF_FULL_RANGE = {"12": "0", "13": "4", "14": "5"}


def _without_range(form: str) -> str:
    """Returns the form of a frame, as `_FRAME_CHANGE` has it, without the range in its format."""
    rest, number = form.rsplit(maxsplit=1)
    return f"{rest} {_NUMBERS_OF_FULL_RANGE.get(number, number)}"


class ContainerLine(NamedTuple):
    """A stream as its container describes it.

    Attributes:
        codec: ffmpeg's name, "unknown" where the report does not say.
        rest: What follows it in its line.
        below: The lines of its metadata and side data.
    """

    codec: str = "unknown"
    rest: str = ""
    below: str = ""


_VIDEO_LINE = re.compile(r"^ *Stream #(\d+):(\d+).*?: Video: (?P<codec>\w+)(?P<rest>.*)$", re.M)
_INDENTED = re.compile(r"(?:\n(?! *Stream #) {4}.*)*")


def container_line(report: str, number: int, index: int) -> ContainerLine:
    """Returns how the container of input `number` describes its stream `index`."""
    for match in _VIDEO_LINE.finditer(report):
        if (int(match[1]), int(match[2])) == (number, index):
            below = _INDENTED.match(report, match.end())
            return ContainerLine(match["codec"], match["rest"], below[0] if below else "")
    return ContainerLine()


def shown_angle(below: str) -> float:
    """Returns by how many degrees, counter-clockwise, players turn a stream's pictures.

    Args:
        below: Of its `ContainerLine`.
    """
    turned = re.search(r"(?:Display Matrix|displaymatrix): rotation of (-?\d+(?:\.\d+)?)", below)
    return float(turned[1]) if turned else 0.0


def has_restarted_filters(report: str) -> bool:
    """Tells whether ffmpeg configured its filters again on the way, since a stream changed.

    libvmaf's log then begins anew, and reference frames in the queue are lost (ffmpeg 7 to 9).
    """
    inputs = [m["input"] for m in GRAPH_INPUT.finditer(report)]
    return len(inputs) > len(set(inputs))


def has_range_change(report: str, number: int) -> bool:
    """Tells whether frames of input `number` differ in range; untagged ones count as limited."""
    frames = [*GRAPH_INPUT.finditer(report), *_FRAME_CHANGE.finditer(report)]
    return len({m["range"] == "pc" for m in frames if int(m["input"]) == number}) > 1


def frame_counts(
    report: str, reference: Video, distorted: Video, *, allow_damaged: bool = False
) -> tuple[int, int]:
    """Returns how many frames of the reference and of the distorted video were decoded.

    Raises InputError where some could not be, or this ffmpeg does not tell.
    """
    counts: list[int | None] = [None, None]
    for m in _COUNTS.finditer(report):
        k = int(m["input"])
        video = (distorted, reference)[k]
        if int(m["errors"]) and not allow_damaged:
            raise InputError(
                f"{video.path}: {format_count(int(m['errors']), 'frame')} cannot be decoded (after "
                f"{m['frames']} good); the file is cut or damaged, make it again or pass "
                f"--allow-damaged."
            )
        counts[k] = int(m["frames"])
    if counts[0] is None or counts[1] is None:
        raise InputError(
            "ffmpeg did not report how many frames it decoded, so a short input would go "
            "unnoticed; use ffmpeg 6 or newer."
        )
    return counts[1], counts[0]


def check_frame_counts(
    reference: Video, distorted: Video, counts: Sequence[int | None], *, shortest: bool
) -> None:
    """Raises InputError where both counts are known, differ, and must not, or one is 0.

    Args:
        counts: frames of the reference and of the distorted video; None where unknown.
        shortest: whether they may differ.
    """
    for video, count in zip((distorted, reference), reversed(counts), strict=True):
        if count == 0:
            raise InputError(f"{video.path}: holds no decodable picture; make it again.")
    expected, count = counts
    if count is None or expected is None or count == expected or shortest:
        return
    raise InputError(
        f"{distorted.path}: {format_count(count, 'frame')}, its reference {reference.path.name} "
        f"has {expected}; pass --sync auto where frames are missing at the start, or --shortest to "
        f"measure the first {min(count, expected)} (docs/traps.md)."
    )


def explain_failure(
    report: str, reference: Video, distorted: Video, models: Mapping[str, str] | None = None
) -> str:
    """Returns one line on a failed run: which file or model, what is wrong, the fix.

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
            # The line names no input, so the one without a video stream is looked for.
            streams = re.findall(rf"Stream #{k}:\d+.*: Video:.*", report)
            if not streams:
                return f"{video.path}: has no video stream; give a file with pictures."
            if all("(attached pic)" in stream for stream in streams):
                return (
                    f"{video.path}: has no film, but a cover picture; give another file, or the "
                    f"picture's stream by --stream."
                )
        if match := re.search(rf"\[in#{k}\b.*\] Error opening input: (.*)", report):
            return f"{video.path}: ffmpeg cannot read it ({match[1]}); check the file."
        if re.search(rf"vist#{k}:.*(Decode error rate|Error submitting)", report):
            return (
                f"{video.path}: cannot be decoded; the file is cut, damaged or encrypted, make it "
                f"again."
            )
        if re.search(rf"Cannot determine format of input.*{k}:\d", report):
            return f"{video.path}: holds no decodable picture; make it again."
    if by_libvmaf := explain_libvmaf_error(report):
        return by_libvmaf
    if EMPTY_OUTPUT in report:
        return (
            f"{distorted.path}: no frame of it and its reference is left to compare; lower --start "
            f"or --offset."
        )
    reasons = [line for line in report.splitlines() if re.search(r"error|invalid|fail", line, re.I)]
    reason = re.sub(r"^(?:\[[^]]*\] )+", "", (reasons or report.strip().splitlines() or ["?"])[0])
    return f"{distorted.path}: ffmpeg failed on this pair ({reason.strip()}); check both files."


# libvmaf writes its level and its message in two pieces: whole lines of ffmpeg's other threads,
# which begin with `[`, can come between them.
_LIBVMAF_ERROR = re.compile(r"libvmaf ERROR (?:\[[^\n]*\n)*(?P<message>[^\n]+)")


def explain_libvmaf_error(report: str) -> str | None:
    """Returns one line on what libvmaf says that it could not do; None where it says nothing."""
    match = _LIBVMAF_ERROR.search(report)
    if match is None:
        return None
    return (
        f"libvmaf could not score this pair ({match['message'].strip()}); drop that teacher, use "
        f"larger pictures, or free space in the temporary folder."
    )


def join_runs(reference: CompletedRun, distorted: CompletedRun) -> CompletedRun:
    """Returns two runs, each over its only input, as one run over both."""
    return CompletedRun(
        code=reference.code or distorted.code,
        report=distorted.report + _renumber_input(reference.report),
        faults=tuple(map(_renumber_input, reference.faults)) + distorted.faults,
    )


def _renumber_input(report: str) -> str:
    """Returns the report of a run whose only input, 0, is to count as input 1."""
    return re.sub(r"(from stream |[Ss]tream #|\bInput #|\bin#|vist#)0\b", r"\g<1>1", report)
