"""Geometry of a pair: how pictures of two sizes are brought to one, by scaling, cutting or bars.

Codecs work in blocks, so an encode may carry lines and columns that its source has not, at the
bottom and at the right. They are cut off: scaling the whole would move every line but the first.
Which of several layouts is right, sizes alone seldom say; then the pictures decide, by the luma
error that each layout leaves.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison, Region
from vmaf_jax.video.inputs import VideoPair
from vmaf_jax.video.pixel_format import common_bits
from vmaf_jax.video.streams import DecodedStream, StreamPair

_BLOCKS = (8, 16, 32, 64)  # samples; 64 is a superblock of AV1 and VP9
_SAME_ASPECT = 0.015  # relative, besides what rounding a side to even pixels does
_SAME_SIZE = 0.07  # relative; no ladder has two steps so near
_BARELY = 0.02  # relative; nobody scales by so little on purpose
_MOST_PLACES = 16  # at which a picture is looked for, of one that is padded to a block
_ROUNDING = 1.5  # pixels that a side of a ladder's step may be off
_CLEARLY_LESS = 0.9  # of two errors; where they are nearer, pictures do not tell
_MUCH_LESS = 0.7  # the same, against what rounding explains; motion alone brought 0.86
_FAR_LESS = 0.5  # the same, against what somebody asked for
_CAMBI_LEAST = 216  # pixels; CAMBI takes no encode both of whose sides are shorter

SCALING = ":flags=bicubic"  # of the filter that scales

Size = tuple[int, int]


class EncodedFormat(NamedTuple):
    """Size of the encode in pixels, and bits of its samples, where it is scaled to be compared.

    Netflix asks for it where VMAF v1 is measured: banding is judged at the size and depth of the
    encode, not at those of the display. Source: libvmaf's `models_v1.md` and `cambi.c`.
    """

    width: int
    height: int
    bits: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """One way to bring a pair to one size.

    Attributes:
        name: which one, unique among those of a pair.
        to_reference, to_distorted: filters, each "" or beginning with a comma.
        size: width and height that are compared, pixels.
        warning: what a reader of the score should know, or "".
        is_rival: whether it is only looked at; the pair is refused where it is the best.
        flag: the value of `--scale` that asks for it, or "".
        scaling: size of the distorted picture before and after it is scaled; None where it is not.
    """

    name: str
    to_reference: str
    to_distorted: str
    size: Size
    warning: str = ""
    is_rival: bool = False
    flag: str = ""
    scaling: tuple[Size, Size] | None = None

    def cut_to(self, region: Region) -> "Layout":
        """Returns the layout of a part of the picture, which lies within it."""
        # Without `exact` ffmpeg moves a cut to an even sample where chroma has half of them.
        cut = f",crop={region.width}:{region.height}:{region.x}:{region.y}:exact=1"
        return dataclasses.replace(
            self,
            to_reference=self.to_reference + cut,
            to_distorted=self.to_distorted + cut,
            size=(region.width, region.height),
        )

    def encoded_format(self, distorted: DecodedStream) -> EncodedFormat | None:
        """Returns the encode behind the pictures that are compared; None where they are its own.

        Where a picture was boxed or cut besides, what counts is how far it was scaled.
        """
        if self.scaling is None:
            return None
        sides = zip(self.size, *self.scaling, strict=True)
        width, height = (round(side * before / after) for side, before, after in sides)
        if max(width, height) < _CAMBI_LEAST:
            return None
        return EncodedFormat(width, height, common_bits(distorted.pix_fmt))


@dataclasses.dataclass(frozen=True)
class LayoutChoices:
    """The layouts that a pair may be brought to one size by.

    Attributes:
        layouts: at least one.
        default: where the pictures do not tell; None refuses the pair then.
        refusal: one line, of a pair that is refused.
        is_requested: whether the default is what a flag asks for.
        is_near: whether the two sizes are nearly one.
        is_rounded: whether the default keeps the shape, up to the rounding of a side.
    """

    layouts: tuple[Layout, ...]
    default: Layout | None
    refusal: str = ""
    is_requested: bool = False
    is_near: bool = False
    is_rounded: bool = False

    def find(self, name: str | None) -> Layout:
        """Returns the layout of that name, else the default."""
        default = self.default or self.layouts[0]
        return next((layout for layout in self.layouts if layout.name == name), default)

    def choose(self, errors: Mapping[str, float]) -> Layout:
        """Returns the layout to take, of at least two.

        Args:
            errors: by layout, the mean squared error of luma that it leaves, any unit.

        Raises:
            InputError: the pictures do not show it, or contradict the request.
        """
        order = sorted(self.layouts, key=lambda layout: errors[layout.name])
        first = order[0]
        if self.is_requested and self.default is not None:
            return self._choose_of_flag(self.default, order, errors)
        second = next((layout for layout in order[1:] if not layout.is_rival), order[1])
        # Nothing else speaks for a cut that leaves another shape than the whole has.
        clearly = _CLEARLY_LESS if self.default or self.is_near else _FAR_LESS
        if self.is_rounded:  # where frames are out of step, their motion may favour a cut
            clearly = _MUCH_LESS
        if errors[first.name] < clearly * errors[second.name] and not first.is_rival:
            return first
        if errors[second.name] == 0:  # black, say, where all layouts come to the same
            return self.layouts[0]
        if self.default is None:
            raise InputError(self.refusal)
        return self.default

    def _choose_of_flag(
        self, default: Layout, order: list[Layout], errors: Mapping[str, float]
    ) -> Layout:
        """Returns the best layout of the default's flag, refused where another is far better."""
        first = order[0]
        best = next(layout for layout in order if layout.flag == default.flag)
        if errors[first.name] < _FAR_LESS * errors[best.name]:
            instead = f"; pass --scale {first.flag}, or --force." if first.flag else ""
            raise InputError(self.refusal + instead)
        return best if errors[best.name] < _CLEARLY_LESS * errors[default.name] else default


def find_layouts(videos: VideoPair, streams: StreamPair, comparison: Comparison) -> LayoutChoices:
    """Returns the layouts that bring the reference and the distorted video to one size.

    Raises:
        InputError: display aspect ratios differ, and no flag says what to do about that.
    """
    reference, distorted = streams
    path, scale = videos[1].path, comparison.scale
    stated, expected = (f"{stream.width}x{stream.height}" for stream in (distorted, reference))
    fits = _aspects_fit(reference, distorted)
    if distorted.size == reference.size and fits:
        return _only(Layout("same", "", "", reference.size))
    samples_alike = _samples_alike(reference, distorted)
    target, note = reference.size, ""
    if scale is None or fits:
        note = _note_of_scaling(distorted.size, target, samples_alike=samples_alike)
    scaling = (distorted.size, target)
    stretch = Layout(
        "stretch", "", _scale_filter(target), target, note, flag="stretch", scaling=scaling
    )
    if samples_alike and _is_near(distorted.size, reference.size) and (fits or scale != "pad"):
        if scale == "stretch":
            return _only(stretch)
        cuts = tuple(_common_cuts(streams))
        refusal = f"{path}: is {stated}, its reference {expected}, and its picture "
        if scale == "crop":
            refusal += (
                "lies neither at a side nor in the middle; cut what is padded, or pass --scale "
                "stretch."
            )
            return LayoutChoices(cuts, cuts[0], refusal, is_requested=True)
        refusal += (
            "does not show whether it is padded or scaled; pass --scale crop to cut it at the "
            "right and at the bottom, or --scale stretch."
        )
        return LayoutChoices((*cuts, stretch), None, refusal, is_near=True)
    may_be_cut = scale is None and samples_alike
    steps = tuple(_cut_ladder_steps(streams, is_one_shape=fits)) if may_be_cut else ()
    if fits:
        is_rounded = _shape_change(distorted.size, target) < _ROUNDING
        return LayoutChoices((stretch, *steps), stretch, is_rounded=is_rounded)
    if scale is None:
        refusal = (
            f"{path}: display aspect ratio {float(distorted.aspect):.3f} ({stated}), its "
            f"reference's is {float(reference.aspect):.3f} ({expected}); pass --scale stretch, pad "
            f"or crop."
        )
        if not steps:
            raise InputError(refusal)
        rival = dataclasses.replace(stretch, is_rival=True)
        return LayoutChoices((*steps, rival), None, refusal)
    every = (stretch, _pad(reference, distorted), *_crops(reference, distorted))
    requested = next(layout for layout in every if layout.name == scale)
    if comparison.force:
        return _only(requested)
    refusal = f"{path}: --scale {scale} lays it over another part of its reference"
    return LayoutChoices(every, requested, refusal, is_requested=True)


def _only(layout: Layout) -> LayoutChoices:
    return LayoutChoices((layout,), layout)


def _scale_filter(size: Size) -> str:
    return f",scale={size[0]}:{size[1]}{SCALING}"


def _aspects_fit(reference: DecodedStream, distorted: DecodedStream) -> bool:
    """Tells whether the two are shown in the same shape, as far as even sides allow."""
    if distorted.size == reference.size and None in (reference.sar, distorted.sar):
        return True
    least = min(*distorted.size, *reference.size)
    return abs(distorted.aspect / reference.aspect - 1) <= _SAME_ASPECT + 2 / least


def _samples_alike(reference: DecodedStream, distorted: DecodedStream) -> bool:
    """Tells whether samples have one shape, up to a tag that makes up for a rounded side."""
    if reference.sar is None or distorted.sar is None:
        return True
    return abs(distorted.sar / reference.sar - 1) <= Fraction(1, min(distorted.size))


def _is_near(first: Size, second: Size) -> bool:
    """Tells whether two sizes are one, up to padding or less than any scaling on purpose."""

    def is_near_side(less: int, more: int) -> bool:
        if more - less <= _SAME_SIZE * less:
            return True
        return any(more == _round_up(less, b) or less == more - more % b for b in (8, 16))

    return all(is_near_side(min(sides), max(sides)) for sides in zip(first, second, strict=True))


def _round_up(side: int, block: int) -> int:
    return math.ceil(side / block) * block


def _common_cuts(streams: StreamPair) -> Iterator[Layout]:
    """Yields cuts of both to what both have, one for each place where padding may lie.

    The usual place comes first. Rivals lie between: where one of them is better, padding lies
    elsewhere.
    """
    size = min(s.width for s in streams), min(s.height for s in streams)
    most = max(max(s.width - size[0], s.height - size[1]) for s in streams)
    notes = [
        f"the {role} is {s.width}x{s.height} and was cut to {size[0]}x{size[1]}"
        for role, s in zip(("reference", "distorted video"), streams, strict=True)
        if s.size != size
    ]
    # Samples that are cut off at the left, of `most` at the right and at the left.
    places = {"right and bottom": 0, "left and top": most, "edges": most // 2}
    # Where chroma has half the samples, a picture in the middle begins at an even one.
    places["edges, the lesser part left and top"] = most // 2 & ~1
    rivals = {f"sample {at}": at for at in range(min(most, _MOST_PLACES) + 1)}
    rivals |= {f"{place}, {k:+}": at + k for place, at in places.items() for k in (-1, 1)}
    for place, first in _distinct(places | rivals):
        if not 0 <= first <= most:
            continue
        to_reference, to_distorted = (_cut_filter(s, size, first) for s in streams)
        note = f"{' and '.join(notes)}, at the {place}: the other one has nothing there"
        name, flag = f"cut at the {place}", "crop" if place in places else ""
        yield Layout(name, to_reference, to_distorted, size, note, not flag, flag)


def _distinct(places: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Yields each sample once, with the first of its names."""
    names = {first: place for place, first in reversed(places.items())}
    return ((names[first], first) for first in dict.fromkeys(places.values()))


def _cut_filter(stream: DecodedStream, size: Size, first: int = 0) -> str:
    """Returns the filter that cuts a picture to a size, and `first` samples off at left and top.

    Left is where the picture as it is stored has it, before a player turns it.
    """
    if size == stream.size:
        return ""
    left, top = min(first, stream.width - size[0]), min(first, stream.height - size[1])
    if stream.rotation in (180, 270):
        left = stream.width - size[0] - left
    if stream.rotation in (90, 180):
        top = stream.height - size[1] - top
    # Without `exact` ffmpeg moves a cut to an even sample where chroma has half of them.
    return f",crop={size[0]}:{size[1]}:{left}:{top}:exact=1"


def _cut_ladder_steps(streams: StreamPair, *, is_one_shape: bool) -> Iterator[Layout]:
    """Yields cuts of one of two pictures of other resolutions, which is padded on one side.

    A side counts as padded where the other picture has the shape of the rest, and the side is
    the rest rounded up to whole blocks.

    Args:
        is_one_shape: whether the two may be scaled as they are; then the other side has to be of
            whole blocks too, since codecs pad both.
    """
    reference, distorted = streams
    for k, role in enumerate(("reference", "distorted video")):
        size, other = streams[k].size, streams[1 - k].size
        for side in (0, 1):
            exact = Fraction(size[1 - side] * other[side], other[1 - side])
            # The side that a ladder's step has for an exact one: whole, else even.
            rest = int(exact) if exact.denominator == 1 else 2 * round(exact / 2)
            blocks = [b for b in _BLOCKS if not (is_one_shape and size[1 - side] % b)]
            if size[side] - exact < 1 or size[side] not in (_round_up(rest, b) for b in blocks):
                continue
            cut = (rest, size[1]) if side == 0 else (size[0], rest)
            filters = ["", ""]
            filters[k] = _cut_filter(streams[k], cut)
            target, before = (reference.size, cut) if k else (cut, distorted.size)
            yield Layout(
                f"cut the {role} to {cut[0]}x{cut[1]}",
                filters[0],
                filters[1] + _scale_filter(target),
                target,
                f"the {role} is {size[0]}x{size[1]} and was cut to {cut[0]}x{cut[1]}, "
                f"since its picture is padded at the {('right', 'bottom')[side]}",
                scaling=(before, target),
            )


def _pad(reference: DecodedStream, distorted: DecodedStream) -> Layout:
    """Returns the whole distorted picture within the reference's samples, with bars."""
    width, height = reference.size
    shape = _shape_in(reference, distorted)
    size = (width, max(2, round(width / shape)))
    if shape <= Fraction(width, height):
        size = (max(2, round(height * shape)), height)
    bars = f"{_scale_filter(size)},pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    return Layout("pad", "", bars, reference.size, flag="pad", scaling=(distorted.size, size))


def _crops(reference: DecodedStream, distorted: DecodedStream) -> Iterator[Layout]:
    """Yields the parts of the distorted picture that have the reference's shape, the middle first.

    They are cut out before they are scaled, so that a cut is where bars end and not between two
    samples.
    """
    size, target = distorted.size, reference.size
    shape, wanted = _shape_in(reference, distorted), Fraction(*target)
    cut = (
        min(size[0], max(2, round(size[0] * wanted / shape))),
        min(size[1], max(2, round(size[1] * shape / wanted))),
    )
    most = max(size[0] - cut[0], size[1] - cut[1])
    # ffmpeg lays a picture at an even sample where chroma has half of them.
    places = {"": most // 2, "at an even sample": most // 2 & ~1}
    sides = {"at the left and top": 0, "at the right and bottom": most}
    for place, first in _distinct(places | sides):
        note = f"the distorted video's picture lies {place} of its {size[0]}x{size[1]}"
        scaling = None if cut == target else (cut, target)
        yield Layout(
            f"crop {place}".strip(),
            "",
            _cut_filter(distorted, cut, first) + (_scale_filter(target) if scaling else ""),
            target,
            note if place in sides else "",
            flag="crop",
            scaling=scaling,
        )


def _shape_in(reference: DecodedStream, distorted: DecodedStream) -> Fraction:
    """Returns width over height of the distorted picture, in samples of the reference's shape."""
    return distorted.aspect / (reference.sar or 1)


def _note_of_scaling(before: Size, after: Size, *, samples_alike: bool) -> str:
    """Returns a warning of a picture of which a side is scaled by little, or unlike the other."""
    across, down = after[0] / before[0], after[1] / before[1]
    barely = any(0 < abs(factor - 1) <= _BARELY for factor in (across, down))
    if not barely and (not samples_alike or _shape_change(before, after) < _ROUNDING):
        return ""
    return (
        f"the distorted video is {before[0]}x{before[1]} and was scaled to {after[0]}x{after[1]}, "
        f"{across:.4g} times across and {down:.4g} times down"
    )


def _shape_change(before: Size, after: Size) -> float:
    """Returns by how many pixels a side would be another if both were scaled alike."""
    return abs(before[0] * after[1] - before[1] * after[0]) / max(after)
