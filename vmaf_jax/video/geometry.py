"""How the pictures of a pair are brought to one size: scaled, cut, or with bars.

Codecs work in blocks, so an encode may carry lines and columns that its source has not, at the
bottom and at the right. They are cut off: scaling the whole would move every line but the first.
Which of several ways is right, sizes alone seldom say; then the pictures are asked, by the luma
error that each way leaves.
"""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import Facts

_BLOCKS = (8, 16, 32, 64)  # samples; 64 is a superblock of AV1 and VP9
_SAME_ASPECT = 0.015  # relative, besides what rounding a side to even pixels does
_SAME_SIZE = 0.07  # relative; no ladder has two steps so near
_BARELY = 0.02  # relative; nobody scales by so little on purpose
_MOST_PLACES = 16  # at which a picture is looked for, of one that is padded to a block
_ROUNDING = 1.5  # pixels that a side of a ladder's step may be off
_CLEARLY_LESS = 0.9  # of two errors; where they are nearer, pictures do not tell
_FAR_LESS = 0.5  # the same, against what somebody asked for

SCALING = ":flags=bicubic"  # of the filter that scales

Size = tuple[int, int]


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
    """

    name: str
    to_reference: str
    to_distorted: str
    size: Size
    warning: str = ""
    is_rival: bool = False
    flag: str = ""


@dataclasses.dataclass(frozen=True)
class Layouts:
    """The ways that a pair may be brought to one size.

    Attributes:
        ways: at least one.
        default: where the pictures do not tell; None refuses the pair then.
        refusal: one line, of a pair that is refused.
        asked: whether the default is what a flag says.
        near: whether the two sizes are nearly one.
    """

    ways: tuple[Layout, ...]
    default: Layout | None
    refusal: str = ""
    asked: bool = False
    near: bool = False

    def named(self, name: str | None) -> Layout:
        """The way of that name, else the default."""
        return next((w for w in self.ways if w.name == name), self.default or self.ways[0])

    def best(self, errors: Mapping[str, float]) -> Layout:
        """The way to take.

        Args:
            errors: by way, the mean squared error of luma that it leaves, any unit.

        Raises:
            InputError: the pictures do not tell, or speak against what was asked for.
        """
        if len(self.ways) == 1:
            return self.ways[0]
        order = sorted(self.ways, key=lambda way: errors[way.name])
        first = order[0]
        second = next((way for way in order[1:] if not way.is_rival), order[1])
        if self.asked and self.default is not None:
            flag = self.default.flag
            best = next(way for way in order if way.flag == flag)
            if errors[first.name] < _FAR_LESS * errors[best.name]:
                instead = f"; pass --scale {first.flag}, or --force." if first.flag else ""
                raise InputError(self.refusal + instead)
            clearly_better = errors[best.name] < _CLEARLY_LESS * errors[self.default.name]
            return best if clearly_better else self.default
        # Nothing else speaks for a cut that leaves another shape than the whole has.
        clearly = _CLEARLY_LESS if self.default or self.near else _FAR_LESS
        if errors[first.name] < clearly * errors[second.name] and not first.is_rival:
            return first
        if errors[second.name] == 0:  # black, say, where all ways come to the same
            return self.ways[0]
        if self.default is None:
            raise InputError(self.refusal)
        return self.default


def layouts_of(videos: tuple[Video, Video], facts: tuple[Facts, Facts], how: Comparison) -> Layouts:
    """The ways to bring the reference and the distorted video `videos` to one size.

    Raises:
        InputError: display aspect ratios differ, and no flag says what to do about that.
    """
    reference, distorted = facts
    ours, theirs = (distorted.width, distorted.height), (reference.width, reference.height)
    fits = _aspects_fit(reference, distorted)
    if ours == theirs and fits:
        return _only(Layout("same", "", "", theirs))
    samples_alike = _samples_alike(reference, distorted)
    stretch = Layout("stretch", "", _scale(theirs), theirs, flag="stretch")
    note = _note_of_scaling(ours, theirs, samples_alike=samples_alike)
    if how.scale is None or fits:
        stretch = dataclasses.replace(stretch, warning=note)
    if samples_alike and _near(ours, theirs) and (fits or how.scale != "pad"):
        places = _cuts_alike(facts)
        refusal = _unsure(videos[1], ours, theirs)
        if how.scale == "stretch":
            return _only(stretch)
        if how.scale == "crop":
            refusal = _padded_elsewhere(videos[1], ours, theirs)
            return Layouts(tuple(places), places[0], refusal, asked=True)
        return Layouts((*places, stretch), None, refusal, near=True)
    if how.scale is None:
        cuts = tuple(_cut_steps(facts)) if samples_alike else ()
        refusal = "" if fits else _other_aspect(videos[1], reference, distorted)
        if not (fits or cuts):
            raise InputError(refusal)
        if fits:
            return Layouts((stretch, *cuts), stretch)
        return Layouts((*cuts, dataclasses.replace(stretch, is_rival=True)), None, refusal)
    if fits:
        return _only(stretch)
    every = (stretch, _in_bars(reference, distorted), *_cut_from_bars(reference, distorted))
    asked = next(way for way in every if way.name == how.scale)
    if how.force:
        return _only(asked)
    refusal = f"{videos[1].path}: --scale {how.scale} lays it over another part of its reference"
    return Layouts(every, asked, refusal, asked=True)


def _only(layout: Layout) -> Layouts:
    return Layouts((layout,), layout)


def _scale(size: Size) -> str:
    return f",scale={size[0]}:{size[1]}{SCALING}"


def _aspects_fit(reference: Facts, distorted: Facts) -> bool:
    """Whether the two are shown in the same shape, as far as even sides allow."""
    sizes = (distorted.width, distorted.height, reference.width, reference.height)
    ours, theirs = distorted.aspect, reference.aspect
    if sizes[:2] == sizes[2:] and None in (reference.sar, distorted.sar):
        theirs = ours
    return abs(ours / theirs - 1) <= _SAME_ASPECT + 2 / min(sizes)


def _near(ours: Size, theirs: Size) -> bool:
    """Whether two sizes are one, up to padding or up to less than any scaling on purpose."""
    return all(map(_near_side, ours, theirs))


def _near_side(ours: int, theirs: int) -> bool:
    less, more = sorted((ours, theirs))
    if more - less <= _SAME_SIZE * less:
        return True
    return any(more == _up(less, b) or less == more - more % b for b in (8, 16))


def _up(side: int, block: int) -> int:
    return math.ceil(side / block) * block


def _cuts_alike(facts: tuple[Facts, Facts]) -> list[Layout]:
    """Both cut to what both have, at each place where padding may lie; the usual one first.

    Rivals lie between them: where one of them is better, padding lies elsewhere.
    """
    size = min(f.width for f in facts), min(f.height for f in facts)
    most = max(max(f.width - size[0], f.height - size[1]) for f in facts)
    notes = [
        f"the {role} is {f.width}x{f.height} and was cut to {size[0]}x{size[1]}"
        for role, f in zip(("reference", "distorted video"), facts, strict=True)
        if (f.width, f.height) != size
    ]
    # Samples that are cut off at the left, of `most` at the right and at the left.
    places = {"right and bottom": 0, "left and top": most, "edges": most // 2}
    # Where chroma has half the samples, a picture in the middle begins at an even one.
    places["edges, the lesser part left and top"] = most // 2 & ~1
    cuts: dict[int, Layout] = {}
    others = {f"sample {at}": at for at in range(min(most, _MOST_PLACES) + 1)}
    others |= {f"{place}, {k:+}": at + k for place, at in places.items() for k in (-1, 1)}
    for place, first in (places | others).items():
        if first not in cuts and 0 <= first <= most:
            to_reference, to_distorted = (_cut(f, size, first) for f in facts)
            note = f"{' and '.join(notes)}, at the {place}: the other one has nothing there"
            rival = place not in places
            name = f"cut at the {place}"
            flag = "" if rival else "crop"
            cuts[first] = Layout(name, to_reference, to_distorted, size, note, rival, flag)
    return list(cuts.values())


def _cut(facts: Facts, size: Size, first: int = 0) -> str:
    """The filter that cuts a picture to a size, and `first` samples off at the left and top.

    Left is where the picture as it is stored has it, before a player turns it.
    """
    if size == (facts.width, facts.height):
        return ""
    left, top = min(first, facts.width - size[0]), min(first, facts.height - size[1])
    if facts.rotation in (180, 270):
        left = facts.width - size[0] - left
    if facts.rotation in (90, 180):
        top = facts.height - size[1] - top
    return f",crop={size[0]}:{size[1]}:{left}:{top}:exact=1"


def _cut_steps(facts: tuple[Facts, Facts]) -> list[Layout]:
    """Ways in which one of two pictures of other resolutions may be padded on one side.

    A side counts as padded where the other picture has the shape of the rest, and the side is
    the rest rounded up to whole blocks.
    """
    reference, distorted = facts
    whole = (reference.width, reference.height), (distorted.width, distorted.height)
    found = []
    for k, role in enumerate(("reference", "distorted video")):
        size, other = whole[k], whole[1 - k]
        for side in (0, 1):
            exact = Fraction(size[1 - side] * other[side], other[1 - side])
            rest = _step(exact)
            if size[side] - exact < 1 or size[side] not in (_up(rest, b) for b in _BLOCKS):
                continue
            cut = (rest, size[1]) if side == 0 else (size[0], rest)
            filters = ["", ""]
            filters[k] = _cut(facts[k], cut)
            target = whole[0] if k else cut
            note = (
                f"the {role} is {size[0]}x{size[1]} and was cut to {cut[0]}x{cut[1]}, since its "
                f"picture is padded at the {('right', 'bottom')[side]}"
            )
            name = f"cut the {role} to {cut[0]}x{cut[1]}"
            found.append(Layout(name, filters[0], filters[1] + _scale(target), target, note))
    return found


def _step(exact: Fraction) -> int:
    """The side that a ladder's step has for an exact one: whole, else even."""
    return int(exact) if exact.denominator == 1 else 2 * round(exact / 2)


def _in_bars(reference: Facts, distorted: Facts) -> Layout:
    """The whole distorted picture within the reference's samples, with bars."""
    width, height = reference.width, reference.height
    shape = _shape_in(reference, distorted)
    wide = shape > Fraction(width, height)
    size = (
        (width, max(2, round(width / shape))) if wide else (max(2, round(height * shape)), height)
    )
    bars = f"{_scale(size)},pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    return Layout("pad", "", bars, (width, height), flag="pad")


def _cut_from_bars(reference: Facts, distorted: Facts) -> list[Layout]:
    """The part of the distorted picture that has the reference's shape, the middle first.

    It is cut out before it is scaled, so that a cut is where bars end and not between two samples.
    """
    whole, target = (distorted.width, distorted.height), (reference.width, reference.height)
    shape, wanted = _shape_in(reference, distorted), Fraction(*target)
    width = min(whole[0], max(2, round(whole[0] * wanted / shape)))
    height = min(whole[1], max(2, round(whole[1] * shape / wanted)))
    most = max(whole[0] - width, whole[1] - height)
    # ffmpeg lays a picture at an even sample where chroma has half of them.
    places = {"": most // 2, "at an even sample": most // 2 & ~1}
    places |= {"at the left and top": 0, "at the right and bottom": most}
    ways: dict[int, Layout] = {}
    for place, first in places.items():
        if first not in ways:
            filters = _cut(distorted, (width, height), first)
            filters += "" if (width, height) == target else _scale(target)
            note = ""
            if place[:6] == "at the":
                note = f"the distorted video's picture lies {place} of its {whole[0]}x{whole[1]}"
            name = f"crop {place}".strip()
            ways[first] = Layout(name, "", filters, target, note, flag="crop")
    return list(ways.values())


def _shape_in(reference: Facts, distorted: Facts) -> Fraction:
    """Width over height of the distorted picture, in samples of the reference's shape."""
    return distorted.aspect / (reference.sar or 1)


def _samples_alike(reference: Facts, distorted: Facts) -> bool:
    """Whether samples have one shape, as far as a tag tells that makes up for a rounded side."""
    if reference.sar is None or distorted.sar is None:
        return True
    least = min(distorted.width, distorted.height)
    return abs(distorted.sar / reference.sar - 1) <= Fraction(1, least)


def _note_of_scaling(ours: Size, theirs: Size, *, samples_alike: bool) -> str:
    """What to say of a picture of which a side is scaled by little, or unlike the other one."""
    factors = [there / here for here, there in zip(ours, theirs, strict=True)]
    barely = any(0 < abs(factor - 1) <= _BARELY for factor in factors)
    off = abs(ours[0] * theirs[1] - ours[1] * theirs[0]) / max(theirs)
    if not barely and (not samples_alike or off < _ROUNDING):
        return ""
    return (
        f"the distorted video is {ours[0]}x{ours[1]} and was scaled to {theirs[0]}x{theirs[1]}, "
        f"{factors[0]:.4g} times across and {factors[1]:.4g} times down"
    )


def _unsure(video: Video, ours: Size, theirs: Size) -> str:
    return (
        f"{video.path}: is {ours[0]}x{ours[1]}, its reference {theirs[0]}x{theirs[1]}, and its "
        f"picture does not show whether it is padded or scaled; pass --scale crop to cut it at "
        f"the right and at the bottom, or --scale stretch."
    )


def _padded_elsewhere(video: Video, ours: Size, theirs: Size) -> str:
    return (
        f"{video.path}: is {ours[0]}x{ours[1]}, its reference {theirs[0]}x{theirs[1]}, and its "
        f"picture lies neither at a side nor in the middle; cut what is padded, or pass --scale "
        f"stretch."
    )


def _other_aspect(video: Video, reference: Facts, distorted: Facts) -> str:
    return (
        f"{video.path}: display aspect ratio {float(distorted.aspect):.3f} ({distorted.width}x"
        f"{distorted.height}), its reference's is {float(reference.aspect):.3f} "
        f"({reference.width}x{reference.height}); pass --scale stretch, pad or crop."
    )
