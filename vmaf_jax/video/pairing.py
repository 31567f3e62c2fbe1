"""How a pair is brought to one form before it is measured: size, format, range, fields, time.

A model of chroma needs it in both videos, sampled alike: bringing 4:2:0 to 4:4:4 moves VMAF v1 by
up to 8 points, which would pass for a difference in quality.

A frame of interlaced video holds two moments, a field each; VMAF was made on progressive pictures.
ffmpeg's `bwdif` makes a progressive frame of each, so frames pair by number as before.

Luma is compared as it was decoded: no matrix, primaries or transfer is converted. Rotation is
applied as a player does, size and depth are brought together, range too where it is known to
differ. What would make the score mean something else is refused, with the flag that allows it.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.checks import MIN_SIZE
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.encode import Encode, encode_of
from vmaf_jax.video.geometry import SCALING, Layout, Layouts, layouts_of
from vmaf_jax.video.inputs import SUBSAMPLING, Video, refuse_pointer
from vmaf_jax.video.pixel_format import (
    chroma_layout,
    is_luma_alone,
    is_rgb,
    planar_format,
    sample_bits,
)
from vmaf_jax.video.streams import BY_NUMBER, HDR_TRANSFERS, Facts, common_format

SAME_RATE = 0.005  # relative; 23.976 and 24 are one rate, 24 and 25 two


def check_chroma(videos: Sequence[Video], facts: Sequence[Facts]) -> None:
    """Raises InputError unless the reference and the distorted video have chroma, sampled alike."""
    layouts = [chroma_layout(stream.pix_fmt) for stream in facts]
    for video, stream, sampling in zip(videos, facts, layouts, strict=True):
        if not video.has_chroma:
            raise InputError(
                "this model reads chroma; pass planes (Y, U, V) in place of luma alone."
            )
        if sampling is None:
            raise InputError(
                f"{video.path}: {stream.pix_fmt} has no chroma planes, which this model reads; "
                f"encode it as yuv420p, or score with a model of luma, such as vmaf_v0.6.1."
            )
    if layouts[0] != layouts[1]:
        raise InputError(
            f"{videos[1].path}: chroma of {facts[1].pix_fmt} against {facts[0].pix_fmt} in its "
            f"reference; convert one, so that both are yuv{layouts[0]}p or both yuv{layouts[1]}p."
        )


def chroma_size(height: int, width: int, pix_fmt: str) -> tuple[int, int]:
    """Height and width of a chroma plane of a planar format, rounded up as ffmpeg does."""
    across, down = SUBSAMPLING[f"yuv{chroma_layout(pix_fmt) or 444}p"]
    return math.ceil(height / down), math.ceil(width / across)


_ROLES = ("reference", "distorted")


@dataclasses.dataclass(frozen=True)
class Fields:
    """What is done about the fields of a pair.

    Attributes:
        filters: at the start of the reference's and the distorted video's chain, each "" or ending
            in a comma.
        roles: which of the two are deinterlaced.
        warnings: what a reader of the score should know, a sentence each.
    """

    filters: tuple[str, str]
    roles: tuple[str, ...]
    warnings: tuple[str, ...]


def deinterlacing(
    videos: tuple[Video, Video], facts: tuple[Facts, Facts], how: Comparison
) -> Fields:
    """What is done about the fields of the reference and the distorted video `videos`.

    Raises:
        InputError: fields would be compared with whole pictures; names the flags that allow it.
    """
    scans = [stream.scan for stream in facts]
    parity = how.deinterlace
    if parity is not None:
        chosen = [parity != "auto" or scan == "interlaced" for scan in scans]
        order = "auto" if parity == "auto" else parity
        filters = [f"bwdif=mode=send_frame:parity={order}:deint=all," if c else "" for c in chosen]
        roles = tuple(role for role, c in zip(_ROLES, chosen, strict=True) if c)
        none = () if roles else ("neither says that it is interlaced; nothing was deinterlaced",)
        return Fields((filters[0], filters[1]), roles, none)
    if "interlaced" not in scans:
        return Fields(("", ""), (), ())
    if set(scans) == {"interlaced", "progressive"} and not how.force:
        interlaced = scans.index("interlaced")
        raise InputError(
            f"{videos[interlaced].path}: is interlaced, and {videos[1 - interlaced].path.name} is "
            f"not; pass --deinterlace auto, or --force to compare fields with pictures."
        )
    named = " and ".join(r for r, scan in zip(_ROLES, scans, strict=True) if scan == "interlaced")
    verb = "are" if "and" in named else "is"
    return Fields(("", ""), (), (f"the {named} {verb} interlaced; fields are compared as woven",))


# The same words on both inputs, so that ffmpeg finds no matrix to convert between them.
SAME_COLOUR = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
# swscale's names of matrices; it knows no others.
_TO_LUMA = {"bt709": "bt709", "fcc": "fcc", "smpte240m": "smpte240m", "bt470bg": "bt601"}
_TO_LUMA |= {"smpte170m": "bt601", "bt2020nc": "bt2020", "bt2020c": "bt2020"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a pair is brought together.

    Attributes:
        to_reference, to_distorted: ffmpeg's filters for each, in one chain.
        to_ten_bits: the same two, ending in 10 bits or more, which VMAF v1 is measured at.
        timing: those at its start that bring both to one rate, or "".
        layouts: the ways to bring the pair to one size; where there are several, the pictures tell.
        size: width and height that are compared, pixels.
        out_range: `tv` or `pc`, which luma has where it is measured.
        changed: whether the chains do more than pair by number, so that a first run without them
            has to be repeated.
        skip: frames of the reference and of the distorted video that are left out at the start.
        limit: frames compared at most; None compares to the end.
        grid: frames per second that both are put on, None where frames pair by number.
        encode: the distorted picture as it was encoded, where it is scaled to be compared.
        warnings: differences that a reader of the score should know, a sentence each.
        description: the pair's facts and how it was paired, for the result.
    """

    to_reference: str
    to_distorted: str
    to_ten_bits: tuple[str, str]
    timing: str
    layouts: Layouts
    size: tuple[int, int]
    out_range: str
    changed: bool
    skip: tuple[int, int]
    limit: int | None
    grid: float | None
    encode: Encode | None
    warnings: tuple[str, ...]
    description: dict[str, Any]

    @property
    def counts_frames(self) -> bool:
        """Whether its filters count frames, or look at those before, from the first on."""
        return bool(self.timing or any(self.skip) or self.limit or self.description["deinterlaced"])


DEFAULT_CHAIN = f"{BY_NUMBER},{SAME_COLOUR}"
# ffmpeg takes the one nearest to what comes in: the same chroma, no fewer bits.
_TEN_BITS = "format=" + "|".join(
    planar_format(chroma, bits) for bits in (10, 12) for chroma in ("420", "422", "444")
)


def chains_of(plan: Plan | None, least_bits: int) -> tuple[str, str]:
    """ffmpeg's filters for the reference and for the distorted video.

    Args:
        plan: None before it is known what the two are.
        least_bits: of a sample, 8 or 10.
    """
    if plan is not None:
        return (plan.to_reference, plan.to_distorted) if least_bits == 8 else plan.to_ten_bits
    chain = DEFAULT_CHAIN if least_bits == 8 else f"{DEFAULT_CHAIN},{_TEN_BITS}"
    return chain, chain


def plan_pair(
    videos: tuple[Video, Video],
    facts: tuple[Facts, Facts],
    how: Comparison,
    offset: int = 0,
    layout: str | None = None,
) -> Plan:
    """How the reference and the distorted video `videos` are compared.

    Args:
        offset: frames that the distorted video starts late, given or found.
        layout: the name of one of the ways to bring both to one size, else the first.

    Raises:
        InputError: the score would mean something else than it says; names the flag that allows it.
    """
    reference, distorted = facts
    for video, stream in zip(videos, facts, strict=True):
        refuse_pointer(video.path, stream.demuxer)
    layouts = layouts_of(videos, facts, how)
    chosen = layouts.named(layout)
    _check_size(videos[0], chosen.size)
    warnings = (*_streams(facts), *_colour(videos, reference, distorted, how))
    warnings += (chosen.warning,) if chosen.warning else ()
    grid = _grid(videos, reference, distorted, how)
    timing = "" if grid is None else f"setpts=PTS-STARTPTS,fps={grid:g},"
    fields = deinterlacing(videos, facts, how)
    start = how.start_frame(grid or videos[0].fps or reference.rate or distorted.rate)
    skip = start + max(-offset, 0), start + max(offset, 0)
    chains, deep = (
        tuple(
            f"{whole}{timing}{_trim(first, how.frames)}{BY_NUMBER}{convert}"
            for whole, first, convert in zip(
                fields.filters, skip, _conversions(facts, chosen, least_bits), strict=True
            )
        )
        for least_bits in (8, 10)
    )
    warnings += fields.warnings
    description = {
        "pairing": "frame number" if grid is None else "time stamps",
        "offset": offset,
        "layout": chosen.name,
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
        to_ten_bits=(deep[0], deep[1]),
        timing=timing,
        layouts=layouts,
        size=chosen.size,
        out_range=reference.range if _alike(reference, distorted) else "tv",
        skip=skip,
        limit=how.frames,
        grid=grid,
        encode=encode_of(distorted, chains[1]),
        changed=chains != (DEFAULT_CHAIN, DEFAULT_CHAIN),
        warnings=warnings,
        description=description,
    )


def _check_size(video: Video, size: tuple[int, int]) -> None:
    """Refuses pictures in which libvmaf reads past its arrays; its score means nothing there."""
    if min(size) < MIN_SIZE:
        raise InputError(
            f"{video.path}: pictures of {size[0]}x{size[1]} are too small; VMAF needs at "
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
        if name in ("matrix", "range") and "gbr" in (distorted.matrix, reference.matrix):
            continue
        if "unknown" in (ours, theirs) or ours == theirs:
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
    matrices = {facts.matrix for facts in (reference, distorted)}
    strange = matrices - _TO_LUMA.keys() - {"gbr", "unknown"}
    if "gbr" in matrices and strange:
        warnings.append(f"matrix is {strange.pop()}, and RGB was brought to luma by BT.601's")
    if hdr[0] != hdr[1] and "unknown" in (reference.transfer, distorted.transfer):
        warnings.append("only one of the two says that it is HDR")
    return tuple(warnings)


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
            f"match to pair frames by time stamp, or --force by number (film sped up)."
        )
    if reference.irregular != distorted.irregular:
        raise InputError(
            f"{video.path}: its frames and its reference's are not spaced alike in time; pass "
            f"--fps match to pair them by time stamp."
        )
    return None


def _conversions(facts: tuple[Facts, Facts], layout: Layout, least_bits: int) -> tuple[str, str]:
    """Filters for the reference and the distorted video that bring both to one size and format.

    Formats or ranges that differ are brought to limited range, which models are trained on. RGB
    becomes luma by the other's matrix, or BT.601's where that does not say. Size, range and depth
    change in one step, so that samples are rounded once.
    """
    reference, distorted = facts
    formats = [(f.width, f.height, f.pix_fmt) for f in (distorted, reference)]
    common = common_format(list(formats), least_bits=least_bits)[0]
    matrices = [_TO_LUMA[f.matrix] for f in (reference, distorted) if f.matrix in _TO_LUMA]
    matrix = matrices[0] if matrices else "bt601"
    alike = _alike(reference, distorted)

    def chain(facts: Facts, fit: str) -> str:
        # In its own depth: of another one, full range is no multiple of limited range.
        own = planar_format("420", sample_bits(facts.pix_fmt))
        retag = f",{SAME_COLOUR}:range={facts.range}"
        if is_rgb(facts.pix_fmt):
            # swscale takes RGB for full range and grey for full luma, whatever their tags say.
            to_luma = f"out_color_matrix={matrix}"
            if facts.range == "tv":
                to_own = _convert(fit, f"{to_luma}:out_range=pc", own)
                return f"{to_own}{retag}{_convert('', 'out_range=tv', common)}"
            return f"{_convert(fit, f'{to_luma}:out_range=tv', common)},{SAME_COLOUR}"
        start = f",{SAME_COLOUR}"
        if is_luma_alone(facts.pix_fmt):
            start = f"{_convert('', 'out_range=pc', own)}{retag}"
        if alike:
            return start + (fit if least_bits == 8 else _convert(fit, "", common))
        return start + _convert(fit, "out_range=tv", common)

    return chain(reference, layout.to_reference), chain(distorted, layout.to_distorted)


def _convert(fit: str, options: str, pix_fmt: str) -> str:
    """The filters of a layout, with a conversion in the step that scales, or in one of its own."""
    before, scaled, after = fit.partition(SCALING)
    if scaled:
        return ":".join(filter(None, (before + scaled, options))) + f",format={pix_fmt}{after}"
    return f"{fit},scale={options},format={pix_fmt}" if options else f"{fit},format={pix_fmt}"


def _alike(reference: Facts, distorted: Facts) -> bool:
    """Whether the two can be compared in the format and the range that they have."""
    formats = {stream.pix_fmt.replace("yuvj", "yuv") for stream in (reference, distorted)}
    changes = reference.range_changes or distorted.range_changes
    same = len(formats) == 1 and reference.range == distorted.range
    return same and not changes and not is_rgb(reference.pix_fmt)


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
