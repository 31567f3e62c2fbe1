"""Geometry of a pair: how pictures of two sizes are brought to one, by scaling, cutting or bars.

Codecs work in blocks, so an encode may carry lines and columns that its source has not, at the
bottom and at the right. They are cut off: scaling the whole would move every line but the first.
Which of several layouts is right, sizes alone seldom say; then the pictures decide, by the luma
error that each layout leaves. At a lower step of a ladder most of that error is detail that the
encode lost, whatever the layout. There the two are compared at the encode's own size, by which of
two pictures the reference is nearer to on the line that joins them.
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
# Positions of the reference from a step that is scaled whole (-1) to one that is cut (1). Of 183
# encodes in step (five contents, x264 at CRF 20 to 45, nine sizes), 137 of 138 padded ones are at
# 0.35 and above, one is at 0.02, and 45 scaled ones are at -0.01 and below. Dark ones at CRF 45 lie
# anywhere, as their layouts are hardly apart.
_NEARER_TO_CUT = 0.2
_NEARER_TO_WHOLE = -0.25  # between the two, pictures do not tell
_BEYOND_CUT = 2.0  # where motion of frames out of step may bring it
# Squared difference of luma of range 1, below which pictures do not tell either.
_HARDLY_APART = 1.5 / 255**2
# From the usual cut to another: right ones are at 1.0 and above, but for two at CRF 45 that lie
# below the limit; others are at 0.31 and below.
_CLEARLY_NEARER = 0.6
_CAMBI_LEAST = 216  # pixels; CAMBI takes no encode both of whose sides are shorter

SCALING = ":flags=bicubic"  # of the filter that scales

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class LumaErrors:
    """Mean squared differences of luma over some frames of a pair, of range 1.

    Attributes:
        whole: That each layout leaves between the pair, by its name.
        inner: The same of cuts of a ladder's step, without the last lines and columns: filters that
            pad 4:2:0 lose an odd line of the picture, whose scale stays.
        apart: By the names of two layouts of `comparisons`, between what they make of one picture.
    """

    whole: Mapping[str, float]
    inner: Mapping[str, float]
    apart: Mapping[tuple[str, str], float]


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
        usual: the name of a layout that is taken instead where it is about as good, or "".
    """

    name: str
    to_reference: str
    to_distorted: str
    size: Size
    warning: str = ""
    is_rival: bool = False
    flag: str = ""
    scaling: tuple[Size, Size] | None = None
    usual: str = ""

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
        step_size: of a ladder's step, the size at which pictures are compared; None of others.
    """

    layouts: tuple[Layout, ...]
    default: Layout | None
    refusal: str = ""
    is_requested: bool = False
    is_near: bool = False
    is_rounded: bool = False
    step_size: Size | None = None

    def find(self, name: str | None) -> Layout:
        """Returns the layout of that name, else the default."""
        default = self.default or self.layouts[0]
        return next((layout for layout in self.layouts if layout.name == name), default)

    @property
    def _steps(self) -> dict[str, Layout]:
        """The cuts of a ladder's step, by name."""
        return {layout.name: layout for layout in self.layouts if layout.name != "stretch"}

    def comparisons(self) -> list[tuple[Layout, Layout]]:
        """Returns the layouts of a ladder's step whose pictures are to be compared.

        The whole with each cut, and the usual one of the cuts of a side with the others.
        """
        if self.step_size is None:
            return []
        steps = self._steps
        pairs = [(self.find("stretch"), step) for step in steps.values()]
        others = [step for step in steps.values() if step.usual in steps.keys() - {step.name}]
        return pairs + [(steps[step.usual], step) for step in others]

    def choose(self, luma: LumaErrors) -> Layout:
        """Returns the layout to take, of at least two.

        Raises:
            InputError: the pictures do not show it, or contradict the request.
        """
        if self.step_size is not None:
            return self._choose_step(luma)
        errors = luma.whole
        order = sorted(self.layouts, key=lambda layout: errors[layout.name])
        first = order[0]
        if self.is_requested and self.default is not None:
            return self._choose_of_flag(self.default, order, errors)
        second = next((layout for layout in order[1:] if not layout.is_rival), order[1])
        if errors[first.name] < _CLEARLY_LESS * errors[second.name] and not first.is_rival:
            return first
        if errors[second.name] == 0:  # black, say, where all layouts come to the same
            return self.layouts[0]
        if self.default is None:
            raise InputError(self.refusal)
        return self.default

    def find_doubt(self, luma: LumaErrors) -> str:
        """Returns a warning where an encode is scaled whole and may be padded, or ""."""
        if self.step_size is None or self.default is None:
            return ""
        step = self._best_step(luma)
        distance = luma.apart["stretch", step.name]
        if distance == 0 or step.to_reference or self._is_cut(step, luma):
            return ""
        position = _position(luma.whole, luma.apart, "stretch", step.name)
        if position < _NEARER_TO_WHOLE and distance > _HARDLY_APART:
            return ""
        width, height = step.scaling[0] if step.scaling else step.size
        return (
            f"the distorted video may be {width}x{height} and padding, which its pictures do not "
            f"show; it was scaled as a whole"
        )

    def _best_step(self, luma: LumaErrors) -> Layout:
        """Returns the best of the cuts of a ladder's step."""
        steps = self._steps
        best = min(steps.values(), key=lambda layout: luma.whole[layout.name])
        if best.usual == best.name or best.usual not in steps:
            return best
        is_clear = _position(luma.whole, luma.apart, best.usual, best.name) > _CLEARLY_NEARER
        return best if is_clear else steps[best.usual]

    def _as_scaled(self, step: Layout, luma: LumaErrors) -> Layout:
        """Returns the usual cut in place of `step` where the picture has that one's scale."""
        usual = step.usual
        is_usual = usual in luma.inner and luma.inner[usual] < luma.inner[step.name]
        return self.find(usual) if is_usual else step

    def _is_cut(self, step: Layout, luma: LumaErrors) -> bool:
        """Tells whether pictures show a cut, where the sizes speak for the whole."""
        # Hardly any reference is padded, and motion of frames out of step may favour a cut.
        is_far = luma.whole[step.name] > _MUCH_LESS * luma.whole["stretch"]
        if step.to_reference and self.is_rounded and is_far:
            return False
        position = _position(luma.whole, luma.apart, "stretch", step.name)
        return _NEARER_TO_CUT < position < _BEYOND_CUT

    def _choose_step(self, luma: LumaErrors) -> Layout:
        step = self._best_step(luma)
        if self.default is not None:
            return self._as_scaled(step, luma) if self._is_cut(step, luma) else self.default
        # Nothing else speaks for a cut that leaves another shape than the whole has.
        whole = luma.whole["stretch"]
        if luma.whole[step.name] < _FAR_LESS * whole or whole == 0:
            return self._as_scaled(step, luma)
        raise InputError(self.refusal)

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


def _position(
    errors: Mapping[str, float], apart: Mapping[tuple[str, str], float], first: str, second: str
) -> float:
    """Returns where the reference lies on the line from one layout's picture to another's.

    -1 at the first, 1 at the second. With r the reference, a and b the pictures,
    `(|r - a|^2 - |r - b|^2) / |a - b|^2`: detail that both lack is across the line and does not
    count.
    """
    distance = apart[first, second]
    return (errors[first] - errors[second]) / distance if distance else 0.0


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
    step_size = min(streams, key=lambda s: s.width * s.height).size if steps else None
    if fits:
        is_rounded = _shape_change(distorted.size, target) < _ROUNDING
        return LayoutChoices((stretch, *steps), stretch, is_rounded=is_rounded, step_size=step_size)
    if scale is None:
        refusal = (
            f"{path}: display aspect ratio {float(distorted.aspect):.3f} ({stated}), its "
            f"reference's is {float(reference.aspect):.3f} ({expected}); pass --scale stretch, pad "
            f"or crop."
        )
        if not steps:
            raise InputError(refusal)
        rival = dataclasses.replace(stretch, is_rival=True)
        return LayoutChoices((*steps, rival), None, refusal, step_size=step_size)
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
    # Padded sides are longer than the one that was rounded.
    return abs(distorted.sar / reference.sar - 1) <= Fraction(11, 10 * min(distorted.size))


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
            if size[side] - exact < 1:
                continue
            blocks = [b for b in _BLOCKS if not (is_one_shape and size[1 - side] % b)]
            # Sides of an encode may have been rounded to even ones; its reference is as it is.
            usual, *others = _step_sides(exact) if k else _step_sides(exact)[:1]
            for rest in (usual, *others):
                if rest >= size[side] or size[side] not in (_round_up(rest, b) for b in blocks):
                    continue
                cut, usual_cut = (
                    (side_of, size[1]) if side == 0 else (size[0], side_of)
                    for side_of in (rest, usual)
                )
                filters = ["", ""]
                filters[k] = _cut_filter(streams[k], cut)
                target, before = (reference.size, cut) if k else (cut, distorted.size)
                yield Layout(
                    _name_of_step(role, cut),
                    filters[0],
                    filters[1] + _scale_filter(target),
                    target,
                    f"the {role} is {size[0]}x{size[1]} and was cut to {cut[0]}x{cut[1]}, "
                    f"since its picture is padded at the {('right', 'bottom')[side]}",
                    scaling=(before, target),
                    usual=_name_of_step(role, usual_cut),
                )


def _step_sides(exact: Fraction) -> list[int]:
    """Returns pixels that a ladder's step may have for a side, the usual one first.

    That is the exact one where it is whole, else the nearest even one.
    """
    usual = int(exact) if exact.denominator == 1 else 2 * round(exact / 2)
    return list(dict.fromkeys((usual, 2 * math.floor(exact / 2), 2 * math.ceil(exact / 2))))


def _name_of_step(role: str, cut: Size) -> str:
    return f"cut the {role} to {cut[0]}x{cut[1]}"


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
