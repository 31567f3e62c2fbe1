"""The alignment of two videos that are out of step: which frames belong together, which to none.

It follows the frames of the reference that the distorted video shows, by small pictures of both.
The frame that is shown rises with time: mostly by one, by none where a frame is repeated, by more
where some were dropped; a foreign picture shows none. The likeliest such course is found by
dynamic programming (Viterbi's; gaps cost as in Gotoh's alignment of sequences). To begin and to end
is free where either video does; elsewhere it costs as much as a gap, so that no frame is left out
that is merely coded badly. Where periodically a frame is repeated or dropped, as telecine and
decimation do, that pattern is found first and costs nothing.
Source: Viterbi, IEEE Trans. Inf. Theory 13(2), 1967; Gotoh, J. Mol. Biol. 162, 1982.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count
from vmaf_jax.video.comparison import Description
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.inputs import VideoPair
from vmaf_jax.video.synchrony import read_small_pictures

Pictures = npt.NDArray[np.uint8]  # luma [frames, pixels], 0-255
Floats = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.int64]

# Frames of the reference from one distorted frame to the next, 0 to 3, that are compared.
_STEPS = 4
# Costs, in log likelihood: of a step that is not the usual one, of the start of foreign pictures,
# and of each further frame of a gap.
_GAP, _FOREIGN, _LONGER = 2.0, 4.0, 0.01
_FLOOR = 0.25  # of squared differences, levels of 255: small pictures are rounded
_SAME = 0.1  # of a picture's variance: the squared difference at which it is as likely foreign
_WEIGHT = 0.5  # of changes from frame to frame against that of the pictures themselves
_ROWS = 64  # distorted frames whose differences are computed at a time
_SOME_ROWS = 400  # that phases of a pattern are tried on
_LONGEST_PATTERN = 12  # frames after which telecine and decimation repeat themselves, at most
_FULL = 1 << 24  # cells that are all looked at; of longer pairs, those near anchors
# Of long pairs: distorted frames that are looked up in the whole reference; how far a course may
# stray from what is found, frames; and how much better that fits than any frame not near it.
_ANCHORS, _MARGIN, _NEAR, _DISTINCT = 2000, 64, 8, 1.5
_JUMP, _FROM_FOREIGN, _START = _STEPS, _STEPS + 1, _STEPS + 2
_LEAST = 8  # frames that two videos must have in common, and a twentieth of the shorter one
_MAX_FRAMES = 400_000  # of a video: their small pictures are held in memory, 2304 bytes each
_MAX_RUNS = 3000  # that fit into one argument of a command
_AS_NEAR, _ROUNDING = 1.25, 0.25  # of squared differences, levels of 255, of small pictures
_NAMED = 5  # places that one line names


class Run(NamedTuple):
    """Frames that belong together one by one: the first of each video, and how many."""

    reference: int
    distorted: int
    length: int


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Frames of two videos that belong together.

    Attributes:
        runs: rising.
        repeated: distorted frames that show again what one beside them shows.
        frames: of the reference and of the distorted video.
    """

    runs: tuple[Run, ...]
    repeated: tuple[int, ...]
    frames: tuple[int, int]

    @property
    def first(self) -> tuple[int, int]:
        """The first frames of both that belong together."""
        return self.runs[0].reference, self.runs[0].distorted

    @property
    def span(self) -> int:
        """Frames of the reference from the first to the last that have a partner."""
        return self.runs[-1].reference + self.runs[-1].length - self.runs[0].reference

    def part(self, start: int, count: int | None) -> "Alignment":
        """Returns the alignment of a part of the span.

        Raises:
            InputError: no frames of the part belong together.
        """
        low = self.first[0] + start
        high = self.first[0] + self.span if count is None else low + count
        runs = []
        for run in self.runs:
            skip = max(low - run.reference, 0)
            left = min(run.reference + run.length, high) - run.reference - skip
            if left > 0:
                runs.append(Run(run.reference + skip, run.distorted + skip, left))
        if not runs:
            raise InputError("--start: no frames from there on belong together; lower it.")
        return dataclasses.replace(self, runs=tuple(runs))

    def filters(self) -> tuple[str, str]:
        """Returns ffmpeg's filters that leave of each video what is measured.

        Of the reference it is the whole span, since motion is measured between neighbours; where a
        frame of it has no partner, it is paired with the distorted frame before, its row dropped.
        """
        first = self.first[0]
        picked, places, passed = [], [], 0
        for run in self.runs:
            picked.append((run.distorted, run.distorted + run.length - 1))
            places.append((passed, run.reference - first - passed))
            passed += run.length
        chosen = interval_expression(picked)
        reference = f"trim=start_frame={first}:end_frame={first + self.span},"
        place = f"N+{_step_expression(places)}"
        return reference, f"select='{chosen}',settb=1/25,setpts='{place}',fps=25,"

    def rows(self) -> Numbers:
        """Returns the rows of the span whose frames belong together."""
        first = self.first[0]
        return np.concatenate(
            [np.arange(r.reference - first, r.reference - first + r.length) for r in self.runs]
        )

    def partner(self, frame: int) -> int:
        """Returns the distorted frame of a frame of the reference that has one."""
        run = self.runs[bisect.bisect(self.runs, frame, key=lambda run: run.reference) - 1]
        return run.distorted + frame - run.reference

    def dropped(self) -> list[tuple[int, int]]:
        """Returns frames of the reference within the span without a partner, first and count."""
        ends = [(a.reference + a.length, b.reference) for a, b in itertools.pairwise(self.runs)]
        return [(end, start - end) for end, start in ends if start > end]

    def foreign(self) -> list[tuple[int, int]]:
        """Returns distorted frames between paired ones that show none of the reference."""
        repeated = set(self.repeated)
        ends = [(a.distorted + a.length, b.distorted) for a, b in itertools.pairwise(self.runs)]
        return _group([k for end, start in ends for k in range(end, start) if k not in repeated])

    def describe(self) -> Description:
        """Returns the alignment as JSON takes it; `from_description` reads it."""
        (n, m), (first, own_first) = self.frames, self.first
        last = self.runs[-1]
        return {
            "paired": sum(run.length for run in self.runs),
            "runs": [list(run) for run in self.runs],
            "dropped": [list(gap) for gap in self.dropped()],
            "repeated": [list(gap) for gap in _group(self.repeated)],
            "without_partner": {
                "reference": [first, n - first - self.span],
                "distorted": [own_first, m - last.distorted - last.length],
                "between": [list(gap) for gap in self.foreign()],
            },
            "frames": [n, m],
        }

    @classmethod
    def from_description(cls, entry: Description) -> "Alignment":
        """Returns the alignment that `describe` described."""
        repeated = [first + k for first, count in entry["repeated"] for k in range(count)]
        frames = (int(entry["frames"][0]), int(entry["frames"][1]))
        return cls(tuple(Run(*run) for run in entry["runs"]), tuple(repeated), frames)

    def sentences(self, rates: Sequence[float | None]) -> list[str]:
        """Says what has no partner, with times.

        Args:
            rates: frames per second of the reference and of the distorted video, where known.
        """
        described = self.describe()
        ends = described["without_partner"]
        lines = []
        for role, (before, after), rate in zip(
            ("reference", "distorted video"),
            (ends["reference"], ends["distorted"]),
            rates,
            strict=True,
        ):
            for count, where in ((before, "first"), (after, "last")):
                if count == 1:
                    lines.append(f"the {role}'s {where} frame has no partner")
                elif count:
                    lines.append(f"the {role}'s {where} {_length(count, rate)} have no partner")
        for gaps, words, rate in (
            (self.dropped(), "of the reference dropped", rates[0]),
            (_group(self.repeated), "of the distorted video repeated", rates[1]),
            (self.foreign(), "of the distorted video without a partner", rates[1]),
        ):
            if gaps:
                total = sum(count for _, count in gaps)
                more = ", ..." if len(gaps) > _NAMED else ""
                places = ", ".join(_place(gap, rate) for gap in gaps[:_NAMED])
                lines.append(f"{_length(total, None)} {words}: {places}{more}")
        return lines


def align_pair(ffmpeg: Ffmpeg, videos: VideoPair, chains: tuple[str, str]) -> Alignment:
    """Finds which frames of two videos belong together.

    Args:
        chains: filters that bring the reference and the distorted video to one picture.

    Raises:
        InputError: they are too short or too long, or have nothing in common.
    """
    pictures = [
        read_small_pictures(ffmpeg, video, chain, _MAX_FRAMES + 1)
        for video, chain in zip(videos, chains, strict=True)
    ]
    for video, frames in zip(videos, pictures, strict=True):
        if len(frames) < _LEAST:
            raise InputError(
                f"{video.path}: too short to align ({format_count(len(frames), 'frame')}); pass "
                f"--offset."
            )
        if len(frames) > _MAX_FRAMES:
            raise InputError(
                f"{video.path}: --align takes {_MAX_FRAMES} frames at most; cut it into parts."
            )
    alignment = align_frames(*pictures)
    if alignment is None:
        raise InputError(
            f"{videos[1].path}: has nothing in common with {videos[0].path.name} that --align "
            f"could find; check that it was made of it."
        )
    if len(alignment.runs) > _MAX_RUNS:
        raise InputError(
            f"{videos[1].path}: falls out of step {len(alignment.runs)} times, --align follows "
            f"{_MAX_RUNS}; cut it into parts."
        )
    return alignment


def measured_rows(description: Description) -> Numbers | None:
    """Returns which rows of a measurement are of frames that belong together; None for all.

    Args:
        description: of the comparison, as a result carries it.
    """
    if "alignment" not in description:
        return None
    alignment = Alignment.from_description(description["alignment"])
    return alignment.part(description["start"], description["limit"]).rows()


def align_frames(reference: Pictures, distorted: Pictures) -> Alignment | None:
    """Returns which frames belong together, by small pictures `[frames, pixels]` of both.

    None where the two have too little in common.
    """
    course = frame_course(reference, distorted)
    partners = _choose_partners(course, reference, distorted)
    rows = np.flatnonzero(partners >= 0)
    if len(rows) < max(_LEAST, min(len(reference), len(distorted)) // 20):
        return None
    frames = partners[rows]
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(frames) != 1)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    runs = [Run(int(frames[a]), int(rows[a]), b - a) for a, b in itertools.pairwise(edges)]
    repeated = np.flatnonzero((course >= 0) & (partners < 0))
    sizes = (len(reference), len(distorted))
    return Alignment(tuple(runs), tuple(repeated.tolist()), sizes)


def _choose_partners(course: Numbers, reference: Pictures, distorted: Pictures) -> Numbers:
    """Returns the course with -1 for all but one of the frames that show the same one.

    It is the first that is about as near as the nearest: the best of several encodes of one frame
    would score better than an encode that has it once.
    """
    partners = course.copy()
    shown = np.flatnonzero(course >= 0)
    for group in np.split(shown, np.flatnonzero(np.diff(course[shown])) + 1):
        if len(group) > 1:
            own = reference[course[group[0]]].astype(np.float32)
            differences = np.square(distorted[group].astype(np.float32) - own).mean(axis=1)
            is_near = differences <= _AS_NEAR * (differences.min() + _ROUNDING)
            partners[np.delete(group, int(np.argmax(is_near)))] = -1
    return partners


def interval_expression(intervals: Sequence[tuple[int, int]], variable: str = "n") -> str:
    """Returns ffmpeg's expression that is above 0 within intervals, both ends in.

    It is a search tree, since ffmpeg evaluates it for every frame.

    Args:
        intervals: rising, apart from each other.
        variable: what is looked up, itself an expression.
    """
    if len(intervals) == 1:
        low, high = intervals[0]
        return f"between({variable},{low},{high})"
    middle = len(intervals) // 2
    left = interval_expression(intervals[:middle], variable)
    right = interval_expression(intervals[middle:], variable)
    return f"if(lt({variable},{intervals[middle][0]}),{left},{right})"


def _step_expression(places: Sequence[tuple[int, int]]) -> str:
    """Returns ffmpeg's expression of `N` for values that hold from given frames on; a tree too."""
    if len(places) == 1:
        return str(places[0][1])
    middle = len(places) // 2
    left, right = _step_expression(places[:middle]), _step_expression(places[middle:])
    return left if left == right else f"if(lt(N,{places[middle][0]}),{left},{right})"


def _group(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Returns rising numbers as first and count of those that follow each other."""
    every = np.asarray(numbers, np.int64)
    parts = np.split(every, np.flatnonzero(np.diff(every) != 1) + 1)
    return [(int(part[0]), len(part)) for part in parts if len(part)]


def _length(count: int, rate: float | None) -> str:
    frames = format_count(count, "frame")
    return frames if rate is None else f"{frames} ({count / rate:.2f} s)"


def _place(gap: tuple[int, int], rate: float | None) -> str:
    first, count = gap
    several = f" ({count})" if count > 1 else ""
    return f"frame {first}{several}" if rate is None else f"{first / rate:.2f} s{several}"


class _Band(NamedTuple):
    """The first frame of the reference that each distorted frame may show, and the end, `[m]`."""

    low: Numbers
    high: Numbers


def frame_course(reference: Pictures, distorted: Pictures) -> Numbers:
    """Finds the frame that each distorted frame `[m, pixels]` shows; -1 where it shows none.

    Args:
        reference: `[n, pixels]`.

    Returns:
        Numbers `[m]` of frames of the reference, which do not fall.
    """
    band = _find_band(reference, distorted)
    steps = np.ones(len(distorted), np.int64)
    course, _ = _likeliest_course(reference, distorted, band, steps)
    rate = _usual_rate(course)
    if rate == 1:
        return course
    some = _middle(course)
    within = slice(int(course[some][0]), int(course[some][-1]) + 1)
    part = (reference[within], distorted[some])
    phases = [_pattern(rate, phase, len(distorted)) for phase in range(rate.denominator)]
    whole = _whole(part[0], part[1])
    fits = [_likeliest_course(*part, whole, steps[some])[1] for steps in [*phases, steps]]
    best = int(np.argmax(fits))
    return (
        course
        if best == len(phases)
        else _likeliest_course(reference, distorted, band, phases[best])[0]
    )


def _usual_rate(course: Numbers) -> Fraction:
    """Returns how many frames of the reference pass with one distorted frame, a simple fraction."""
    shown = course[course >= 0]
    span = min(120, len(shown) // 2)
    if span < _LONGEST_PATTERN:
        return Fraction(1)
    usual = float(np.median(shown[span:] - shown[:-span])) / span
    return Fraction(usual).limit_denominator(_LONGEST_PATTERN)


def _middle(course: Numbers) -> slice:
    """Returns some rows in the middle of those that show a frame."""
    rows = np.flatnonzero(course >= 0)
    first = max(int(rows[len(rows) // 2]) - _SOME_ROWS // 2, int(rows[0]))
    rows = rows[(rows >= first) & (rows < first + _SOME_ROWS)]
    return slice(int(rows[0]), int(rows[-1]) + 1)


def _pattern(rate: Fraction, phase: int, m: int) -> Numbers:
    """Returns the step to each of `m` frames, spread evenly."""
    place = (np.arange(-1, m) + phase) * rate.numerator // rate.denominator
    return np.diff(place)


def _likeliest_course(
    reference: Pictures, distorted: Pictures, band: _Band, usual: Numbers
) -> tuple[Numbers, float]:
    """Returns the likeliest course, as `frame_course`, and its log likelihood ratio.

    Args:
        usual: the step to each distorted frame that costs nothing, `[m]`.
    """
    n, m = len(reference), len(distorted)
    # Log likelihoods of the best course that ends here: with this frame shown, with a foreign
    # picture after it, or with frames dropped up to it. Places before the first are never reached.
    shown, foreign, jumped = (np.full(n + _STEPS, -np.inf) for _ in range(3))
    moves: list[npt.NDArray[np.uint8]] = []
    best, end = 0.0, (-1, 0)
    for first in range(0, m, _ROWS):
        last = min(first + _ROWS, m) - 1
        start, stop = int(band.low[first]), int(band.high[last])
        likeness, changes = _compare(
            reference, distorted, slice(start, stop), slice(first, last + 1)
        )
        for row in range(first, last + 1):
            a, b = int(band.low[row]), int(band.high[row])
            cells = slice(a - start, b - start)
            costs = _GAP + _LONGER * np.maximum(np.arange(_STEPS) - 1, 0)
            costs[usual[row] : usual[row] + 1] = 0
            origins = np.stack(
                [
                    shown[a + _STEPS - k : b + _STEPS - k]
                    + changes[k, row - first, cells]
                    - costs[k]
                    for k in range(_STEPS)
                ]
                + [v[a + _STEPS - 1 : b + _STEPS - 1] for v in (jumped, foreign)]
                + [_cost_of_ends(np.arange(a, b), row, 0, 0)]
            )
            origin = np.argmax(origins, axis=0)
            own = slice(a + _STEPS, b + _STEPS)
            now = likeness[row - first, cells] + origins[origin, np.arange(b - a)]
            begun, lasting = shown[own] - _FOREIGN, foreign[own] - _LONGER
            absent = np.maximum(begun, lasting)
            gain = _LONGER * np.arange(b - a)
            opened = np.maximum(now, absent) - _GAP + gain
            reached = np.maximum.accumulate(opened)
            bits = 8 * (begun >= lasting) + 16 * (opened >= reached) + 32 * (absent > now)
            moves.append((origin + bits).astype(np.uint8))
            if row:
                before = slice(int(band.low[row - 1]) + _STEPS, int(band.high[row - 1]) + _STEPS)
                shown[before] = foreign[before] = jumped[before] = -np.inf
            shown[own], foreign[own], jumped[own] = now, absent, reached - gain
            ended = now + _cost_of_ends(np.arange(a, b), row, n - 1, m - 1)
            if ended.max(initial=-np.inf) > best:
                best, end = float(ended.max()), (row, a + int(ended.argmax()))
    return _trace(moves, band.low, end), best


def _cost_of_ends(frames: Numbers, row: int, edge: int, own_edge: int) -> Floats:
    """Returns log likelihoods of a course that begins or ends with these frames at this row.

    Args:
        edge, own_edge: the first or the last frame of the reference and of the distorted video.
    """
    return np.where((frames == edge) | (row == own_edge), 0.0, -_GAP)


def _trace(moves: list[npt.NDArray[np.uint8]], low: Numbers, end: tuple[int, int]) -> Numbers:
    """Follows the moves back from the end of the best course."""
    course = np.full(len(moves), -1, np.int64)
    (row, frame), state = end, "shown"
    while row >= 0:
        move = int(moves[row][frame - low[row]])
        if state == "jumped":
            if move & 16:
                state = "foreign" if move & 32 else "shown"
            else:
                frame -= 1
            continue
        if state == "foreign":
            state = "shown" if move & 8 else "foreign"
        else:
            course[row] = frame
            origin = move & 7
            if origin == _START:
                break
            frame -= origin if origin < _STEPS else 1
            state = {_JUMP: "jumped", _FROM_FOREIGN: "foreign"}.get(origin, "shown")
        row -= 1
    return course


def _compare(
    reference: Pictures, distorted: Pictures, columns: slice, rows: slice
) -> tuple[Floats, Floats]:
    """Computes log likelihood ratios of each frame shown `[rows, columns]`, and of each step to it.

    Those of steps, `[steps, rows, columns]`, compare how the distorted video changes from the frame
    before with how the reference does: noise of coding that stays from frame to frame drops out.
    """
    first = max(columns.start - _STEPS, 0)
    x = reference[first : columns.stop].astype(np.float32)
    y = distorted[max(rows.start - 1, 0) : rows.stop].astype(np.float32)
    before, y = (y[:-1], y[1:]) if rows.start else (np.concatenate([y[:1], y[:-1]]), y)
    pixels = x.shape[1]
    own = x[columns.start - first :]
    squared = _squares(y)[:, None] + _squares(own)[None] - 2 / pixels * (y @ own.T)
    foreign = _SAME * y.var(axis=1)[:, None] + 16 * _FLOOR
    likeness = np.log(foreign / (np.maximum(squared, 0) + _FLOOR))

    change = y - before
    moved = _squares(change)[:, None]
    product = change @ x.T / pixels
    skipped = columns.start - first
    changes = np.zeros((_STEPS, *likeness.shape), np.float32)
    for k in range(1, _STEPS):  # a step of 0 leaves all of the change unexplained
        motion, common = np.zeros(len(x), np.float32), np.zeros_like(product)
        motion[k:] = _squares(x[k:] - x[:-k])
        common[:, k:] = product[:, k:] - product[:, :-k]
        left = np.maximum(moved + motion[None] - 2 * common, 0)
        changes[k] = _WEIGHT * np.log((moved + _FLOOR) / (left + _FLOOR))[:, skipped:]
    return likeness, changes


def _squares(pictures: Floats) -> Floats:
    return np.asarray(np.square(pictures).mean(axis=1), np.float32)


def _whole(reference: Pictures, distorted: Pictures) -> _Band:
    m = len(distorted)
    return _Band(np.zeros(m, np.int64), np.full(m, len(reference), np.int64))


def _find_band(reference: Pictures, distorted: Pictures) -> _Band:
    """Returns all frames, or those about anchors: pictures that only one place looks like."""
    n, m = len(reference), len(distorted)
    if n * m <= _FULL:
        return _whole(reference, distorted)
    rows, frames = _find_anchors(reference, distorted)
    every = np.arange(m)
    after = np.searchsorted(rows, every, side="right")
    known = np.concatenate([[0], frames, [n - 1]])
    low, high = known[after], known[after + 1]
    # Before the first anchor and after the last nothing bounds a course but its steps.
    low = np.where(after == 0, frames[0] - 2 * (rows[0] - every), low) - _MARGIN
    high = np.where(after == len(rows), frames[-1] + 2 * (every - rows[-1]), high) + _MARGIN
    return _Band(np.clip(low, 0, n - 1), np.clip(high, 1, n))


def _find_anchors(reference: Pictures, distorted: Pictures) -> tuple[Numbers, Numbers]:
    """Returns rising distorted frames that look like one place of the reference, and those."""
    rows = np.unique(np.linspace(0, len(distorted) - 1, _ANCHORS).astype(np.int64))
    x, y = _shrink(reference), _shrink(distorted[rows])
    places = []
    for first in range(0, len(rows), _ROWS):
        part = y[first : first + _ROWS]
        squared = _squares(part)[:, None] + _squares(x)[None] - 2 / x.shape[1] * (part @ x.T)
        for row, differences, variance in zip(
            rows[first:], squared, part.var(axis=1), strict=False
        ):
            frame = int(np.argmin(differences))
            least = float(differences[frame])
            differences[max(frame - _NEAR, 0) : frame + _NEAR + 1] = np.inf
            alone = differences.min() > _DISTINCT * (least + _FLOOR)
            if alone and least < _SAME * variance:
                places.append((int(row), frame))
    return _longest_rise(places)


def _shrink(pictures: Pictures) -> Floats:
    """Returns pictures of a sixteenth of the pixels, without their means."""
    small = pictures.reshape(len(pictures), -1, 16).mean(axis=2, dtype=np.float32)
    return np.asarray(small - small.mean(axis=1, keepdims=True), np.float32)


def _longest_rise(places: list[tuple[int, int]]) -> tuple[Numbers, Numbers]:
    """Returns the most places, in order of row, whose frames do not fall."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, frame) in enumerate(places):
        k = bisect.bisect_right(tails, frame)
        before.append(ends[k - 1] if k else -1)
        tails[k : k + 1], ends[k : k + 1] = [frame], [index]
    chosen, index = [], ends[-1] if ends else -1
    while index >= 0:
        chosen.append(places[index])
        index = before[index]
    rows, frames = np.array(chosen[::-1], np.int64).reshape(-1, 2).T
    return rows, frames
