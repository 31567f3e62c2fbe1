"""The plan of a comparison: how a pair is brought to one form (size, format, range, fields, time).

Luma is compared as it was decoded: no matrix, primaries or transfer is converted. Rotation is
applied as a player does, size and depth are brought together, range too where it is known to
differ. What would make the score mean something else is refused, with the flag that allows it.
"""

import dataclasses
from collections.abc import Sequence

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import MIN_SIZE
from vmaf_jax.video.alignment import Alignment
from vmaf_jax.video.comparison import Comparison, Description, Region
from vmaf_jax.video.ffmpeg import BY_NUMBER
from vmaf_jax.video.geometry import SCALING, EncodedFormat, Layout, LayoutChoices, find_layouts
from vmaf_jax.video.inputs import Video, VideoPair, refuse_pointer
from vmaf_jax.video.pixel_format import (
    chroma_layout,
    common_format,
    is_luma_alone,
    is_rgb,
    planar_format,
    sample_bits,
)
from vmaf_jax.video.streams import SWSCALE_MATRIX, DecodedStream, StreamPair

SAME_RATE = 0.005  # relative; 23.976 and 24 are one rate, 24 and 25 two
HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
_ROLES = ("reference", "distorted")
_GRAIN = (
    "its decoder synthesises film grain, which its reference has not; it was measured without, "
    "--film-grain on keeps it (docs/traps.md)"
)

# The same tags on both inputs: where they differ, ffmpeg 9 converts luma between matrices on the
# way to libvmaf, and it scales no picture of a matrix that swscale does not know, such as YCgCo
# (`findings/scale_of_rare_matrices.sh`).
SAME_COLOUR = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
DEFAULT_CHAIN = f"{BY_NUMBER},{SAME_COLOUR}"
# ffmpeg takes the one nearest to what comes in: the same chroma, no fewer bits.
_TEN_BITS = "format=" + "|".join(
    planar_format(chroma, bits) for bits in (10, 12) for chroma in ("420", "422", "444")
)


@dataclasses.dataclass(frozen=True)
class PairPlan:
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
        alignment: frames that belong together, of the part that is measured; None pairs all.
        encode: the distorted picture as it was encoded, where it is scaled to be compared.
        warnings: differences that a reader of the score should know, a sentence each.
        description: the pair's streams and how it was paired, for the result.
    """

    to_reference: str
    to_distorted: str
    to_ten_bits: tuple[str, str]
    timing: str
    layouts: LayoutChoices
    size: tuple[int, int]
    out_range: str
    changed: bool
    skip: tuple[int, int]
    limit: int | None
    grid: float | None
    alignment: Alignment | None
    encode: EncodedFormat | None
    warnings: tuple[str, ...]
    description: Description

    @property
    def counts_frames(self) -> bool:
        """Whether its filters count frames, or look at those before, from the first on."""
        return bool(self.timing or any(self.skip) or self.limit or self.description["deinterlaced"])

    def warn(self, text: str) -> "PairPlan":
        """Returns the plan with one more warning."""
        warnings = (*self.warnings, text)
        description = {**self.description, "warnings": list(warnings)}
        return dataclasses.replace(self, warnings=warnings, description=description)


def plan_pair(
    videos: VideoPair,
    streams: StreamPair,
    comparison: Comparison,
    offset: int = 0,
    layout: str | None = None,
    alignment: Alignment | None = None,
) -> PairPlan:
    """Plans how the reference and the distorted video are compared.

    Args:
        offset: frames that the distorted video starts late, given or found.
        layout: the name of one of the ways to bring both to one size, else the first.
        alignment: frames of the whole videos that belong together, where they were looked for.

    Raises:
        InputError: the score would mean something else than it says; names the flag that allows it.
    """
    reference, distorted = streams
    for video, stream in zip(videos, streams, strict=True):
        refuse_pointer(video.path, stream.demuxer)
    layouts = find_layouts(videos, streams, comparison)
    chosen = _cut_to_region(videos[0], layouts.find(layout), comparison.box)
    warnings = (*_warn_of_streams(streams), *_warn_of_colour(videos, streams, comparison))
    warnings += (chosen.warning,) if chosen.warning else ()
    grid = _grid(videos, streams, comparison)
    timing = "" if grid is None else f"setpts=PTS-STARTPTS,fps={grid:g},"
    warnings += _warn_of_fields(videos, streams, comparison)
    warnings += _warn_of_spacing(streams) if grid is None else ()
    pairing = _describe_pairing(grid, alignment, videos[1])  # of the whole, not of a part
    warnings += () if alignment is None else _warn_of_gaps(videos, streams, alignment)
    fields = _make_progressive(streams, comparison.deinterlace)
    start = comparison.start_frame(grid or videos[0].fps or reference.rate or distorted.rate)
    skip, limit = (start + max(-offset, 0), start + max(offset, 0)), comparison.frames
    cuts = (_trim(skip[0], limit), _trim(skip[1], limit))
    if alignment is not None:
        alignment = alignment.part(start, limit)
        skip, limit, cuts = alignment.first, alignment.span, alignment.filters()
    starts = [f"{a}{timing}{b}{BY_NUMBER}" for a, b in zip(fields, cuts, strict=True)]

    def chains(least_bits: int) -> tuple[str, str]:
        first, second = _conversions(streams, chosen, least_bits)
        return starts[0] + first, starts[1] + second

    to_reference, to_distorted = chains(8)
    return PairPlan(
        to_reference=to_reference,
        to_distorted=to_distorted,
        to_ten_bits=chains(10),
        timing=timing,
        layouts=layouts,
        size=chosen.size,
        out_range=reference.range if _is_same_form(reference, distorted) else "tv",
        changed=(to_reference, to_distorted) != (DEFAULT_CHAIN, DEFAULT_CHAIN),
        skip=skip,
        limit=limit,
        grid=grid,
        alignment=alignment,
        encode=chosen.encoded_format(distorted),
        warnings=warnings,
        description={
            **pairing,
            "offset": offset,
            "layout": chosen.name,
            "region": comparison.box and list(comparison.box),
            "start": start,
            "limit": limit,
            "deinterlaced": [r for r, has in zip(_ROLES, fields, strict=True) if has],
            "reference": reference.describe(),
            "distorted": distorted.describe(),
            "warnings": list(warnings),
        },
    )


def filter_chains(plan: PairPlan | None, least_bits: int) -> tuple[str, str]:
    """Returns ffmpeg's filters for the reference and for the distorted video.

    Args:
        plan: None before it is known what the two are.
        least_bits: of a sample, 8 or 10.
    """
    if plan is not None:
        return (plan.to_reference, plan.to_distorted) if least_bits == 8 else plan.to_ten_bits
    chain = DEFAULT_CHAIN if least_bits == 8 else f"{DEFAULT_CHAIN},{_TEN_BITS}"
    return chain, chain


def check_chroma(videos: Sequence[Video], streams: Sequence[DecodedStream]) -> None:
    """Raises InputError unless the reference and the distorted video have chroma, sampled alike.

    Bringing 4:2:0 to 4:4:4 moves VMAF v1 by up to 8 points, which would pass for quality.
    """
    layouts = [chroma_layout(stream.pix_fmt) for stream in streams]
    for video, stream, sampling in zip(videos, streams, layouts, strict=True):
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
            f"{videos[1].path}: chroma of {streams[1].pix_fmt} against {streams[0].pix_fmt} in its "
            f"reference; convert one, so that both are yuv{layouts[0]}p or both yuv{layouts[1]}p "
            f"(docs/traps.md)."
        )


def warn_of_chroma(streams: StreamPair) -> tuple[str, ...]:
    """Returns a sentence where chroma, which is measured, was sampled at other places."""
    reference, distorted = (stream.chroma_location for stream in streams)
    if "unknown" in (reference, distorted) or reference == distorted:
        return ()
    return (
        f"chroma is sampled at the {distorted}, the reference's at the {reference}; its planes are "
        f"compared as they are",
    )


def _warn_of_fields(
    videos: VideoPair, streams: StreamPair, comparison: Comparison
) -> tuple[str, ...]:
    """Returns a sentence on interlaced frames; refuses fields against whole pictures."""
    scans = [stream.scan for stream in streams]
    if comparison.deinterlace is not None:
        is_idle = comparison.deinterlace == "auto" and "interlaced" not in scans
        none = "neither says that it is interlaced; nothing was deinterlaced"
        return (none,) if is_idle else ()
    if set(scans) == {"interlaced", "progressive"} and not comparison.force:
        interlaced = scans.index("interlaced")
        raise InputError(
            f"{videos[interlaced].path}: is interlaced, and {videos[1 - interlaced].path.name} is "
            f"not; pass --deinterlace auto, or --force to compare fields with pictures."
        )
    named = [role for role, scan in zip(_ROLES, scans, strict=True) if scan == "interlaced"]
    verb = "is" if len(named) == 1 else "are"
    woven = f"the {' and '.join(named)} {verb} interlaced; fields are compared as interlaced frames"
    return (woven,) if named else ()


def _warn_of_spacing(streams: StreamPair) -> tuple[str, ...]:
    """Returns a sentence on frames that are not evenly spaced in time, and count alike."""
    uneven = [r for r, s in zip(_ROLES, streams, strict=True) if s.irregular or s.uneven]
    if not uneven:
        return ()
    return (
        f"frames of the {' and '.join(uneven)} are unevenly spaced in time; each counts alike, so "
        f"means are over frames, not over time, and times are by the average rate "
        f"(docs/traps.md)",
    )


def _cut_to_region(video: Video, layout: Layout, region: Region | None) -> Layout:
    """Returns the layout of a region, or of the whole; refuses what cannot be measured."""
    width, height = layout.size
    if region is not None:
        if region.x + region.width > width or region.y + region.height > height:
            raise InputError(
                f"{video.path}: --region {','.join(map(str, region))} reaches out of the picture "
                f"of {width}x{height}; move it inside."
            )
        layout, width, height = layout.cut_to(region), region.width, region.height
    # In smaller ones libvmaf reads past its arrays; its score means nothing there.
    if min(width, height) < MIN_SIZE:
        raise InputError(
            f"{video.path}: pictures of {width}x{height} are too small; VMAF needs at "
            f"least {MIN_SIZE} pixels each way."
        )
    return layout


def _warn_of_streams(streams: StreamPair) -> tuple[str, ...]:
    """Returns sentences on files that hold several videos: which was measured."""
    return tuple(
        f"the {role} file has {stream.streams} video streams; stream {stream.stream} was measured "
        f"({stream.codec}, {stream.width}x{stream.height}), --stream takes another "
        f"(docs/traps.md)"
        for role, stream in zip(_ROLES, streams, strict=True)
        if stream.streams > 1
    )


def _warn_of_colour(
    videos: VideoPair, streams: StreamPair, comparison: Comparison
) -> tuple[str, ...]:
    """Returns sentences on colour and grain that differ; refuses what luma cannot compare."""
    reference, distorted = streams
    is_left_out = comparison.film_grain is None and not videos[1].film_grain
    warnings = [_GRAIN] if is_left_out else []
    hdr = [stream.transfer in HDR_TRANSFERS for stream in streams]
    for name, tag, expected in (
        ("transfer", distorted.transfer, reference.transfer),
        ("primaries", distorted.primaries, reference.primaries),
        ("matrix", distorted.matrix, reference.matrix),
        ("range", distorted.range, reference.range),
    ):
        if name in ("matrix", "range") and "gbr" in (distorted.matrix, reference.matrix):
            continue
        if "unknown" in (tag, expected) or tag == expected:
            continue
        text = f"{name} is {tag}, the reference's is {expected}"
        if name == "transfer" and any(hdr) and not comparison.force:
            raise InputError(
                f"{videos[1].path}: {text}; their luma is not on one scale, convert one of them, "
                f"or pass --force."
            )
        warnings.append(
            f"{text}; {'range is' if name == 'range' else 'luma is not'} converted (docs/traps.md)"
        )
    matrices = {stream.matrix for stream in streams}
    strange = matrices - SWSCALE_MATRIX.keys() - {"gbr", "unknown"}
    if "gbr" in matrices and strange:
        warnings.append(
            f"matrix is {strange.pop()}, and RGB was brought to luma by BT.601's (docs/traps.md)"
        )
    if hdr[0] != hdr[1] and "unknown" in (reference.transfer, distorted.transfer):
        warnings.append("only one of the two says that it is HDR (docs/traps.md)")
    return tuple(warnings)


def _grid(videos: VideoPair, streams: StreamPair, comparison: Comparison) -> float | None:
    """Returns frames per second that both are put on by time; None where they pair by number."""
    if comparison.align:
        return None
    reference, distorted = streams
    path = videos[1].path
    expected, rate = videos[0].fps or reference.rate, videos[1].fps or distorted.rate
    if comparison.fps == "match":
        if expected is None or rate is None:
            raise InputError(f"{path}: a file has no time stamps to match; drop --fps match.")
        return reference.base_rate if reference.base_rate and not videos[0].fps else expected
    if expected is None or rate is None or comparison.force:
        return None
    if abs(rate / expected - 1) > SAME_RATE:
        raise InputError(
            f"{path}: {rate:g} frames/s, its reference has {expected:g}; pass --fps "
            f"match to pair frames by time stamp, or --force by number (film sped up; "
            f"docs/traps.md)."
        )
    if reference.irregular != distorted.irregular:
        raise InputError(
            f"{path}: its frames and its reference's are not spaced alike in time; pass "
            f"--fps match to pair them by time stamp (docs/traps.md)."
        )
    return None


def _make_progressive(streams: StreamPair, parity: str | None) -> list[str]:
    """Returns the filter that makes pictures of each video's fields; "" where it has none to make.

    Args:
        parity: as `Comparison.deinterlace`.
    """
    # A frame of fields holds two moments; `bwdif` makes a progressive frame of each, so frames pair
    # by number as before.
    bwdif = f"bwdif=mode=send_frame:parity={parity}:deint=all,"
    wanted = [parity and (parity != "auto" or s.scan == "interlaced") for s in streams]
    return [bwdif if is_wanted else "" for is_wanted in wanted]


def _warn_of_gaps(videos: VideoPair, streams: StreamPair, alignment: Alignment) -> tuple[str, ...]:
    """Returns sentences on frames that have no partner."""
    rates = [video.fps or s.rate for video, s in zip(videos, streams, strict=True)]
    return tuple(alignment.sentences(rates))


def _describe_pairing(
    grid: float | None, alignment: Alignment | None, distorted: Video
) -> Description:
    grain = {"film_grain": "on" if distorted.film_grain else "off"}
    if alignment is not None:
        return {"pairing": "content", "alignment": alignment.describe(), **grain}
    return {"pairing": "frame number" if grid is None else "time stamps", **grain}


def _trim(first: int, limit: int | None) -> str:
    """Returns the filter that leaves out what comes before and after, "" for none."""
    if limit is not None:
        return f"trim=start_frame={first}:end_frame={first + limit},"
    return f"trim=start_frame={first}," if first else ""


def _is_same_form(reference: DecodedStream, distorted: DecodedStream) -> bool:
    """Tells whether the two can be compared in the format and the range that they have."""
    formats = {stream.pix_fmt.replace("yuvj", "yuv") for stream in (reference, distorted)}
    changes = reference.range_changes or distorted.range_changes
    same = len(formats) == 1 and reference.range == distorted.range
    return same and not changes and not is_rgb(reference.pix_fmt)


def _conversions(streams: StreamPair, layout: Layout, least_bits: int) -> tuple[str, str]:
    """Returns filters that bring the reference and the distorted video to one size and format.

    Formats or ranges that differ are brought to limited range, which models are trained on. RGB
    becomes luma by the other's matrix, or BT.601's where that does not say.
    """
    reference, distorted = streams
    common = common_format(reference.pix_fmt, distorted.pix_fmt, least_bits=least_bits)
    matrices = [SWSCALE_MATRIX[s.matrix] for s in streams if s.matrix in SWSCALE_MATRIX]
    matrix = matrices[0] if matrices else "bt601"
    is_same_form = _is_same_form(reference, distorted)

    def chain(stream: DecodedStream, fit: str) -> str:
        # In its own depth: of another one, full range is no multiple of limited range.
        same_depth = planar_format("420", sample_bits(stream.pix_fmt))
        retag = f",{SAME_COLOUR}:range={stream.range}"
        if is_rgb(stream.pix_fmt):
            # swscale takes RGB for full range and grey for full luma, whatever their tags say.
            to_luma = f"out_color_matrix={matrix}"
            if SCALING not in fit:
                # Without the flag, swscale rounds luma of `bgr24` down, half a level on average.
                to_luma += f"{SCALING}+accurate_rnd"
            if stream.range == "tv":
                full = _convert(fit, f"{to_luma}:out_range=pc", same_depth)
                return f"{full}{retag}{_convert('', 'out_range=tv', common)}"
            return f"{_convert(fit, f'{to_luma}:out_range=tv', common)},{SAME_COLOUR}"
        start = f",{SAME_COLOUR}"
        if is_luma_alone(stream.pix_fmt):
            start = f"{_convert('', 'out_range=pc', same_depth)}{retag}"
        if is_same_form:
            return start + (fit if least_bits == 8 else _convert(fit, "", common))
        return start + _convert(fit, "out_range=tv", common)

    return chain(reference, layout.to_reference), chain(distorted, layout.to_distorted)


def _convert(fit: str, options: str, pix_fmt: str) -> str:
    """Returns the filters of a layout with a conversion in the step that scales, else in one more.

    Size, range and depth change in one step, so that samples are rounded once.
    """
    before, scaled, after = fit.partition(SCALING)
    if scaled:
        return ":".join(filter(None, (before + scaled, options))) + f",format={pix_fmt}{after}"
    return f"{fit},scale={options},format={pix_fmt}" if options else f"{fit},format={pix_fmt}"
