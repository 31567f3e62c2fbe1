"""What is done with a pair before it is measured, decided from what its two streams are.

Luma is compared as it was decoded: no matrix, primaries or transfer is converted. Rotation is
applied as a player does, size and depth are brought together, range too where it is known to
differ. What would make the score mean something else is refused, with the flag that allows it.
"""

import dataclasses
import math
from fractions import Fraction
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.scale import MIN_SIZE
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.facts import HDR_TRANSFERS, Facts
from vmaf_jax.video.interlacing import deinterlacing
from vmaf_jax.video.report import BY_NUMBER, common_format
from vmaf_jax.video.spacing import SAME_RATE
from vmaf_jax.video.video import Video, refuse_pointer

# The same words on both inputs, so that ffmpeg finds no matrix to convert between them.
SAME_COLOUR = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
_SAME_ASPECT = 0.015  # relative, besides what rounding a side to even pixels does


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a pair is brought together.

    Attributes:
        to_reference, to_distorted: ffmpeg's filters for each, in one chain.
        timing: those at its start that bring both to one rate, or "".
        changed: whether the chains do more than pair by number, so that a first run without them
            has to be repeated.
        skip: frames of the reference and of the distorted video that are left out at the start.
        limit: frames compared at most; None compares to the end.
        grid: frames per second that both are put on, None where frames pair by number.
        warnings: differences that a reader of the score should know, a sentence each.
        description: the pair's facts and how it was paired, for the result.
    """

    to_reference: str
    to_distorted: str
    timing: str
    changed: bool
    skip: tuple[int, int]
    limit: int | None
    grid: float | None
    warnings: tuple[str, ...]
    description: dict[str, Any]


DEFAULT_CHAIN = f"{BY_NUMBER},{SAME_COLOUR}"


def plan_pair(
    videos: tuple[Video, Video], facts: tuple[Facts, Facts], how: Comparison, offset: int = 0
) -> Plan:
    """How the reference and the distorted video `videos` are compared.

    Args:
        offset: frames that the distorted video starts late, given or found.

    Raises:
        InputError: the score would mean something else than it says; names the flag that allows it.
    """
    reference, distorted = facts
    for video, stream in zip(videos, facts, strict=True):
        refuse_pointer(video.path, stream.demuxer)
    _check_size(videos[0], reference)
    warnings = (*_streams(facts), *_colour(videos, reference, distorted, how))
    shape = _shape(videos[1], reference, distorted, how)
    grid = _grid(videos, reference, distorted, how)
    timing = "" if grid is None else f"setpts=PTS-STARTPTS,fps={grid:g},"
    fields = deinterlacing(videos, facts, how)
    conversion = _conversions(reference, distorted, shape)
    start = how.start_frame(grid or videos[0].fps or reference.rate or distorted.rate)
    skip = start + max(-offset, 0), start + max(offset, 0)
    chains = [
        f"{whole}{timing}{_trim(first, how.frames)}{BY_NUMBER}{convert}"
        for whole, first, convert in zip(fields.filters, skip, conversion, strict=True)
    ]
    warnings += fields.warnings
    description = {
        "pairing": "frame number" if grid is None else "time stamps",
        "offset": offset,
        "start": start,
        "limit": how.frames,
        "deinterlaced": list(fields.roles),
        "reference": _description(reference),
        "distorted": _description(distorted),
        "warnings": list(warnings),
    }
    return Plan(
        to_reference=chains[0],
        to_distorted=chains[1],
        timing=timing,
        skip=skip,
        limit=how.frames,
        grid=grid,
        changed=chains != [DEFAULT_CHAIN, DEFAULT_CHAIN],
        warnings=warnings,
        description=description,
    )


def _check_size(video: Video, facts: Facts) -> None:
    """Refuses pictures in which libvmaf reads past its arrays; its score means nothing there."""
    if min(facts.width, facts.height) < MIN_SIZE:
        raise InputError(
            f"{video.path}: pictures of {facts.width}x{facts.height} are too small; VMAF needs at "
            f"least {MIN_SIZE} pixels each way."
        )


def _description(facts: Facts) -> dict[str, Any]:
    entry = dataclasses.asdict(facts)
    entry["sar"] = None if facts.sar is None else f"{facts.sar.numerator}:{facts.sar.denominator}"
    return entry


def _streams(facts: tuple[Facts, Facts]) -> tuple[str, ...]:
    """Sentences on files that hold several videos: which was measured."""
    return tuple(
        f"the {role} file has {stream.streams} video streams; stream {stream.stream} was measured "
        f"({stream.codec}, {stream.width}x{stream.height}), --stream takes another"
        for role, stream in zip(("reference", "distorted"), facts, strict=True)
        if stream.streams > 1
    )


def _colour(
    videos: tuple[Video, Video], reference: Facts, distorted: Facts, how: Comparison
) -> tuple[str, ...]:
    """Sentences on colour that differs; refuses what cannot be compared by luma."""
    warnings = []
    hdr = [facts.transfer in HDR_TRANSFERS for facts in (reference, distorted)]
    for name in ("transfer", "primaries", "matrix", "range"):
        ours, theirs = getattr(distorted, name), getattr(reference, name)
        if "gbr" in (ours, theirs) or "unknown" in (ours, theirs) or ours == theirs:
            continue
        text = f"{name} is {ours}, the reference's is {theirs}"
        if name == "transfer" and any(hdr) and not how.force:
            raise InputError(
                f"{videos[1].path}: {text}; their luma is not on one scale, convert one of them, "
                f"or pass --force."
            )
        warnings.append(
            f"{text}; range is converted" if name == "range" else f"{text}; luma is not converted"
        )
    if hdr[0] != hdr[1] and "unknown" in (reference.transfer, distorted.transfer):
        warnings.append("only one of the two says that it is HDR")
    return tuple(warnings)


def _shape(video: Video, reference: Facts, distorted: Facts, how: Comparison) -> str:
    """The filter that brings the distorted picture to the reference's size, "" where it has it."""
    width, height = reference.width, reference.height
    same_size = (distorted.width, distorted.height) == (width, height)
    ours, theirs = distorted.aspect, reference.aspect
    if same_size and None in (reference.sar, distorted.sar):
        theirs = ours
    slack = _SAME_ASPECT + 2 / min(distorted.width, distorted.height, width, height)
    fits = abs(ours / theirs - 1) <= slack
    if not fits and how.scale is None:
        raise InputError(
            f"{video.path}: display aspect ratio {_ratio(ours)} ({distorted.width}x"
            f"{distorted.height}), its reference's is {_ratio(theirs)} ({width}x{height}); pass "
            f"--scale stretch, pad or crop."
        )
    if fits or how.scale == "stretch":
        return "" if same_size else f",scale={width}:{height}:flags=bicubic"
    # The distorted picture in the reference's samples, whose shape may not be square.
    shape = ours / (reference.sar or 1)
    wide = shape > Fraction(width, height)
    if wide == (how.scale == "pad"):
        size = (width, max(2, round(width / shape)))
    else:
        size = (max(2, round(height * shape)), height)
    to_size = f",scale={size[0]}:{size[1]}:flags=bicubic"
    if how.scale == "pad":
        return f"{to_size},pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    return f"{to_size},crop={width}:{height}"


def _ratio(value: Fraction) -> str:
    return f"{float(value):.3f}"


def _trim(first: int, limit: int | None) -> str:
    """The filter that leaves out what comes before and after, "" for none."""
    if limit is not None:
        return f"trim=start_frame={first}:end_frame={first + limit},"
    return f"trim=start_frame={first}," if first else ""


def _grid(
    videos: tuple[Video, Video], reference: Facts, distorted: Facts, how: Comparison
) -> float | None:
    """Frames per second that both are put on by time; None where frames pair by number."""
    video = videos[1]
    rates = [v.fps or f.rate for v, f in zip(videos, (reference, distorted), strict=True)]
    if how.fps == "match":
        if rates[0] is None or rates[1] is None:
            raise InputError(f"{video.path}: a file has no time stamps to match; drop --fps match.")
        return reference.base_rate if reference.base_rate and not videos[0].fps else rates[0]
    if rates[0] is None or rates[1] is None or how.force:
        return None
    if abs(rates[1] / rates[0] - 1) > SAME_RATE:
        raise InputError(
            f"{video.path}: {rates[1]:g} frames/s, its reference has {rates[0]:g}; pass --fps "
            f"match to pair frames by time stamp."
        )
    if reference.irregular != distorted.irregular:
        raise InputError(
            f"{video.path}: its frames and its reference's are not spaced alike in time; pass "
            f"--fps match to pair them by time stamp."
        )
    return None


def _conversions(reference: Facts, distorted: Facts, shape: str) -> tuple[str, str]:
    """Filters for the reference and the distorted video that bring both to one size and format.

    Formats that differ are brought to limited range as well, which models are trained on. RGB
    becomes luma by the other's matrix, or BT.601's where that does not say.
    """
    formats = [(f.width, f.height, f.pix_fmt) for f in (distorted, reference)]
    common = common_format(list(formats))[0]
    matrices = [f.matrix for f in (reference, distorted) if f.matrix not in ("gbr", "unknown")]
    rgb = [facts.matrix == "gbr" for facts in (reference, distorted)]
    alike = reference.pix_fmt == distorted.pix_fmt and not any(rgb)

    def chain(is_rgb: bool, size: str) -> str:
        if is_rgb:
            matrix = matrices[0] if matrices else "smpte170m"
            to_yuv = f"scale=out_color_matrix={matrix}:out_range=tv,format={common}"
            return f"{size},{to_yuv},{SAME_COLOUR}"
        to_common = "" if alike else f",scale=out_range=tv,format={common}"
        return f",{SAME_COLOUR}{size}{to_common}"

    return chain(rgb[0], ""), chain(rgb[1], shape)


def expected_frames(counts: list[int], plan: Plan) -> int | None:
    """How many pairs of frames `counts` (distorted, reference) give; None with time stamps."""
    if plan.grid is not None:
        return None
    left = min(counts[0] - plan.skip[1], counts[1] - plan.skip[0])
    return left if plan.limit is None else min(left, plan.limit)


def within_limit(counts: list[int], plan: Plan) -> list[int]:
    """Decoded frames (distorted, reference) up to the last that can be compared.

    A decoder that is told to stop has gone on for some frames, another number every time.
    """
    if plan.limit is None or plan.grid is not None:
        return counts
    ends = (plan.skip[1] + plan.limit, plan.skip[0] + plan.limit)
    return [min(count, end) for count, end in zip(counts, ends, strict=True)]


def check_durations(videos: tuple[Video, Video], counts: list[int], plan: Plan) -> None:
    """With pairing by time, raises InputError where durations differ by more than two frames."""
    rates = [
        video.fps or plan.description[name]["rate"]
        for video, name in zip(videos, ("reference", "distorted"), strict=True)
    ]
    seconds = [count / rate for count, rate in zip(reversed(counts), rates, strict=True)]
    if plan.limit is not None and plan.grid is not None:
        last = (max(plan.skip) + plan.limit) / plan.grid
        seconds = [min(value, last) for value in seconds]
    if math.fabs(seconds[0] - seconds[1]) > 2 / min(rates):
        raise InputError(
            f"{videos[1].path}: {seconds[1]:.3f} s, its reference {videos[0].path.name} has "
            f"{seconds[0]:.3f} s; pass --sync auto where frames are missing at the start, or "
            f"--shortest."
        )
