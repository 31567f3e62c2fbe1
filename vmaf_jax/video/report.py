"""What ffmpeg reports of a run over a pair: sizes, frame counts, and why it failed.

The distorted video is input 0 and the reference input 1, the order of libvmaf's pads. Reports are
those of `-v verbose`: ffmpeg itself exits with 0 and repeats the last frame where an input is short
or cut.
"""

import re
from collections.abc import Mapping

from vmaf_jax.errors import InputError
from vmaf_jax.video.pixel_format import chroma_layout, planar_format, sample_bits
from vmaf_jax.video.video import Video

_GRAPH_INPUT = re.compile(
    r"graph -?\d+ input from stream (?P<input>[01]):\d+ @ .*\] w:(?P<width>\d+) h:(?P<height>\d+) "
    r"pixfmt:(?P<pix_fmt>\w+)"
)
# A frame unlike those before it, where ffmpeg was told not to begin its graph of filters anew.
_CHANGE = re.compile(
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
    changed = {int(m["input"]) for m in _CHANGE.finditer(report) if m["before"] != m["after"]}
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
