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
from vmaf_jax.video.report import BY_NUMBER, common_format
from vmaf_jax.video.video import Video, refuse_pointer

# The same words on both inputs, so that ffmpeg finds no matrix to convert between them.
SAME_COLOUR = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
_SAME_RATE = 0.005  # relative; 23.976 and 24 are one rate, 24 and 25 two
_SAME_ASPECT = 0.015  # relative, besides what rounding a side to even pixels does


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a pair is brought together.

    Attributes:
        to_reference, to_distorted: ffmpeg's filters for each, in one chain.
        timing: those at its start that bring both to one rate, or "".
        changed: whether the chains do more than pair by number, so that a first run without them
            has to be repeated.
        turned, recoloured: rotation was applied; matrices differ or RGB was converted. Such pairs
            were once measured otherwise, and results of then are not used.
        warnings: differences that a reader of the score should know, a sentence each.
        description: the pair's facts and how it was paired, for the result.
    """

    to_reference: str
    to_distorted: str
    timing: str
    changed: bool
    turned: bool
    recoloured: bool
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
    warnings = _colour(videos, reference, distorted, how)
    shape = _shape(videos[1], reference, distorted, how)
    timing = _time(videos[1], videos, reference, distorted, how)
    conversion = _conversions(reference, distorted, shape)
    late = [max(-offset, 0), max(offset, 0)]  # frames to leave out at the start
    chains = []
    for skip, convert in zip(late, conversion, strict=True):
        trim = f"trim=start_frame={skip}," if skip else ""
        chains.append(f"{timing}{trim}{BY_NUMBER}{convert}")
    description = {
        "pairing": "time stamps" if timing else "frame number",
        "offset": offset,
        "reference": _description(reference),
        "distorted": _description(distorted),
        "warnings": list(warnings),
    }
    return Plan(
        to_reference=chains[0],
        to_distorted=chains[1],
        timing=timing,
        changed=chains != [DEFAULT_CHAIN, DEFAULT_CHAIN],
        turned=bool(reference.rotation or distorted.rotation),
        recoloured=reference.matrix != distorted.matrix or "gbr" in (reference.matrix,),
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


def _time(
    video: Video, videos: tuple[Video, Video], reference: Facts, distorted: Facts, how: Comparison
) -> str:
    """The filter that puts both on the reference's clock, "" where frames pair by number."""
    rates = [v.fps or f.rate for v, f in zip(videos, (reference, distorted), strict=True)]
    if how.fps == "match":
        if rates[0] is None or rates[1] is None:
            raise InputError(f"{video.path}: a file has no time stamps to match; drop --fps match.")
        grid = reference.base_rate if reference.base_rate and not videos[0].fps else rates[0]
        return f"setpts=PTS-STARTPTS,fps={grid:g},"
    if rates[0] is None or rates[1] is None or how.force:
        return ""
    if abs(rates[1] / rates[0] - 1) > _SAME_RATE:
        raise InputError(
            f"{video.path}: {rates[1]:g} frames/s, its reference has {rates[0]:g}; pass --fps "
            f"match to pair frames by time stamp."
        )
    if reference.irregular != distorted.irregular:
        raise InputError(
            f"{video.path}: its frames and its reference's are not spaced alike in time; pass "
            f"--fps match to pair them by time stamp."
        )
    return ""


def _conversions(reference: Facts, distorted: Facts, shape: str) -> tuple[str, str]:
    """Filters for the reference and the distorted video that bring both to one size and format.

    Formats that differ are brought to limited range as well, which models are trained on. RGB
    becomes luma by the other's matrix, or BT.601's where that does not say.
    """
    formats = [(f.width, f.height, f.pix_fmt) for f in (distorted, reference)]
    common = common_format(list(formats))[0]
    known = [f.matrix for f in (reference, distorted) if f.matrix not in ("gbr", "unknown")]
    rgb = [facts.matrix == "gbr" for facts in (reference, distorted)]
    alike = reference.pix_fmt == distorted.pix_fmt and not any(rgb)

    def chain(is_rgb: bool, size: str) -> str:
        if is_rgb:
            matrix = known[0] if known else "smpte170m"
            to_yuv = f"scale=out_color_matrix={matrix}:out_range=tv,format={common}"
            return f"{size},{to_yuv},{SAME_COLOUR}"
        to_common = "" if alike else f",scale=out_range=tv,format={common}"
        return f",{SAME_COLOUR}{size}{to_common}"

    return chain(rgb[0], ""), chain(rgb[1], shape)


def expected_frames(counts: list[int], plan: Plan) -> int | None:
    """How many pairs of frames `counts` (distorted, reference) give; None with time stamps."""
    if plan.description["pairing"] != "frame number":
        return None
    offset = plan.description["offset"]
    return min(counts[0] - max(offset, 0), counts[1] - max(-offset, 0))


def check_durations(videos: tuple[Video, Video], counts: list[int], plan: Plan) -> None:
    """With pairing by time, raises InputError where durations differ by more than two frames."""
    rates = [
        video.fps or plan.description[name]["rate"]
        for video, name in zip(videos, ("reference", "distorted"), strict=True)
    ]
    seconds = [count / rate for count, rate in zip(reversed(counts), rates, strict=True)]
    if math.fabs(seconds[0] - seconds[1]) > 2 / min(rates):
        raise InputError(
            f"{videos[1].path}: {seconds[1]:.3f} s, its reference {videos[0].path.name} has "
            f"{seconds[0]:.3f} s; trim one, or pass --shortest."
        )
